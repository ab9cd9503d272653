// What all models share that LibTorch's autograd differentiates: losses, optimizers, scores, precision and parameters are
// ours; a model adds its parameters and its forward pass.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "cuda/torch_training.h"
#include "train/loss_scale.h"
#include "train/model.h"
#include "train/optimizer.h"

namespace sluice {

class TorchModel : public Model {
 public:
  double step(const Batch& batch, float lr_factor, const Scores& record) override;
  double accumulate(const Batch& batch, float share, const Scores& record) override;
  double gradient_norm() override;
  void update(float lr_factor, float gradient_scale) override;
  void forward(const Batch& batch, float* logits) override;
  void score(const Batch& batch, const Scores& scores) override;

  uint32_t outputs() const override { return outputs_; }
  uint32_t embedding_width() const override { return embedding_width_; }
  double flops_per_row() const override { return flops_; }
  std::vector<NamedTensor> parameters() override;
  std::vector<NamedTensor> optimizer_state() override;
  void set_updates(uint64_t updates) override;
  void parameters_changed() override;
  uint32_t loss_delay() const override { return gpu_ ? gpu_->loss_delay() : 0; }
  std::vector<double> late_losses() override;
  BatchMemory* batch_memory() override { return gpu_ ? gpu_->batch_memory() : nullptr; }

 protected:
  /// embeddings [rows, any] may be undefined.
  struct Output {
    at::Tensor logits;
    at::Tensor embeddings;
  };

  /// `name` begins the messages about the model; widths: of what it takes of a batch, which a GPU needs to know.
  TorchModel(std::string name, const ModelOptions& options, uint32_t outputs, const BatchWidths& widths, PassCode code = PassCode::kOurs);

  /// Looks at a batch on the host before a pass over it: throws for what the model cannot take. Passes over as many rows for which it
  /// returns the same number start the same kernels.
  virtual uint32_t inspect(const Batch&) { return 0; }
  /// Logits [rows, outputs] ([rows] for one output) of the batch, on the device, that was inspected last. training: the pass that
  /// gradients are taken of.
  virtual Output run(const Batch& batch, bool training) = 0;

  /// Makes the float32 tensor a parameter of the model file, in order of calls, and returns the tensor to compute with. A tensor that
  /// was taken already is in the file under both names, and trained once.
  /// trained: has a gradient and an optimizer; otherwise a buffer, such as the statistics of a batch norm.
  at::Tensor take(const std::string& name, at::Tensor tensor, bool trained = true);
  void add_flops(double per_row) { flops_ += per_row; }
  void set_embedding_width(uint32_t width) { embedding_width_ = width; }
  const ModelOptions& options() const { return options_; }
  const std::string& name() const { return name_; }
  /// Where batches and parameters lie when run() is called.
  at::Device device() const { return device_; }
  bool on_gpu() const { return gpu_ != nullptr; }

  /// The images of the batch as [rows, channels, height, width], channels last in memory: a view.
  at::Tensor images(const Batch& batch, const ImageShape& shape) const;

 private:
  struct Trained {
    at::Tensor tensor;
    DenseOptimizer optimizer;
    std::string name;
  };

  uint64_t next_seed();
  std::vector<NamedTensor> host_state();
  TorchTraining::Pass pass(const Batch& batch);
  void tell_last(const Batch& batch, const Scores& record);
  Output run_cast(const Batch& batch, bool training);
  Output evaluated(const Batch& batch);
  void tell(const Output& output, const Batch& batch, const Scores& scores);
  void check_logits(const at::Tensor& logits, size_t rows) const;
  void check_embeddings(const at::Tensor& embeddings, size_t rows);
  /// L2 norm of the gradients as they are, with the loss scale in them.
  double scaled_norm();

  std::string name_;
  ModelOptions options_;
  std::unique_ptr<TorchTraining> gpu_;  // null: on the CPU
  at::Device device_;
  uint32_t outputs_;
  uint32_t embedding_width_ = 0;
  double flops_ = 0.0;
  std::vector<NamedTensor> parameters_;
  std::vector<std::pair<at::Tensor, float*>> taken_;  // with their numbers on the host
  std::vector<Trained> trained_;
  LossScale loss_scale_;
  std::optional<double> norm_;  // scaled_norm() of the kept gradients, once asked for
  uint64_t updates_ = 0;
  uint64_t passes_ = 0;         // since the last of them
  Buffer<float> gradient_;      // at the logits
};

}  // namespace sluice
