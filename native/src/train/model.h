// What the training loop needs of a model. Torch stays behind this interface.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace sluice {

enum class Precision : uint8_t { kFp32, kBf16 };
enum class Criterion : uint8_t { kBce, kCrossEntropy };
enum class OptimizerKind : uint8_t { kSgd, kAdagrad, kAdam };

/// PyTorch's defaults: Adagrad eps 1e-10, Adam beta1 0.9, beta2 0.999, eps 1e-8.
struct Optimizer {
  OptimizerKind kind = OptimizerKind::kSgd;
  float lr = 0.01F;
  float eps = 1e-8F;
  float beta1 = 0.9F;
  float beta2 = 0.999F;
};

/// Naumov et al., 2019 (arXiv 1906.00091). bottom: widths of its hidden and last layers, the last = embedding width.
struct DlrmSpec {
  uint32_t dense = 0;                  // dense features; 0 leaves out the bottom MLP
  std::vector<uint64_t> tables;        // rows of each embedding table
  uint32_t embedding = 16;
  std::vector<uint32_t> bottom;
  std::vector<uint32_t> top;           // hidden layers, then the number of outputs (1 for BCE, classes otherwise)
};

/// One batch on the host. categorical is [T, rows], table-major; values and ids are the tensor inputs of models that
/// take one: an image as [rows, height, width, channels], token ids as [rows, length].
struct Batch {
  size_t rows = 0;
  const float* dense = nullptr;
  const int32_t* categorical = nullptr;
  const float* labels = nullptr;
  const float* weights = nullptr;  // null: all 1
  const float* values = nullptr;
  const int32_t* ids = nullptr;
};

/// A named parameter, contiguous fp32 on the host, as model files hold it.
struct NamedTensor {
  std::string name;
  std::vector<int64_t> shape;
  float* data = nullptr;
};

class Model {
 public:
  virtual ~Model() = default;
  /// One optimizer step on the batch; returns the mean of weight * loss over its rows, before the step.
  virtual double step(const Batch& batch) = 0;
  /// Logits [rows, outputs] row-major into `logits`.
  virtual void forward(const Batch& batch, float* logits) = 0;
  virtual uint32_t outputs() const = 0;
  /// Floating-point operations of a forward pass over one row, roughly; a training step costs three times as many.
  virtual double flops_per_row() const = 0;
  /// Views of the parameters, in a fixed order; writing through them changes the model.
  virtual std::vector<NamedTensor> parameters() = 0;
  /// Parameters were changed from outside (loaded): derived copies are refreshed.
  virtual void parameters_changed() {}
};

struct ModelOptions {
  Criterion criterion = Criterion::kBce;
  Precision precision = Precision::kFp32;
  Optimizer dense_optimizer;
  Optimizer embedding_optimizer;  // sparse: only rows that a batch touched are updated (Adam as torch.optim.SparseAdam)
  uint64_t seed = 0;
  bool train = true;              // false: no gradients, no optimizer state
};

/// Initial weights as in the reference implementation: Linear normal(0, sqrt(2 / (in + out))), bias
/// normal(0, sqrt(1 / out)), embeddings uniform(-1/sqrt(rows), 1/sqrt(rows)). E_SHAPE, E_MEMORY.
std::unique_ptr<Model> make_dlrm(const DlrmSpec& spec, const ModelOptions& options);

/// Every architecture has its spec; the variant grows with train/models.
using ModelSpec = std::variant<DlrmSpec>;
std::unique_ptr<Model> make_model(const ModelSpec& spec, const ModelOptions& options);

/// Compute threads of LibTorch and of our kernels, process-wide. 0 keeps the default (cores available).
void set_compute_threads(int threads);
int compute_threads();

}  // namespace sluice
