// Times the sample index for scripts/bench, ours or a peer's. Arguments: <ours|lmdb> <folder> <samples>. The folder must be empty;
// what is written there is left behind for a look with mdb_stat.
#include <cstdio>
#include <exception>
#include <stdexcept>

#include "index.h"

int main(int argc, char** argv) {
  using namespace sluice::bench;
  if (argc != 4) {
    std::fprintf(stderr, "usage: index_bench <ours|lmdb> <folder> <samples>\n");
    return 2;
  }
  try {
    const std::string part = argv[1];
    const uint64_t samples = std::stoull(argv[3]);
    if (part == "ours") {
      bench_ours(argv[2], samples);
    } else if (part == "lmdb") {
      bench_lmdb(argv[2], samples);
    } else {
      throw std::invalid_argument("expected ours or lmdb, got " + part);
    }
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "index_bench: %s\n", error.what());
    return 1;
  }
}
