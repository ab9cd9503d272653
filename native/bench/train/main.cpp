// Times training for scripts/bench/train.mjs:   train_bench <part> <threads> <arguments of the part>
#include <functional>
#include <map>
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

std::unique_ptr<Part> part_of(const Arguments& a) {
  const auto maker = a.size() < 2 ? kParts.end() : kParts.find(a[0]);
  if (maker == kParts.end()) throw std::invalid_argument("expected <part> <threads> and the part's arguments");
  sluice::set_compute_threads(std::stoi(a[1]));
  return maker->second(Arguments(a.begin() + 2, a.end()));
}

}  // namespace

int main(int argc, char** argv) {
  return serve("train_bench", [&] { return part_of(Arguments(argv + 1, argv + argc)); });
}
