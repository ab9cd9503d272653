#include "cuda/cuda.h"
#include "gpu_fixture.h"

namespace sluice::testing {
bool has_device() { return !cuda_devices().empty(); }
}  // namespace sluice::testing
