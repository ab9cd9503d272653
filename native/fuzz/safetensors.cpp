// Model files, foreign weights and checkpoints: raw, or with a header whose length holds before as many bytes as the input says.
#include "modelstore/safetensors.h"

#include <algorithm>
#include <vector>

#include "input.h"
#include "modelstore/weights.h"
#include "train/checkpoint.h"

using namespace sluice;

namespace {

constexpr uint64_t kMaxValues = 1 << 16;

/// Tensors with memory of their own, whose every byte past the end is out of bounds.
class Tensors {
 public:
  void add(const std::string& name, const std::vector<int64_t>& shape) {
    uint64_t values = 1;
    for (const int64_t side : shape) values *= static_cast<uint64_t>(side);
    memory_.emplace_back(values, 1.0F);
    all_.push_back({name, shape, memory_.back().data()});
  }
  const std::vector<NamedTensor>& all() const { return all_; }

 private:
  std::vector<std::vector<float>> memory_;
  std::vector<NamedTensor> all_;
};

/// A model of two tensors, as a checkpoint fills it.
class SmallModel final : public Model {
 public:
  SmallModel() { tensors_.add("layer.weight", {2, 3}); }
  double accumulate(const Batch&, float, const Scores&) override { return 0.0; }
  double gradient_norm() override { return 0.0; }
  void update(float, float) override {}
  void forward(const Batch&, float*) override {}
  void score(const Batch&, const Scores&) override {}
  uint32_t outputs() const override { return 1; }
  uint32_t embedding_width() const override { return 0; }
  double flops_per_row() const override { return 1.0; }
  std::vector<NamedTensor> parameters() override { return tensors_.all(); }
  std::vector<NamedTensor> optimizer_state() override { return {}; }
  void set_updates(uint64_t) override {}

 private:
  Tensors tensors_;
};

std::string file_of(fuzz::Input& input) {
  const size_t values = input.take<uint8_t>();
  const std::string_view json = input.rest();
  std::string bytes(sizeof(uint64_t), '\0');
  fuzz::put(bytes, 0, uint64_t{json.size()});
  return bytes.append(json).append(values, '\x3e');
}

void check_header(const SafetensorsHeader& header, uint64_t bytes) {
  for (const TensorInfo& info : header.tensors) {
    fuzz::expect(info.begin <= info.end && info.end <= bytes - header.data_offset, "tensors within the file");
    for (const int64_t side : info.shape) fuzz::expect(side >= 0, "sides of at least 0");
  }
}

/// The tensors of the header that are small enough, under their own names.
void load_all(const std::string& path, const SafetensorsHeader& header) {
  Tensors tensors;
  for (const TensorInfo& info : header.tensors) {
    if (info.end - info.begin <= kMaxValues && std::find(info.shape.begin(), info.shape.end(), 0) == info.shape.end()) tensors.add(info.name, info.shape);
  }
  fuzz::accepts([&] { load_safetensors(path, tensors.all()); });
  fuzz::accepts([&] { load_weights(path, tensors.all()); });
}

}  // namespace

SLUICE_FUZZ_TARGET {
  fuzz::Input input(data, size);
  const bool complete = input.flag();
  const std::string bytes = complete ? file_of(input) : std::string(input.rest());
  const std::string path = fuzz::write_scratch("model.safetensors", bytes);
  SafetensorsHeader header;
  const bool sound = fuzz::accepts([&] { header = read_safetensors_header(path); });
  if (sound) {
    check_header(header, bytes.size());
    load_all(path, header);
  }
  Tensors model;
  for (const char* name : {"bert.embeddings.LayerNorm.weight", "layer.bias"}) model.add(name, {3});
  model.add("classifier.weight", {2, 3});
  fuzz::accepts([&] { load_weights(path, model.all()); });
  SmallModel resumed;
  fuzz::accepts([&] { Checkpointer({path}, "plan").load(resumed, {}); });
  return 0;
}
