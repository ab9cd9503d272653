#include "waiting/part.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/crc32c.h"
#include "base/error.h"

namespace sluice {

namespace {

constexpr char kLogMagic[8] = {'S', 'L', 'W', 'A', 'I', 'T', '1', '\n'};
constexpr char kTableMagic[8] = {'S', 'L', 'W', 'T', 'A', 'B', '1', '\n'};
constexpr uint64_t kMapBytes = 3 * kMaxPartBytes;  // a block is smaller than two parts
constexpr uint64_t kMarksBytes = kMaxPartEvents * sizeof(Mark);
constexpr uint64_t kRoomStep = uint64_t{1} << 20;
constexpr uint64_t kFirstSlots = 1024;

struct LogHeader {
  char magic[8];
  uint64_t first;
  uint64_t record_bytes;
  SipKey key;
  uint32_t reserved;
  uint32_t crc;  // of the fields above
};
static_assert(sizeof(LogHeader) == 48);

struct TableHeader {
  char magic[8];
  uint64_t slots, entries, end, log_end;
  int64_t began;
  uint32_t reserved;
  uint32_t crc;  // of the fields above, the places and the tags
};
static_assert(sizeof(TableHeader) == 56);

uint32_t crc_of_event(const uint8_t* record, uint32_t bytes) { return crc32c(record + sizeof(uint32_t), bytes - sizeof(uint32_t)); }

}  // namespace

LogPart::LogPart(std::string folder, uint64_t first) : folder_(std::move(folder)), first_(first), end_(first) {}

LogPart::~LogPart() {
  if (marks_ != nullptr) munmap(marks_, kMarksBytes);
}

std::string LogPart::path(const char* ending) const {
  char name[40];
  std::snprintf(name, sizeof name, "/%016llu.%s", static_cast<unsigned long long>(first_), ending);
  return folder_ + name;
}

void LogPart::corrupt(uint64_t at, const char* what) const {
  throw Error(code::kCorrupt, path("log") + ": byte " + std::to_string(at) + ": " + what);
}

std::unique_ptr<LogPart> LogPart::create(const std::string& folder, uint64_t first, const SipKey& key, uint64_t record_bytes) {
  std::unique_ptr<LogPart> part(new LogPart(folder, first));
  LogHeader header{};
  std::memcpy(header.magic, kLogMagic, sizeof kLogMagic);
  header.first = first;
  header.record_bytes = record_bytes;
  header.key = key;
  header.crc = crc32c(&header, offsetof(LogHeader, crc));
  File(part->path("marks"), O_RDWR | O_CREAT | O_TRUNC);
  AtomicFile file(part->path("log"));
  file.write(&header, sizeof header);
  file.commit();
  return open(folder, first, record_bytes, true);
}

std::unique_ptr<LogPart> LogPart::open(const std::string& folder, uint64_t first, uint64_t record_bytes, bool last) {
  std::unique_ptr<LogPart> part(new LogPart(folder, first));
  part->log_ = File(part->path("log"), O_RDWR);
  LogHeader header{};
  part->log_.read_at(0, &header, sizeof header);
  if (std::memcmp(header.magic, kLogMagic, sizeof kLogMagic) != 0 || header.crc != crc32c(&header, offsetof(LogHeader, crc)) || header.first != first)
    part->corrupt(0, "no header of a log");
  if (header.record_bytes != record_bytes) part->corrupt(0, "its samples have other columns than the dataset");
  part->record_bytes_ = record_bytes;
  part->key_ = header.key;
  part->log_end_ = sizeof header;
  part->log_map_ = Mapping(part->log_, kMapBytes);
  part->map_marks();
  if (!part->open_table()) part->read_blocks(last);
  return part;
}

void LogPart::map_marks() {
  marks_file_ = File(path("marks"), O_RDWR | O_CREAT);
  void* memory = mmap(nullptr, kMarksBytes, PROT_READ | PROT_WRITE, MAP_SHARED, marks_file_.fd(), 0);
  if (memory == MAP_FAILED) throw_errno(errno, "map " + marks_file_.path());
  marks_ = static_cast<Mark*>(memory);
  marks_room_ = marks_file_.size() / sizeof(Mark);
}

bool LogPart::has_room(uint64_t events, uint64_t bytes) const {
  if (sealed()) return false;
  return end_ == first_ || (end_ - first_ + events <= kMaxPartEvents && log_end_ + bytes <= kMaxPartBytes);
}

void LogPart::append(const std::vector<uint8_t>& block, uint64_t events) {
  const uint64_t needed = (end_ - first_ + events) * sizeof(Mark);
  if (needed > kMarksBytes || log_end_ + block.size() > kMapBytes) throw Error(code::kInternal, "a block is too large for a part of the log");
  // Room first: a page of a mapping that the disk has no place for ends the process.
  if (marks_room_ * sizeof(Mark) < needed) {
    reserve_room(marks_file_.fd(), std::min(kMarksBytes, (needed + kRoomStep - 1) / kRoomStep * kRoomStep), marks_file_.path());
    marks_room_ = marks_file_.size() / sizeof(Mark);
  }
  try {
    log_.write_at(log_end_, block.data(), block.size());
    log_.sync();
  } catch (...) {
    if (ftruncate(log_.fd(), static_cast<off_t>(log_end_)) != 0) log_.close();  // nothing more can be appended
    throw;
  }
  if (!read_block(log_end_, log_end_ + block.size())) throw Error(code::kInternal, "a block that was written cannot be read");
}

void LogPart::read_blocks(bool last) {
  const uint64_t size = log_.size();
  while (log_end_ < size && read_block(log_end_, size)) {
  }
  if (log_end_ == size) return;
  if (!last) corrupt(log_end_, "no block of events");
  for (uint64_t at = log_end_ + 8; at + sizeof(BlockHeader) <= size; at += 8)
    if (is_block_header(at, size)) corrupt(log_end_, "no block of events, though others follow");
  // An append that was cut off: nobody was told that it arrived.
  if (ftruncate(log_.fd(), static_cast<off_t>(log_end_)) != 0) throw_errno(errno, "cut " + log_.path());
}

bool LogPart::is_block_header(uint64_t at, uint64_t size) const {
  BlockHeader header;
  std::memcpy(&header, log_map_.data() + at, sizeof header);
  if (header.magic != kBlockMagic || header.note_bytes > size - at - sizeof header) return false;
  return header.crc == crc32c(log_map_.data() + at + 8, sizeof header - 8 + header.note_bytes);
}

/// False where no whole block lies there.
bool LogPart::read_block(uint64_t at, uint64_t size) {
  BlockHeader header;
  if (size - at < sizeof header) return false;
  const uint8_t* block = log_map_.data() + at;
  std::memcpy(&header, block, sizeof header);
  const uint64_t notes = padded(header.note_bytes);
  if (header.magic != kBlockMagic || header.first != end_ || header.events == 0 || header.events > kMaxPartEvents - (end_ - first_)) return false;
  if (header.bytes > size - at - sizeof header || notes > size - at - sizeof header - header.bytes) return false;
  if (header.crc != crc32c(block + 8, sizeof header - 8 + header.note_bytes)) return false;
  const uint64_t records = at + sizeof header + notes;
  std::vector<uint32_t> places;
  places.reserve(header.events);
  for (uint64_t offset = 0; places.size() < header.events; offset += reinterpret_cast<const EventHead*>(log_map_.data() + places.back() * uint64_t{8})->bytes) {
    if (header.bytes - offset < sizeof(EventHead)) return false;
    EventHead head;
    std::memcpy(&head, log_map_.data() + records + offset, sizeof head);
    const uint64_t before = sizeof head + (head.kind == EventKind::kSample ? record_bytes_ : 0);
    if (head.bytes > header.bytes - offset || head.bytes != padded(before + head.id_bytes) || head.number != end_ + places.size()) return false;
    if (head.crc != crc_of_event(log_map_.data() + records + offset, head.bytes)) return false;
    places.push_back(static_cast<uint32_t>((records + offset) / 8));
  }
  const uint64_t needed = (end_ - first_ + header.events) * sizeof(Mark);
  if (marks_room_ * sizeof(Mark) < needed) {
    reserve_room(marks_file_.fd(), needed, marks_file_.path());
    marks_room_ = marks_file_.size() / sizeof(Mark);
  }
  for (size_t i = 0; i < places.size(); ++i) marks_[end_ - first_ + i].place = places[i];
  log_end_ = records + header.bytes;
  if (end_ == first_) began_ = this->at(places[0]).head().arrived;
  end_ += header.events;
  blocks_.push_back({end_, {reinterpret_cast<const char*>(block + sizeof header), header.note_bytes}});
  return true;
}

Event LogPart::at(uint32_t place) const {
  const uint64_t offset = place * uint64_t{8};
  if (offset < sizeof(LogHeader) || offset + sizeof(EventHead) > log_end_) corrupt(offset, "no event");
  const Event event(log_map_.data() + offset);
  const uint64_t bytes = event.head().bytes;
  if (bytes < sizeof(EventHead) || bytes > log_end_ - offset || event.head().crc != crc_of_event(log_map_.data() + offset, event.head().bytes))
    corrupt(offset, "the event's checksum does not hold");
  return event;
}

Event LogPart::event(uint64_t number) const {
  const Event event = at(marks_[number - first_].place);
  if (event.head().number != number) corrupt(marks_[number - first_].place * uint64_t{8}, "another event");
  return event;
}

std::optional<std::string_view> LogPart::pass(uint64_t number) {
  while (!blocks_.empty() && blocks_.front().end <= number) blocks_.pop_front();
  if (blocks_.empty() || blocks_.front().end != number + 1) return std::nullopt;
  const std::string_view notes = blocks_.front().notes;
  blocks_.pop_front();
  return notes;
}

void LogPart::add(uint64_t hash, uint64_t number) {
  if (2 * (entries_ + 1) > slots_) grow_table();
  insert(hash, marks_[number - first_].place);
}

void LogPart::insert(uint64_t hash, uint32_t place) {
  const uint64_t mask = slots_ - 1;
  uint64_t slot = hash & mask;
  while (own_places_[slot] != 0) slot = (slot + 1) & mask;
  own_places_[slot] = place;
  own_tags_[slot] = static_cast<uint8_t>(hash >> 56);
  ++entries_;
}

void LogPart::grow_table() {
  const Buffer<uint32_t> before = std::move(own_places_);
  slots_ = slots_ == 0 ? kFirstSlots : 2 * slots_;
  own_tags_ = Buffer<uint8_t>(slots_, "the table of waiting samples");
  own_places_ = Buffer<uint32_t>(slots_, "the table of waiting samples");
  tags_ = own_tags_.data();
  places_ = own_places_.data();
  entries_ = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    if (before[i] == 0) continue;
    const std::string_view id = at(before[i]).id(record_bytes_);
    insert(siphash(key_, id.data(), id.size()), before[i]);
  }
}

Event LogPart::find(uint64_t hash, uint64_t before, const std::function<bool(const Event&)>& matches) const {
  Event newest;
  if (slots_ == 0) return newest;
  const uint64_t mask = slots_ - 1;
  const auto tag = static_cast<uint8_t>(hash >> 56);
  for (uint64_t slot = hash & mask, n = 0; n < slots_ && places_[slot] != 0; slot = (slot + 1) & mask, ++n) {
    if (tags_[slot] != tag) continue;
    const Event event = at(places_[slot]);
    if (event.head().number < before && (!newest || newest.head().number < event.head().number) && matches(event)) newest = event;
  }
  return newest;
}

void LogPart::prefetch(uint64_t hash) const {
  if (slots_ == 0) return;
  __builtin_prefetch(tags_ + (hash & (slots_ - 1)));
  __builtin_prefetch(places_ + (hash & (slots_ - 1)));
}

void LogPart::sync_marks() const {
  if (msync(marks_, marks_room_ * sizeof(Mark), MS_SYNC) != 0) throw_errno(errno, "sync " + marks_file_.path());
  if (fsync(marks_file_.fd()) != 0) throw_errno(errno, "sync " + marks_file_.path());
}

void LogPart::seal() {
  TableHeader header{};
  std::memcpy(header.magic, kTableMagic, sizeof kTableMagic);
  header.slots = slots_;
  header.entries = entries_;
  header.end = end_;
  header.log_end = log_end_;
  header.began = began_;
  header.crc = crc32c(own_tags_.data(), slots_, crc32c(own_places_.data(), slots_ * 4, crc32c(&header, offsetof(TableHeader, crc))));
  AtomicFile file(path("index"));
  file.write(&header, sizeof header);
  file.write(own_places_.data(), slots_ * 4);
  file.write(own_tags_.data(), slots_);
  file.commit();
  if (!open_table()) throw Error(code::kIo, path("index") + ": it cannot be read again");
}

/// False where there is no sound one.
bool LogPart::open_table() {
  if (!path_exists(path("index"))) return false;
  const File file(path("index"), O_RDONLY);
  TableHeader header;
  const uint64_t size = file.size();
  if (size < sizeof header) return false;
  file.read_at(0, &header, sizeof header);
  const bool fits = std::memcmp(header.magic, kTableMagic, sizeof kTableMagic) == 0 && header.slots <= 4 * kMaxPartEvents &&
                    (header.slots & (header.slots - 1)) == 0 && size == sizeof header + header.slots * 5 && header.end > first_ &&
                    header.end - first_ <= kMaxPartEvents && header.log_end <= log_.size() && (header.end - first_) * sizeof(Mark) <= marks_file_.size();
  if (!fits) return false;
  Mapping map(file, size);
  const auto* places = reinterpret_cast<const uint32_t*>(map.data() + sizeof header);
  const uint8_t* tags = map.data() + sizeof header + header.slots * 4;
  if (header.crc != crc32c(tags, header.slots, crc32c(places, header.slots * 4, crc32c(&header, offsetof(TableHeader, crc))))) return false;
  table_file_ = std::move(map);
  places_ = places;
  tags_ = tags;
  slots_ = header.slots;
  entries_ = header.entries;
  end_ = header.end;
  log_end_ = header.log_end;
  began_ = header.began;
  own_places_ = {};
  own_tags_ = {};
  blocks_.clear();
  return true;
}

void LogPart::remove() {
  // The log last: without it the others are leftovers, and what is there of a log counts.
  for (const char* ending : {"index", "marks", "log"})
    if (unlink(path(ending).c_str()) != 0 && errno != ENOENT) throw_errno(errno, "remove " + path(ending));
}

}  // namespace sluice
