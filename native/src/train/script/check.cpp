#include "train/script/check.h"

#include <caffe2/serialize/in_memory_adapter.h>
#include <caffe2/serialize/inline_container.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "train/script/archive.h"
#include "train/script/large_stack.h"
#include "train/script/pickle_scan.h"
#include "train/script/source_check.h"

namespace sluice {

namespace {

constexpr uint64_t kMaxFile = 16'000'000'000;
constexpr uint64_t kMaxSources = 64'000'000;

bool starts_with(const std::string& text, const std::string& start) { return text.compare(0, start.size(), start) == 0; }
bool ends_with(const std::string& text, const std::string& end) { return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0; }

class Archive {
 public:
  Archive(std::string_view bytes, const std::string& path)
      : bytes_(bytes), path_(path), entries_(read_archive(bytes, path)),
        reader_(std::make_shared<caffe2::serialize::MemoryReadAdapter>(bytes.data(), static_cast<off_t>(bytes.size()))) {
    for (const ArchiveEntry& entry : entries_) by_name_[entry.name] = &entry;
    compare_with_libtorch();
  }

  void check() {
    for (const char* name : {"data.pkl", "constants.pkl"}) {
      if (by_name_.count(name) == 0) corrupt("it lacks '" + std::string(name) + "'; was it written by torch.jit.save?");
    }
    check_records();
    const std::set<std::string> classes = check_script_sources(sources(), path_);
    scan("data", classes);
    scan("constants", {});
  }

 private:
  [[noreturn]] void corrupt(const std::string& what) const { throw Error(code::kCorrupt, path_ + ": not a sound TorchScript archive: " + what); }

  /// LibTorch must find the same files in the same places.
  void compare_with_libtorch() {
    if (reader_.getAllRecords().size() != entries_.size()) corrupt("LibTorch finds " + std::to_string(reader_.getAllRecords().size()) + " entries, not " + std::to_string(entries_.size()));
    for (const ArchiveEntry& entry : entries_) {
      if (!reader_.hasRecord(entry.name) || reader_.getRecordSize(entry.name) != entry.size || reader_.getRecordOffset(entry.name) != entry.offset) {
        corrupt("LibTorch finds entry '" + entry.name + "' elsewhere or in another size");
      }
    }
  }

  /// Only files that PyTorch writes for a module, so that no other way to load one is taken. traced_inputs.pkl and extra/
  /// are not read when a module is loaded without asking for them; nor is debug information.
  void check_records() const {
    static const std::set<std::string> known{"data.pkl", "constants.pkl", "traced_inputs.pkl", "version", "byteorder", ".data/version", ".data/serialization_id", ".format_version", ".storage_alignment"};
    for (const ArchiveEntry& entry : entries_) {
      const std::string& name = entry.name;
      const bool code = starts_with(name, "code/") && (ends_with(name, ".py") || ends_with(name, ".debug_pkl"));
      const bool tensor = starts_with(name, "data/") || starts_with(name, "constants/") || starts_with(name, "traced_inputs/");
      if (!code && !tensor && !starts_with(name, "extra/") && known.count(name) == 0) throw Error(code::kScript, path_ + ": the file '" + name + "' in the archive is not one that PyTorch writes for a module");
    }
    const auto order = by_name_.find("byteorder");
    if (order != by_name_.end() && content(*order->second) != "little") throw Error(code::kScript, path_ + ": its numbers are not little-endian");
  }

  std::string_view content(const ArchiveEntry& entry) const { return bytes_.substr(entry.offset, entry.stored); }

  ScriptSources sources() {
    ScriptSources sources;
    uint64_t total = 0;
    for (const ArchiveEntry& entry : entries_) {
      if (!starts_with(entry.name, "code/") || !ends_with(entry.name, ".py")) continue;
      total += entry.size;
      if (total > kMaxSources) throw Error(code::kScript, path_ + ": more than " + std::to_string(kMaxSources) + " bytes of code");
      const auto [data, size] = reader_.getRecord(entry.name);
      std::string space = entry.name.substr(5, entry.name.size() - 8);
      if (space.find('.') != std::string::npos) corrupt("the source file '" + entry.name + "' has a dot in its name");
      std::replace(space.begin(), space.end(), '/', '.');
      sources.emplace(std::move(space), std::string(static_cast<const char*>(data.get()), size));
    }
    return sources;
  }

  void scan(const std::string& name, const std::set<std::string>& classes) const {
    const auto bytes_of = [&](const std::string& record) -> int64_t {
      const auto found = by_name_.find(name + "/" + record);
      return found == by_name_.end() ? -1 : static_cast<int64_t>(found->second->size);
    };
    scan_pickle(content(*by_name_.at(name + ".pkl")), {path_ + ": " + name + ".pkl", classes, bytes_of});
  }

  std::string_view bytes_;
  const std::string& path_;
  std::vector<ArchiveEntry> entries_;
  std::map<std::string, const ArchiveEntry*> by_name_;
  caffe2::serialize::PyTorchStreamReader reader_;
};

}  // namespace

std::string read_script_archive(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) throw_errno(errno, "open model " + path);
  if (!S_ISREG(status.st_mode)) throw Error(code::kIo, "open model " + path + ": not a regular file");
  const File file(path, O_RDONLY);
  const uint64_t size = file.size();
  if (size > kMaxFile) throw Error(code::kScript, path + ": " + std::to_string(size) + " bytes; the limit is " + std::to_string(kMaxFile));
  std::string bytes(size, '\0');
  file.read_at(0, bytes.data(), size);
  return bytes;
}

void check_script_archive(std::string_view bytes, const std::string& path) {
  on_large_stack([&] {
    try {
      Archive(bytes, path).check();
    } catch (const Error&) {
      throw;
    } catch (const std::bad_alloc&) {
      throw Error(code::kMemory, path + ": not enough memory to check it");
    } catch (const std::exception& error) {  // of LibTorch's reader
      throw Error(code::kCorrupt, path + ": not a sound TorchScript archive: " + std::string(error.what()).substr(0, 300));
    }
  });
}

void check_script_archive(const std::string& path) { check_script_archive(read_script_archive(path), path); }

}  // namespace sluice
