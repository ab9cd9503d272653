// Training on a GPU of a model that LibTorch's autograd differentiates: its parameters in one array that one kernel updates, its loss
// computed on the device, its step captured as a CUDA graph.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "train/batch_memory.h"
#include "train/in_training.h"
#include "train/model.h"

namespace sluice {

/// Whose the code of a forward pass is. A user's may wait for the device, so that its steps are not captured; may look at its parameters
/// in any way, so that their numbers stay in order; and may leave some out, which are then not updated, as on the CPU.
enum class PassCode : uint8_t { kOurs, kUsers };

class TorchTraining {
 public:
  /// A forward pass. Those of one form over as many rows start the same kernels.
  struct Pass {
    uint32_t form = 0;
    std::function<at::Tensor(const Batch& batch)> logits;  // [rows, outputs] of a batch that lies on the device
  };

  virtual ~TorchTraining() = default;
  virtual at::Device device() const = 0;
  virtual BatchMemory* batch_memory() = 0;

  /// Moves a parameter [any shape, float32, contiguous] to the device; what it held stays on the host as its mirror. Null optimizer: a buffer, or a
  /// parameter that is not trained. All are added before anything else is called.
  virtual void add(const std::string& name, at::Tensor& tensor, const Optimizer* optimizer) = 0;

  virtual double step(const Batch& batch, float lr_factor, uint64_t seed, const Pass& pass) = 0;
  virtual double accumulate(const Batch& batch, float share, uint64_t seed, const Pass& pass) = 0;
  virtual double gradient_norm() = 0;
  virtual void update(float lr_factor, float gradient_scale) = 0;
  virtual std::vector<double> late_losses() = 0;
  virtual uint32_t loss_delay() const = 0;
  /// The logits of the last step() or accumulate(), on the host.
  virtual at::Tensor last_logits() = 0;
  /// Runs work(the batch on the device) on the model's stream.
  virtual void evaluate(const Batch& batch, const std::function<void(const Batch&)>& work) = 0;

  enum class Direction : uint8_t { kToHost, kToDevice };
  /// Parameters and buffers: their mirrors.
  virtual void move_parameters(Direction direction) = 0;
  /// The optimizers' moments, named "<parameter>.first" and ".second", and "loss_scale".
  virtual void move_state(const std::vector<NamedTensor>& host, Direction direction) = 0;
  virtual void set_updates(uint64_t updates) = 0;
};

/// Widths of a batch's rows are those of the model's features. E_DEVICE where there is no device. Passes later end in E_DEVICE where they
/// use an operator without deterministic kernels though options.deterministic is set.
std::unique_ptr<TorchTraining> make_torch_training(const ModelOptions& options, uint32_t outputs, const BatchWidths& widths, PassCode code);

}  // namespace sluice
