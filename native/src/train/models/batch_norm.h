// Batch norm (Ioffe and Szegedy, 2015, arXiv 1502.03167), with the residual sum and the ReLU that follow it in the same passes
// over memory.
#pragma once
#include <ATen/core/Tensor.h>

namespace sluice {

/// All [channels] float32. mean and variance are the running statistics, of which a training pass takes a tenth from its batch,
/// as PyTorch's with its default momentum; eps is 1e-5.
struct BatchNorm {
  at::Tensor weight;
  at::Tensor bias;
  at::Tensor mean;
  at::Tensor variance;
};

/// y = BN(x), or BN(x) + residual where that is defined, then ReLU if asked. x: [rows, channels, height, width] of float32,
/// bfloat16 or half; so is y, with channels last in memory. training: with the batch's own statistics and, where gradients
/// are asked for, a node in autograd's graph.
at::Tensor batch_norm(const at::Tensor& x, const BatchNorm& norm, const at::Tensor& residual, bool relu, bool training);

}  // namespace sluice
