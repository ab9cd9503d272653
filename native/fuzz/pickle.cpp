// The opcodes of a TorchScript archive's pickles.
#include "train/script/pickle_scan.h"

#include "input.h"

using namespace sluice;

SLUICE_FUZZ_TARGET {
  fuzz::Input input(data, size);
  const bool begun = input.flag();
  const std::string bytes = (begun ? "\x80\x02" : "") + std::string(input.rest());
  const auto storage_bytes = [](const std::string& record) -> int64_t { return record == "0" ? 64 : record == "1" ? 0 : -1; };
  fuzz::accepts([&] { scan_pickle(bytes, {"input", {"__torch__.M", "__torch__.a.N"}, storage_bytes}); });
  return 0;
}
