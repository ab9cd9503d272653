// Reading the committed fixtures, and small helpers that several test files share.
#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"

namespace sluice::testing {

inline std::string fixture_path(const std::string& name) { return std::string(SLUICE_FIXTURES) + "/" + name; }

inline nlohmann::json fixture(const std::string& name) {
  std::ifstream file(fixture_path(name));
  return nlohmann::json::parse(file);
}

/// A folder of its own for each test, removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-test-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string file(const std::string& name) const { return (path_ / name).string(); }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

/// Runs the call and returns the code and message of the Error that it throws; fails the test when it throws none.
template <typename Call>
std::pair<std::string, std::string> error_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  ADD_FAILURE() << "expected an Error";
  return {"", ""};
}

}  // namespace sluice::testing
