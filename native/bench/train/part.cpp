#include "part.h"

#include <iostream>
#include <sstream>
#include <stdexcept>

namespace sluice::bench {

namespace {

void answer_lines(Part& part) {
  std::cout << "{\"ready\":true}" << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command;
    size_t n = 1;
    words >> command >> n;
    const std::string answer = part.answer(command, n);
    if (answer.empty()) throw std::invalid_argument("no such command: " + command);
    std::cout << answer << std::endl;
  }
}

}  // namespace

int serve(const char* program, const std::function<std::unique_ptr<Part>()>& make) {
  try {
    answer_lines(*make());
    return 0;
  } catch (const std::exception& error) {
    std::cerr << program << ": " << error.what() << std::endl;
    return 1;
  }
}

Precision precision_of(const std::string& name) {
  if (name == "bf16") return Precision::kBf16;
  if (name == "fp16") return Precision::kFp16;
  if (name == "fp32") return Precision::kFp32;
  throw std::invalid_argument("expected fp32, bf16 or fp16, got " + name);
}

}  // namespace sluice::bench
