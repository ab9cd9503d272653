// The kernels of which launch() exists, and the sort: launch.cu on a GPU; the tests of a build without CUDA bring their own
// (tests/cuda/emulation.cpp), which runs the same code on the CPU.
#pragma once
#include "cuda/interaction.h"
#include "cuda/layers.h"
#include "cuda/segments.h"
#include "cuda/step_state.h"

#define SLUICE_KERNELS_OF(X, T) \
  X(InteractionForward<T>)      \
  X(InteractionBackward<T>)     \
  X(SumPieces<T>)               \
  X(JoinPieces<T>)              \
  X(CastInput<T>)               \
  X(ActivationGrad<T>)          \
  X(CriterionLoss<T>)           \
  X(DenseUpdate<T>)             \
  X(DenseSquares<T>)            \
  X(RoundWeights<T>)

#define SLUICE_KERNELS(X)            \
  SLUICE_KERNELS_OF(X, float)        \
  SLUICE_KERNELS_OF(X, c10::BFloat16) \
  SLUICE_KERNELS_OF(X, c10::Half)    \
  X(SetStep)                         \
  X(PrepareAdam)                     \
  X(FinishStep)                      \
  X(RowKeys)                         \
  X(FinishColumns)                   \
  X(SumDoubles)                      \
  X(AddTo)

namespace sluice::gpu {

/// Bytes of working memory that sort_rows() of n entries needs.
size_t sort_bytes(uint32_t n, uint32_t bits);

/// Sorts rows [n], which have so many bits, ascending, and order [n] with them; equal rows keep their order. On the current stream.
void sort_rows(void* memory, size_t bytes, const uint64_t* rows, uint64_t* sorted_rows, const uint32_t* order, uint32_t* sorted_order,
               uint32_t n, uint32_t bits);

/// Scratch memory, in bytes, that a warp can have at most.
size_t largest_scratch();

}  // namespace sluice::gpu
