#include "base/file.h"

#include <fcntl.h>
#include <unistd.h>

#include "fixtures.h"
#include "processes.h"

namespace sluice {
namespace {

using testing::error_of;
using testing::TemporaryFolder;

TEST(File, NamesThePathInItsErrors) {
  const TemporaryFolder folder;
  const auto [code, message] = error_of([&] { File(folder.file("absent"), O_RDONLY); });
  EXPECT_EQ(code, "E_NOT_FOUND");
  EXPECT_NE(message.find("absent"), std::string::npos) << message;
}

TEST(File, AnEarlyEndIsDamageAndAFullDiskIsNoSpace) {
  const TemporaryFolder folder;
  const File file(folder.file("x"), O_RDWR | O_CREAT);
  const std::string bytes(200, 'x');
  file.write_at(0, bytes.data(), 3);
  char text[8];
  EXPECT_EQ(error_of([&] { file.read_at(0, text, 8); }).first, "E_CORRUPT");
  const testing::FileSizeLimit limit(100);
  EXPECT_EQ(error_of([&] { file.write_at(0, bytes.data(), bytes.size()); }).first, "E_NO_SPACE");
}

// In a container the process has the same id at every start: what it left when it was killed must not stop the next one.
TEST(AtomicFile, LeftoversOfAKilledProcessWithTheSameIdAreNoObstacle) {
  const TemporaryFolder folder;
  for (int n = 0; n < 200; ++n) std::ofstream(folder.file("a.tmp-" + std::to_string(getpid()) + "-" + std::to_string(n))) << "left";
  AtomicFile file(folder.file("a"));
  file.write("whole", 5);
  file.commit();
  EXPECT_EQ(std::filesystem::file_size(folder.file("a")), 5U);
}

TEST(ReserveRoom, MakesTheFileLongerAndKeepsItsContent) {
  const TemporaryFolder folder;
  const File file(folder.file("x"), O_RDWR | O_CREAT);
  file.write_at(0, "abc", 3);
  reserve_room(file.fd(), 5000, "x");
  EXPECT_EQ(file.size(), 5000U);
  reserve_room(file.fd(), 10, "x");
  EXPECT_EQ(file.size(), 5000U) << "a file is never made shorter";
  char text[3];
  file.read_at(0, text, 3);
  EXPECT_EQ(std::string(text, 3), "abc");
  const testing::FileSizeLimit limit(6000);
  EXPECT_EQ(error_of([&] { reserve_room(file.fd(), 7000, "x"); }).first, "E_NO_SPACE");
}

TEST(PathExists, TellsAbsenceFromFailure) {
  const TemporaryFolder folder;
  EXPECT_TRUE(path_exists(folder.path()));
  EXPECT_FALSE(path_exists(folder.file("absent")));
  const File file(folder.file("x"), O_RDWR | O_CREAT);
  EXPECT_FALSE(path_exists(folder.file("x/below-a-file")));
  EXPECT_EQ(error_of([] { path_exists("/" + std::string(5000, 'n')); }).first, "E_IO");
}

}  // namespace
}  // namespace sluice
