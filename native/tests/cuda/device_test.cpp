#include <gtest/gtest.h>

#include "base/error.h"
#include "cuda/cuda.h"
#include "train/model.h"

namespace sluice {
namespace {

TEST(Device, WithoutOneCudaIsRefusedWithTheReason) {
  if (!cuda_devices().empty()) GTEST_SKIP() << "this machine has a CUDA device";
  ModelOptions options;
  options.device = Device::kCuda;
  const ModelSpec spec = DlrmSpec{2, {10}, 4, {4}, {1}};
  try {
    make_model(spec, options);
    FAIL() << "made a model";
  } catch (const Error& error) {
    EXPECT_STREQ(error.code(), code::kDevice);
    EXPECT_EQ(std::string(error.what()).rfind("there is no CUDA device: ", 0), 0U) << error.what();
  }
}

TEST(Device, ADeviceTellsItsNameAndMemory) {
  for (const CudaDevice& device : cuda_devices()) {
    EXPECT_FALSE(device.name.empty());
    EXPECT_GT(device.memory, 0U);
    EXPECT_NE(device.capability.find('.'), std::string::npos);
  }
}

}  // namespace
}  // namespace sluice
