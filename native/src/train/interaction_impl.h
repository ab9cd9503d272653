// The two kernels of interaction_impl.cpp, as kernels.h describes them, for the table in kernels_impl.cpp.
#pragma once
#include "train/kernels.h"

namespace sluice::SLUICE_KERNELS {

void dot_triangle(const float* x, size_t f, size_t d, float* out);
void dot_triangle_grad(const float* dz, const float* x, size_t f, size_t d, float* s, float* dx);

}  // namespace sluice::SLUICE_KERNELS
