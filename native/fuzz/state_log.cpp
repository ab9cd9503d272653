// The state log of a dataset: raw, or with the checksums of its header and of its records made to hold.
#include "storage/state_log.h"

#include "files.h"

using namespace sluice;

namespace {

std::string sound_log() {
  StateLog(fuzz::scratch() + "/sound.log").rewrite(1, 600, {{"", "schema"}, {"progress", "12"}});
  return fuzz::read_file(fuzz::scratch() + "/sound.log");
}

}  // namespace

SLUICE_FUZZ_TARGET {
  static const std::string sound = sound_log();
  fuzz::Input input(data, size);
  const bool seal = input.flag();
  const std::string bytes(input.rest());
  const StateLog log(fuzz::write_scratch("state.log", seal ? fuzz::sealed_log(bytes, sound) : bytes));
  std::optional<StateLog::Content> content;
  if (!fuzz::accepts([&] { content = log.read(); }) || !content) return 0;
  fuzz::expect(content->end.base <= content->end.end && content->end.end <= bytes.size(), "an end within the file");
  fuzz::expect(content->whole == (content->end.end == bytes.size()), "a whole file that ends with its last record");
  // What was read stays when the log goes on.
  const auto added = log.append(content->end, content->size + 1, {{"fuzz", "added"}});
  fuzz::expect(added.has_value(), "a log that goes on where it was read to");
  const auto again = log.read();
  fuzz::expect(again && again->whole && again->size == content->size + 1 && again->end == added->end, "the record that was added");
  content->entries["fuzz"] = "added";
  fuzz::expect(again->entries == content->entries, "the entries that there were, and the one that was added");
  return 0;
}
