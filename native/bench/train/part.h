// What the parts of train_bench and gpu_bench share. A part is one file of this folder with one function that makes it, named in main.cpp; it
// answers commands with one line of JSON each, so that scripts/bench can alternate its rounds with those of a peer.
#pragma once
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "measure.h"

#include "train/model.h"

namespace sluice::bench {

/// Numbers as a JSON array.
inline std::string json(const std::vector<double>& values) {
  std::string list;
  for (const double value : values) {
    char text[40];
    std::snprintf(text, sizeof text, "%s%.9g", list.empty() ? "" : ",", value);
    list += text;
  }
  return "[" + list + "]";
}

/// Seconds of each of n calls of work(i), as JSON.
template <typename Work>
std::string timed(size_t n, const Work& work) {
  std::vector<double> seconds;
  for (size_t i = 0; i < n; ++i) {
    const auto start = Clock::now();
    work(i);
    seconds.push_back(seconds_since(start));
  }
  return "{\"seconds\":" + json(seconds) + "}";
}

class Part {
 public:
  virtual ~Part() = default;
  /// The answer, one JSON object, to `command n`; empty: no such command.
  virtual std::string answer(const std::string& command, size_t n) = 0;
};

using Arguments = std::vector<std::string>;

/// What every benchmark program does: reads one command a line ("run 9") and answers each with one line of JSON. Returns the exit code.
int serve(const char* program, const std::function<std::unique_ptr<Part>()>& make);

/// Of fp32, bf16 and fp16.
Precision precision_of(const std::string& name);

/// <fp32|bf16|fp16> <small|embedding> <rows per table> <folder>
std::unique_ptr<Part> make_dlrm_part(const Arguments& arguments);
/// <cifar|imagenet> <loader threads> <folder>
std::unique_ptr<Part> make_loader_part(const Arguments& arguments);
/// <fp32|bf16> <folder>
std::unique_ptr<Part> make_resnet_part(const Arguments& arguments);
/// no arguments
std::unique_ptr<Part> make_limits_part(const Arguments& arguments);

}  // namespace sluice::bench
