#include "base/memory.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/buffer.h"
#include "base/error.h"

namespace sluice {
namespace {

class FreeMemory : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::temp_directory_path() / ("sluice-memory-" + std::to_string(getpid()));
    write("/proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 800 kB\n");
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void write(const std::string& file, const std::string& text) {
    const std::string path = root_ + file;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path) << text;
  }
  uint64_t kilobytes() const { return free_memory(root_) / 1024; }

  std::string root_;
};

TEST_F(FreeMemory, IsWhatTheKernelCallsAvailable) { EXPECT_EQ(kilobytes(), 800U); }

TEST_F(FreeMemory, IsBoundedByTheControlGroupAndThoseAboveIt) {
  write("/proc/self/cgroup", "0::/outer/inner\n");
  write("/sys/fs/cgroup/outer/inner/memory.max", "max\n");
  write("/sys/fs/cgroup/outer/inner/memory.current", "204800\n");
  EXPECT_EQ(kilobytes(), 800U);
  write("/sys/fs/cgroup/outer/memory.max", "409600\n");
  write("/sys/fs/cgroup/outer/memory.current", "307200\n");
  EXPECT_EQ(kilobytes(), 100U);
  write("/sys/fs/cgroup/outer/memory.stat", "anon 1\ninactive_file 51200\n");  // given back when somebody needs it
  EXPECT_EQ(kilobytes(), 150U);
}

TEST_F(FreeMemory, KnowsTheFirstVersionOfControlGroups) {
  write("/proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/job\n");
  write("/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "204800\n");
  write("/sys/fs/cgroup/memory/job/memory.usage_in_bytes", "102400\n");
  EXPECT_EQ(kilobytes(), 100U);
}

TEST(RequireMemory, SaysWhatWasAskedForAndWhatIsFree) {
  try {
    require_memory(uint64_t{1} << 60, "a table");
    FAIL() << "an exbibyte";
  } catch (const Error& error) {
    EXPECT_STREQ(error.code(), code::kMemory);
    EXPECT_NE(std::string(error.what()).find("no memory for a table: 1.0 EiB asked for, "), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find(" free"), std::string::npos) << error.what();
  }
  EXPECT_NO_THROW(require_memory(1, "a table"));
  EXPECT_THROW(Buffer<float>(size_t{1} << 50, "a table"), Error);
}

}  // namespace
}  // namespace sluice
