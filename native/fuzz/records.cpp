// Stored records on their way to a model: whatever bytes a record has, indices stay within their tables and reads within the record.
#include <algorithm>
#include <cmath>
#include <vector>

#include "input.h"
#include "train/encoder.h"
#include "train/image_kernels.h"

namespace sluice {
namespace kernels_base { extern const ImageKernels image_table; }
const ImageKernels& image_kernels() { return kernels_base::image_table; }  // of kernels.cpp, which needs all the others, too
}  // namespace sluice

using namespace sluice;

namespace {

const Schema& schema() {
  static const Schema all{{{"x", ColumnType::kF32},
                           {"n", ColumnType::kI32},
                           {"c", ColumnType::kCategory},
                           {"b", ColumnType::kU8},
                           {"picture", ColumnType::kU8, {6, 5, 3}},
                           {"matrix", ColumnType::kF32, {4, 4, 1}},
                           {"ids", ColumnType::kI32, {7}},
                           {"text", ColumnType::kBytes, {9}}},
                          LabelKind::kClass,
                          2};
  return all;
}

/// Small numbers mostly, so that features are refused seldom.
Features features_of(fuzz::Input& input) {
  Features features;
  for (uint64_t i = input.below(5); i > 0; --i) {
    DenseFeature f;
    f.op = static_cast<DenseOp>(input.below(6));
    f.column = static_cast<uint32_t>(input.below(9));
    f.low = input.flag() ? input.take<float>() : f.low;
    features.dense.push_back(f);
  }
  for (uint64_t i = input.below(5); i > 0; --i) {
    CategoricalFeature f;
    f.op = static_cast<CategoricalOp>(input.below(6));
    f.column = static_cast<uint32_t>(input.below(9));
    f.other = static_cast<uint32_t>(input.below(9));
    f.buckets = input.flag() ? input.take<uint32_t>() : 1 + input.take<uint8_t>();
    for (uint64_t b = input.below(4); b > 0; --b) f.boundaries.push_back(input.take<float>());
    features.categorical.push_back(f);
  }
  if (input.flag()) {
    TensorFeature f;
    f.column = static_cast<uint32_t>(input.below(9));
    f.crop = static_cast<Crop>(input.below(4));
    f.height = static_cast<uint32_t>(input.below(9));
    f.width = static_cast<uint32_t>(input.below(9));
    f.pad = static_cast<uint32_t>(input.below(3));
    f.flip = input.flag();
    for (uint64_t i = input.below(4); i > 0; --i) f.mean.push_back(input.take<float>());
    for (uint64_t i = input.below(4); i > 0; --i) f.deviation.push_back(input.take<float>());
    features.tensor = f;
  }
  if (input.flag()) features.tokens = TokensFeature{static_cast<uint32_t>(input.below(9))};
  return features;
}

/// Records in memory of their own, so that a read beyond one is seen.
struct Samples {
  Samples(fuzz::Input& input, size_t rows) {
    for (size_t i = 0; i < rows; ++i) {
      keys.push_back(input.take<uint64_t>());
      timestamps.push_back(input.take<int64_t>());
      const std::string_view given = input.take_bytes(schema().record_bytes());
      bytes.emplace_back(schema().record_bytes());
      std::copy(given.begin(), given.end(), bytes.back().begin());
    }
    for (const auto& record : bytes) records.push_back(record.data());
  }
  std::vector<uint64_t> keys;
  std::vector<int64_t> timestamps;
  std::vector<std::vector<uint8_t>> bytes;
  std::vector<const uint8_t*> records;
};

}  // namespace

SLUICE_FUZZ_TARGET {
  fuzz::Input input(data, size);
  const Features features = features_of(input);
  const uint32_t id_limit = input.take<uint16_t>();
  const std::optional<Augment> augment = input.flag() ? std::optional(Augment{input.take<uint64_t>(), 1}) : std::nullopt;
  std::optional<Encoder> encoder;
  if (!fuzz::accepts([&] { encoder.emplace(features, schema(), id_limit); })) return 0;
  const size_t rows = 1 + input.below(3);
  const Samples samples(input, rows);
  const InputShape& shape = encoder->shape();
  std::vector<float> dense(rows * shape.dense), values(rows * encoder->values());
  std::vector<int32_t> categorical(rows * shape.tables, -1), ids(rows * shape.ids, -1);
  const Records from{rows, samples.keys.data(), samples.timestamps.data(), samples.records.data()};
  if (!fuzz::accepts([&] { encoder->encode(from, augment, {dense.data(), categorical.data(), rows, values.data(), ids.data()}); })) return 0;
  for (size_t table = 0; table < shape.tables; ++table) {
    const uint32_t buckets = buckets_of(features, table);
    for (size_t i = 0; i < rows; ++i) fuzz::expect(static_cast<uint32_t>(categorical[table * rows + i]) < buckets, "an index below its buckets");
  }
  for (const int32_t id : ids) fuzz::expect(id >= 0 && (id_limit == 0 || static_cast<uint32_t>(id) < id_limit), "token ids below their limit");
  return 0;
}
