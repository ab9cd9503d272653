// Times training for scripts/bench/train.mjs:   train_bench <part> <threads> <arguments of the part>
// Reads one command a line ("run 9"), answers each with one line of JSON.
#include <cstdio>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>

#include "part.h"
#include "train/model.h"

namespace {

using namespace sluice::bench;

const std::map<std::string, std::function<std::unique_ptr<Part>(const Arguments&)>> kParts{
    {"dlrm", make_dlrm_part},
    {"limits", make_limits_part},
    {"loader", make_loader_part},
    {"resnet", make_resnet_part},
};

void say(const std::string& line) {
  std::puts(line.c_str());
  std::fflush(stdout);
}

void serve(int argc, char** argv) {
  const auto maker = argc < 3 ? kParts.end() : kParts.find(argv[1]);
  if (maker == kParts.end()) throw std::invalid_argument("expected <part> <threads> and the part's arguments");
  sluice::set_compute_threads(std::stoi(argv[2]));
  const auto part = maker->second(Arguments(argv + 3, argv + argc));
  say("{\"ready\":true}");
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command;
    size_t n = 1;
    words >> command >> n;
    const std::string answer = part->answer(command, n);
    if (answer.empty()) throw std::invalid_argument("no such command: " + command);
    say(answer);
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    serve(argc, argv);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "train_bench: %s\n", error.what());
    return 1;
  }
}
