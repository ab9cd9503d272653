// What the training loop needs of a model. Torch stays behind this interface.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace sluice {

class BatchMemory;

/// Parameters are fp32 always. kBf16 and kFp16: products of operands rounded to 16 bits, as PyTorch's autocast; kFp16 with
/// dynamic loss scaling (loss_scale.h).
enum class Precision : uint8_t { kFp32, kBf16, kFp16 };
enum class Device : uint8_t { kCpu, kCuda };

/// A loss from logits (or, for regression, predictions). Names as in PyTorch: binary_cross_entropy_with_logits,
/// cross_entropy, mse_loss, l1_loss, huber_loss.
struct Criterion {
  enum Kind : uint8_t { kBce, kCrossEntropy, kMse, kL1, kHuber };
  constexpr Criterion(Kind k = kBce) : kind(k) {}  // NOLINT(google-explicit-constructor): Criterion::kBce is one
  Kind kind;
  float label_smoothing = 0.0F;  // cross-entropy: 0 to 1
  float delta = 1.0F;            // Huber: where the square ends; above 0
  constexpr bool regression() const { return kind >= kMse; }
};

enum class OptimizerKind : uint8_t { kSgd, kAdagrad, kRowwiseAdagrad, kAdam, kAdamW };

/// Meanings and defaults are PyTorch's (Adagrad eps 1e-10, Adam beta1 0.9, beta2 0.999, eps 1e-8). Row-wise Adagrad keeps
/// one sum of squares for each row, of the row's mean square (FBGEMM's exact row-wise Adagrad): embedding tables only.
struct Optimizer {
  OptimizerKind kind = OptimizerKind::kSgd;
  float lr = 0.01F;
  float eps = 1e-8F;
  float beta1 = 0.9F;
  float beta2 = 0.999F;
  float momentum = 0.0F;      // SGD
  float dampening = 0.0F;     // SGD
  bool nesterov = false;      // SGD
  float weight_decay = 0.0F;  // AdamW: decoupled; otherwise added to the gradient; not for embedding tables
};

/// The optimizer of the parameters whose name fits the pattern, in which * stands for any characters. The first that fits counts.
struct ParameterGroup {
  std::string pattern;
  Optimizer optimizer;
};

/// Naumov et al., 2019 (arXiv 1906.00091). bottom: widths of its hidden and last layers, the last = embedding width.
struct DlrmSpec {
  uint32_t dense = 0;                  // dense features; 0 leaves out the bottom MLP
  std::vector<uint64_t> tables;        // rows of each embedding table
  uint32_t embedding = 16;
  std::vector<uint32_t> bottom;
  std::vector<uint32_t> top;           // hidden layers, then the number of outputs (1 for BCE, classes otherwise)
};

/// layers: widths of the hidden layers and of the output.
struct MlpSpec {
  uint32_t inputs = 0;  // dense features
  std::vector<uint32_t> layers;
};

/// Images [height, width, channels] as Batch::values.
struct ImageShape {
  uint32_t height = 0;
  uint32_t width = 0;
  uint32_t channels = 3;
};

/// He et al., 2016 (arXiv 1512.03385), parameters named as torchvision's. small_stem: a 3 x 3 convolution of stride 1 and no
/// pooling before the first block, for images of about 32 x 32.
struct ResNetSpec {
  uint32_t depth = 18;  // 18, 34, 50, 101 or 152
  bool small_stem = false;
  ImageShape image;
  uint32_t outputs = 1;
};

/// The Yearbook net of Wild-Time (Yao et al., 2022, arXiv 2211.14238): four times convolution 3 x 3 with 32 channels, ReLU
/// and max-pooling 2 x 2, the mean over what is left, a linear layer.
struct CnnSpec {
  ImageShape image;
  uint32_t outputs = 1;
};

/// An encoder of BERT's architecture (Devlin et al., 2019, arXiv 1810.04805) over Batch::ids [length] with a classifier on
/// the first position. Parameters are named as in Hugging Face's DistilBertForSequenceClassification or
/// BertForSequenceClassification.
struct TransformerSpec {
  enum Kind : uint8_t { kDistilBert, kBert };
  Kind kind = kDistilBert;
  uint32_t vocabulary = 30'522;
  uint32_t length = 0;      // of the ids
  uint32_t positions = 512; // learned, at least length
  uint32_t width = 768;
  uint32_t layers = 6;
  uint32_t heads = 12;
  uint32_t hidden = 3'072;
  float dropout = 0.1F;             // of embeddings, attention and layers
  float classifier_dropout = 0.1F;  // before the last layer
  uint32_t outputs = 1;
};

/// A TorchScript archive. Its forward takes dense [rows, dense] float32, then categorical [rows, tables] int64, then the
/// tensor feature (an image as [rows, channels, height, width], any other shape as it is) float32, then ids [rows, length]
/// int64, those that there are, and gives logits [rows, outputs] ([rows] for one output), or logits and embeddings [rows, any].
struct ScriptSpec {
  std::string file;
  uint32_t dense = 0;    // dense features
  uint32_t tables = 0;   // categorical features
  uint32_t outputs = 1;
  double seconds = 60.0; // that one forward pass may take
  std::vector<uint32_t> values = {};  // shape of the tensor feature
  uint32_t ids = 0;      // length of the token ids
};

/// One batch on the host. categorical is [T, rows], table-major; values and ids are the tensor inputs of models that
/// take one: an image as [rows, height, width, channels], token ids as [rows, length].
struct Batch {
  size_t rows = 0;
  const float* dense = nullptr;
  const int32_t* categorical = nullptr;
  const float* labels = nullptr;
  const float* weights = nullptr;  // null: all 1
  const uint64_t* keys = nullptr;  // for messages; null: unknown
  const float* values = nullptr;
  const int32_t* ids = nullptr;
};

/// A named parameter, contiguous fp32 on the host, as model files hold it.
struct NamedTensor {
  std::string name;
  std::vector<int64_t> shape;
  float* data = nullptr;
  size_t size() const {
    size_t n = 1;
    for (const int64_t d : shape) n *= static_cast<size_t>(d);
    return n;
  }
};

/// What a pass can tell of each sample; null: not asked for.
struct Scores {
  float* losses = nullptr;           // [rows], unweighted
  float* logits = nullptr;           // [rows, outputs]
  float* logit_gradients = nullptr;  // [rows, outputs]: of the sample's own unweighted loss
  float* embeddings = nullptr;       // [rows, embedding_width()]: input of the last layer
};

class Model {
 public:
  virtual ~Model() = default;

  /// Forward and backward pass: gradients of share * mean(weight * loss) are added to those kept. Returns the mean. What
  /// `record` asks for is filled from the same pass.
  virtual double accumulate(const Batch& batch, float share, const Scores& record = {}) = 0;
  /// L2 norm of all kept gradients.
  virtual double gradient_norm() = 0;
  /// An optimizer step with learning rates times lr_factor and kept gradients times gradient_scale; they are then zero.
  virtual void update(float lr_factor, float gradient_scale) = 0;
  /// One step on the batch alone; returns the mean of weight * loss before it. Models may do it in one go.
  virtual double step(const Batch& batch, float lr_factor = 1.0F, const Scores& record = {}) {
    const double loss = accumulate(batch, 1.0F, record);
    update(lr_factor, 1.0F);
    return loss;
  }

  /// Logits [rows, outputs] row-major into `logits`.
  virtual void forward(const Batch& batch, float* logits) = 0;
  /// A forward pass that tells more; labels are needed for losses and gradients.
  virtual void score(const Batch& batch, const Scores& scores) = 0;

  /// Where batches for this model should lie; null: anywhere.
  virtual BatchMemory* batch_memory() { return nullptr; }
  /// How many calls late the losses that step() and accumulate() return are: each returns the loss of the batch so many calls
  /// before, and 0 the first times, so that nobody waits for a GPU.
  virtual uint32_t loss_delay() const { return 0; }
  /// The losses not returned yet, oldest first; they are not returned again.
  virtual std::vector<double> late_losses() { return {}; }

  virtual uint32_t outputs() const = 0;
  virtual uint32_t embedding_width() const = 0;
  /// Floating-point operations of a forward pass over one row, roughly; a training step costs three times as many.
  virtual double flops_per_row() const = 0;
  /// Views of the parameters on the host, in a fixed order, as they are now; whoever writes through them calls
  /// parameters_changed() afterwards.
  virtual std::vector<NamedTensor> parameters() = 0;
  /// The same of what a step needs beyond the parameters, as a checkpoint keeps it: the optimizers' moments, the loss scale.
  virtual std::vector<NamedTensor> optimizer_state() = 0;
  /// As if so many optimizer steps had been taken: moments are corrected by it.
  virtual void set_updates(uint64_t updates) = 0;
  /// Parameters or optimizer state were changed from outside (loaded): derived copies are refreshed.
  virtual void parameters_changed() {}
};

struct ModelOptions {
  Criterion criterion;
  Precision precision = Precision::kFp32;
  Device device = Device::kCpu;
  bool deterministic = false;  // the same weights in every run, also where a faster kernel would not give them (CUDA)
  bool cuda_graphs = true;     // false: every kernel is started on its own, to compare
  Optimizer dense_optimizer;
  Optimizer embedding_optimizer;  // sparse: only rows that a batch touched are updated (Adam as torch.optim.SparseAdam)
  std::vector<ParameterGroup> groups;  // exceptions from the two
  uint64_t seed = 0;
  bool train = true;              // false: no gradients, no optimizer state
  bool initial = true;            // false: weights are loaded anyway, models on LibTorch draw none
};

/// The optimizer of a parameter: of the first group that its name fits, else `otherwise`.
const Optimizer& optimizer_of(const ModelOptions& options, const std::string& name, const Optimizer& otherwise);

/// Initial weights as in the reference implementation: Linear normal(0, sqrt(2 / (in + out))), bias
/// normal(0, sqrt(1 / out)), embeddings uniform(-1/sqrt(rows), 1/sqrt(rows)). E_SHAPE, E_MEMORY.
std::unique_ptr<Model> make_dlrm(const DlrmSpec& spec, const ModelOptions& options);

/// Initial weights as those of make_dlrm(). Parameters are named "layers.<i>.weight" and "layers.<i>.bias". E_SHAPE, E_MEMORY.
std::unique_ptr<Model> make_mlp(const MlpSpec& spec, const ModelOptions& options);

/// Initial weights as torchvision's: convolutions Kaiming normal by fan-out, batch norms 1 and 0. E_SHAPE, E_MEMORY.
std::unique_ptr<Model> make_resnet(const ResNetSpec& spec, const ModelOptions& options);
/// Initial weights as PyTorch's defaults. E_SHAPE, E_MEMORY.
std::unique_ptr<Model> make_cnn(const CnnSpec& spec, const ModelOptions& options);
/// Initial weights as Hugging Face's: normal(0, 0.02), biases 0, layer norms 1 and 0. E_SHAPE, E_MEMORY.
std::unique_ptr<Model> make_transformer(const TransformerSpec& spec, const ModelOptions& options);

/// A user's model, with the parameters that its archive holds (train/script/check.h says what is refused). Its parameters and
/// floating-point buffers keep their names. E_SCRIPT, E_CORRUPT, E_NOT_FOUND, E_SHAPE, E_MEMORY.
std::unique_ptr<Model> make_script_model(const ScriptSpec& spec, const ModelOptions& options);

/// Every architecture has its spec; the variant grows with train/models.
using ModelSpec = std::variant<DlrmSpec, MlpSpec, ResNetSpec, CnnSpec, TransformerSpec, ScriptSpec>;
std::unique_ptr<Model> make_model(const ModelSpec& spec, const ModelOptions& options);

/// Compute threads of LibTorch and of our kernels, process-wide. 0 keeps the default (cores available).
void set_compute_threads(int threads);
int compute_threads();

}  // namespace sluice
