// Models from TorchScript archives: ordinary ones compute what PyTorch computes, hostile ones are refused and leave no trace.
#include "train/script/script_module.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <caffe2/serialize/in_memory_adapter.h>
#include <caffe2/serialize/inline_container.h>
#include <gtest/gtest.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/passes/inliner.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <random>
#include <set>

#include "base/error.h"
#include "fixtures.h"
#include "processes.h"
#include "train/script/check.h"
#include "train/script/to_device.h"

namespace sluice {
namespace {

using namespace testing;

std::string archive(const std::string& name) { return std::string(SLUICE_FIXTURES) + "/script/" + name + ".pt"; }

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

at::Tensor tensor(const nlohmann::json& numbers) {
  const auto shape = numbers["shape"].get<std::vector<int64_t>>();
  const std::string dtype = numbers["dtype"];
  const auto values = numbers["values"].get<std::vector<double>>();
  const at::ScalarType type = dtype == "torch.float32" ? at::kFloat : dtype == "torch.int64" ? at::kLong : at::kBool;
  return at::tensor(values, at::kDouble).to(type).view(shape);
}

std::vector<c10::IValue> inputs_of(const nlohmann::json& numbers) {
  std::vector<c10::IValue> inputs;
  for (const auto& input : numbers["inputs"]) inputs.emplace_back(tensor(input));
  return inputs;
}

void expect_outputs(const c10::IValue& output, const nlohmann::json& numbers) {
  std::vector<at::Tensor> outputs;
  if (output.isTensor()) {
    outputs.push_back(output.toTensor());
  } else {
    for (const c10::IValue& item : output.toTupleRef().elements()) outputs.push_back(item.toTensor());
  }
  ASSERT_EQ(outputs.size(), numbers["outputs"].size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    const at::Tensor expected = tensor(numbers["outputs"][i]);
    EXPECT_EQ(outputs[i].sizes(), expected.sizes());
    EXPECT_TRUE(at::allclose(outputs[i], expected, 1e-4, 1e-5)) << outputs[i] << expected;
  }
}

at::Tensor loss_of(const c10::IValue& output) {
  if (output.isTensor()) return output.toTensor().square().mean();
  at::Tensor sum = at::zeros({});
  for (const c10::IValue& item : output.toTupleRef().elements()) sum = sum.add(item.toTensor().square().mean());
  return sum;
}

/// An empty working folder; hostile archives try to write into it.
class Script : public ::testing::Test {
 protected:
  Script() : before_(std::filesystem::current_path()) { std::filesystem::current_path(folder_.path()); }
  ~Script() override { std::filesystem::current_path(before_); }

  bool traces() const { return !std::filesystem::is_empty(folder_.path()); }

  const nlohmann::json cases_ = fixture("script/cases.json");
  TemporaryFolder folder_;

 private:
  std::filesystem::path before_;
};

TEST_F(Script, ComputesWhatPyTorchComputes) {
  ASSERT_GE(cases_["cases"].size(), 8U);
  for (const auto& [name, numbers] : cases_["cases"].items()) {
    SCOPED_TRACE(name);
    auto module = load_script_module(archive(name));
    module.eval();
    for (int pass = 0; pass < 3; ++pass) expect_outputs(run_forward(module, inputs_of(numbers), 60), numbers);  // LibTorch recompiles after the first
  }
}

TEST_F(Script, GradientStepsLowerTheLoss) {
  for (const auto& [name, numbers] : cases_["cases"].items()) {
    SCOPED_TRACE(name);
    auto module = load_script_module(archive(name));
    module.eval();
    const auto loss = [&] { return loss_of(run_forward(module, inputs_of(numbers), 60)); };
    const double before = loss().item<double>();
    for (int step = 0; step < 3; ++step) {
      loss().backward();
      const at::NoGradGuard no_grad;
      for (at::Tensor parameter : module.parameters()) {
        if (!parameter.grad().defined()) continue;
        parameter.sub_(parameter.grad(), 0.01);
        parameter.mutable_grad().zero_();
      }
    }
    EXPECT_LT(loss().item<double>(), before);
  }
}

TEST_F(Script, WritesArchivesThatLoadAgain) {
  for (const auto& [name, numbers] : cases_["cases"].items()) {
    SCOPED_TRACE(name);
    auto module = load_script_module(archive(name));
    module.eval();
    const auto inputs = inputs_of(numbers);
    run_forward(module, inputs, 60);
    const std::string bytes = serialize_script_module(module);
    EXPECT_EQ(bytes.find("sluice"), std::string::npos);
    write("again.pt", bytes);
    auto again = load_script_module("again.pt");
    expect_outputs(run_forward(again, inputs, 60), numbers);
    expect_outputs(run_forward(module, inputs, 60), numbers);
  }
}

/// Of the constants of the code, tensors and devices, with all that it calls.
std::multiset<std::string> devices_of(const torch::jit::Module& module) {
  const auto graph = module.get_method("forward").graph()->copy();
  torch::jit::Inline(*graph);
  std::multiset<std::string> devices;
  const std::function<void(torch::jit::Block*)> gather = [&](torch::jit::Block* block) {
    for (torch::jit::Node* node : block->nodes()) {
      for (torch::jit::Block* child : node->blocks()) gather(child);
      const auto value = node->kind() == c10::prim::Constant ? torch::jit::toIValue(node->output()) : std::nullopt;
      if (value && value->isDevice()) devices.insert(value->toDevice().str());
      if (value && value->isTensor()) devices.insert(value->toTensor().device().str());
    }
  };
  gather(graph->block());
  return devices;
}

/// To a device whose tensors have no numbers, as a GPU would do.
TEST_F(Script, GoesToAnotherDeviceButForItsParameters) {
  const std::string folder = std::string(SLUICE_FIXTURES) + "/script_devices/";
  const auto net = load_script_module(folder + "net.pt");
  EXPECT_EQ(devices_of(net), (std::multiset<std::string>{"cpu"}));
  move_to_device(net, at::kMeta, "net.pt");
  EXPECT_EQ(devices_of(net), (std::multiset<std::string>{"meta", "meta", "meta"})) << "those that arange() and tensor() name now are among them";
  EXPECT_TRUE(net.attr("scale").toTensor().is_meta());
  EXPECT_TRUE(net.attr("order").toTensor().is_meta());
  EXPECT_TRUE(net.attr("shifts").toTensorVector()[1].is_meta());
  EXPECT_TRUE(net.attr("named").toGenericDict().at("last").toTensor().is_meta());
  EXPECT_EQ(net.attr("home").toDevice(), c10::Device(at::kMeta));
  EXPECT_TRUE(net.attr("frozen").toTensor().is_cpu()) << "the trainer moves it";
  const auto traced = load_script_module(folder + "traced.pt");
  EXPECT_EQ(devices_of(traced), (std::multiset<std::string>{"cpu", "cpu"})) << "of arange() and the steps";
  move_to_device(traced, at::kMeta, "traced.pt");
  EXPECT_EQ(devices_of(traced), (std::multiset<std::string>{"meta", "meta"}));
  EXPECT_TRUE(tells_of_devices("RuntimeError: Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"));
  EXPECT_TRUE(tells_of_devices("RuntimeError: Expected all tensors to be on the same device, but got mat2 is on cpu, different from other tensors on cuda:0"));
  EXPECT_FALSE(tells_of_devices("RuntimeError: mat1 and mat2 shapes cannot be multiplied"));
}

TEST_F(Script, RefusesHostileArchives) {
  ASSERT_GE(cases_["refused"].size(), 20U);
  for (const auto& [name, part] : cases_["refused"].items()) {
    SCOPED_TRACE(name);
    const auto [code, message] = error_of([&, file = archive("bad_" + name)] { load_script_module(file); });
    EXPECT_TRUE(code == "E_SCRIPT" || code == "E_CORRUPT") << code;
    EXPECT_NE(message.find(part.get<std::string>()), std::string::npos) << message;
    EXPECT_NE(message.find("bad_" + name), std::string::npos) << message;
    EXPECT_FALSE(traces());
  }
}

TEST_F(Script, EndsEndlessLoops) {
  for (const char* name : {"forever", "forever_in_operators"}) {
    SCOPED_TRACE(name);
    auto module = load_script_module(archive(name));
    for (int pass = 0; pass < 3; ++pass) {
      const auto begin = std::chrono::steady_clock::now();
      const auto [code, message] = error_of([&] { run_forward(module, {at::ones({3})}, 0.2); });
      EXPECT_EQ(code, "E_SCRIPT");
      EXPECT_NE(message.find("longer than 0.2"), std::string::npos) << message;
      EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
      EXPECT_TRUE(at::GradMode::is_enabled());
    }
  }
}

TEST_F(Script, ReportsInputsThatDoNotFit) {
  auto module = load_script_module(archive("mlp_scripted"));
  EXPECT_EQ(error_of([&] { run_forward(module, {at::ones({3, 5})}, 60); }).first, "E_TORCH");
  EXPECT_EQ(error_of([&] { run_forward(module, {}, 60); }).first, "E_TORCH");
  EXPECT_EQ(error_of([&] { run_forward(module, {at::ones({3, 6})}, 0); }).first, "E_ARGUMENT");
}

TEST_F(Script, ReportsFilesThatAreNoArchives) {
  EXPECT_EQ(error_of([] { check_script_archive("missing.pt"); }).first, "E_NOT_FOUND");
  EXPECT_EQ(error_of([] { check_script_archive("."); }).first, "E_IO");
  for (const std::string& bytes : {std::string(), std::string("PK"), std::string(22, '\0'), std::string(100'000, 'x'), std::string("PK\5\6") + std::string(18, '\0')}) {
    EXPECT_EQ(error_of([&] { check_script_archive(bytes, "model.pt"); }).first, "E_CORRUPT");
  }
}

TEST_F(Script, RefusesTruncatedArchives) {
  for (const char* name : {"control_scripted", "mlp_scripted"}) {
    const std::string bytes = content(archive(name));
    for (size_t length = 0; length < bytes.size(); length += 1 + length / 200) {
      EXPECT_EQ(error_of([&] { check_script_archive(bytes.substr(0, length), "model.pt"); }).first, "E_CORRUPT") << length;
    }
  }
}

TEST_F(Script, RefusesAbsurdLengths) {
  const std::string bytes = content(archive("control_scripted"));
  const size_t directory = bytes.find("PK\1\2");
  ASSERT_NE(directory, std::string::npos);
  for (const size_t field : {20U, 24U, 28U, 30U, 32U, 42U}) {
    for (const char* value : {"\xFF\xFF", "\xFF\x7F", "\xFE\xFF"}) {
      std::string damaged = bytes;
      damaged.replace(directory + field, 2, value, 2);
      if (field < 28 || field == 42) damaged.replace(directory + field + 2, 2, value, 2);
      EXPECT_EQ(error_of([&] { check_script_archive(damaged, "model.pt"); }).first, "E_CORRUPT") << field;
    }
  }
}

/// Loads and, with inputs, runs what the check lets through. Any Error is a good outcome, a signal is not.
void try_model(const std::string& bytes, const std::vector<c10::IValue>& inputs) {
  write("damaged.pt", bytes);
  try {
    auto module = load_script_module("damaged.pt");
    if (!inputs.empty()) run_forward(module, inputs, 1);
  } catch (const Error&) {
  }
}

constexpr int kDamages = 60;  // of each archive

void flip(std::string& bytes, std::mt19937& random) {
  for (size_t left = 1 + random() % 3; left > 0 && !bytes.empty(); --left) bytes[random() % bytes.size()] ^= static_cast<char>(1 << random() % 8);
}

TEST_F(Script, SurvivesFlippedBits) {
  at::set_num_threads(1);  // a forked child has none of LibTorch's threads
  std::mt19937 random(7);
  for (const auto& [name, numbers] : cases_["cases"].items()) {
    SCOPED_TRACE(name);
    const std::string bytes = content(archive(name));
    const int status = in_child([&, &numbers = numbers] {
      for (int i = 0; i < kDamages; ++i) {
        std::string damaged = bytes;
        flip(damaged, random);
        try_model(damaged, inputs_of(numbers));
      }
      return 0;
    });
    EXPECT_EQ(status, 0);
  }
}

/// The archive written anew, with sound checksums, after `change` had one of its pickles or source files.
std::string rewritten(const std::string& bytes, std::mt19937& random, const std::function<void(std::string&)>& change) {
  caffe2::serialize::PyTorchStreamReader reader(std::make_shared<caffe2::serialize::MemoryReadAdapter>(bytes.data(), static_cast<off_t>(bytes.size())));
  std::vector<std::string> readable;
  for (const std::string& name : reader.getAllRecords()) {
    if (name == "data.pkl" || name == "constants.pkl" || name.ends_with(".py")) readable.push_back(name);
  }
  const std::string chosen = readable[random() % readable.size()];
  std::string written;
  caffe2::serialize::PyTorchStreamWriter writer([&](const void* data, size_t size) {
    written.append(static_cast<const char*>(data), size);
    return size;
  });
  for (const std::string& name : reader.getAllRecords()) {
    if (name.ends_with("version") || name.ends_with("serialization_id")) continue;  // the writer adds its own
    const auto [data, size] = reader.getRecord(name);
    std::string content(static_cast<const char*>(data.get()), size);
    if (name == chosen) change(content);
    writer.writeRecord(name, content.data(), content.size());
  }
  writer.writeEndOfFile();
  return written;
}

TEST_F(Script, SurvivesFlippedBitsBehindTheChecksums) {
  at::set_num_threads(1);
  std::mt19937 random(8);
  for (const auto& [name, numbers] : cases_["cases"].items()) {
    SCOPED_TRACE(name);
    const std::string bytes = content(archive(name));
    // LibTorch's recurrent layers do not compare the shapes of their weights, and may read outside them.
    const auto inputs = name == "lstm_scripted" || name == "gru_traced" ? std::vector<c10::IValue>{} : inputs_of(numbers);
    const int status = in_child([&] {
      for (int i = 0; i < kDamages; ++i) try_model(rewritten(bytes, random, [&](std::string& part) { flip(part, random); }), inputs);
      return 0;
    });
    EXPECT_EQ(status, 0);
  }
}

}  // namespace
}  // namespace sluice
