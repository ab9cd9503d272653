#include "modelstore/safetensors.h"

#include <sys/resource.h>

#include <csignal>

#include "fixtures.h"

namespace sluice {
namespace {

using testing::error_of;
using testing::TemporaryFolder;

struct Pair {
  std::vector<float> a{1, 2, 3, 4, 5, 6}, b{7};
  std::vector<NamedTensor> tensors() { return {{"a.weight", {2, 3}, a.data()}, {"b", {1}, b.data()}}; }
};

void write_file(const std::string& path, const std::string& header, const std::string& data) {
  std::ofstream file(path, std::ios::binary);
  const uint64_t length = header.size();
  file.write(reinterpret_cast<const char*>(&length), 8);
  file << header << data;
}

TEST(Safetensors, RoundTripKeepsValuesAndMetadata) {
  const TemporaryFolder folder;
  Pair saved;
  save_safetensors(folder.file("m.safetensors"), saved.tensors(), {{"pipeline", "p \"quoted\" ü"}});
  Pair loaded;
  loaded.a.assign(6, 0);
  loaded.b.assign(1, 0);
  load_safetensors(folder.file("m.safetensors"), loaded.tensors());
  EXPECT_EQ(loaded.a, saved.a);
  EXPECT_EQ(loaded.b, saved.b);
  const SafetensorsHeader header = read_safetensors_header(folder.file("m.safetensors"));
  EXPECT_EQ(header.metadata, (Metadata{{"pipeline", "p \"quoted\" ü"}}));
  ASSERT_EQ(header.tensors.size(), 2U);
  EXPECT_EQ(header.data_offset % 8, 0U);
}

TEST(Safetensors, ReadsAFileOfThePythonPackage) {
  const std::string path = std::string(SLUICE_FIXTURES) + "/python.safetensors";
  const SafetensorsHeader header = read_safetensors_header(path);
  EXPECT_EQ(header.metadata, (Metadata{{"made", "by python"}}));
  Pair loaded;
  loaded.a.assign(6, 0);
  loaded.b.assign(1, 0);
  load_safetensors(path, loaded.tensors());
  EXPECT_EQ(loaded.a, (std::vector<float>{0.5, 1.5, 2.5, 3.5, 4.5, 5.5}));
  EXPECT_EQ(loaded.b, (std::vector<float>{-2}));
}

TEST(Safetensors, NamesEverythingThatDoesNotFit) {
  const TemporaryFolder folder;
  Pair saved;
  save_safetensors(folder.file("m"), saved.tensors(), {});
  std::vector<float> other(4);
  const auto [code, message] = error_of([&] { load_safetensors(folder.file("m"), {{"a.weight", {2, 2}, other.data()}, {"c", {4}, other.data()}}); });
  EXPECT_EQ(code, "E_SHAPE");
  EXPECT_NE(message.find("a.weight is [2,3], the model needs [2,2]"), std::string::npos) << message;
  EXPECT_NE(message.find("c is missing"), std::string::npos) << message;
  EXPECT_NE(message.find("b is not part of the model"), std::string::npos) << message;
}

TEST(Safetensors, HostileFilesEndInCorrupt) {
  const TemporaryFolder folder;
  const std::string path = folder.file("m");
  const std::string entry = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  const std::vector<std::pair<std::string, std::string>> bad{
      {"", ""},
      {"{", ""},
      {"[]", ""},
      {R"({"a":1})", ""},
      {entry, "1234567"},
      {R"({"a":{"dtype":"F99","shape":[2],"data_offsets":[0,8]}})", "12345678"},
      {R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", "12345678"},
      {R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}})", "12345678"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", "12345678"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}})", "12345678"},
      {R"({"a":{"dtype":"F32","shape":[1e300],"data_offsets":[0,8]}})", "12345678"},
      {R"({"__metadata__":{"x":1}})", ""},
  };
  for (const auto& [header, data] : bad) {
    write_file(path, header, data);
    EXPECT_EQ(error_of([&] { read_safetensors_header(path); }).first, "E_CORRUPT") << header;
  }
  std::ofstream(path, std::ios::binary) << "short";
  EXPECT_EQ(error_of([&] { read_safetensors_header(path); }).first, "E_CORRUPT");
  std::ofstream(path, std::ios::binary) << std::string("\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10);
  EXPECT_EQ(error_of([&] { read_safetensors_header(path); }).first, "E_CORRUPT");
  EXPECT_EQ(error_of([&] { read_safetensors_header(folder.file("none")); }).first, "E_NOT_FOUND");
  EXPECT_EQ(error_of([&] { read_safetensors_header(folder.path()); }).first, "E_IO");
}

TEST(Safetensors, AFailedWriteLeavesTheOldFileAndNothingElse) {
  const TemporaryFolder folder;
  Pair saved;
  save_safetensors(folder.file("m"), saved.tensors(), {});
  std::vector<float> large(1 << 16);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{4096, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const auto [code, message] = error_of([&] { save_safetensors(folder.file("m"), {{"a", {1 << 16}, large.data()}}, {}); });
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(code, "E_NO_SPACE");
  EXPECT_EQ(read_safetensors_header(folder.file("m")).tensors.size(), 2U);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

}  // namespace
}  // namespace sluice
