#include "waiting/log.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <random>

#include "base/error.h"

namespace sluice {

namespace {

SipKey random_key() {
  std::random_device random;
  const auto word = [&] { return uint64_t{random()} << 32 | random(); };
  return {word(), word()};
}

/// Numbers of the first events of the parts in a folder, in order.
std::vector<uint64_t> parts_in(const std::string& folder) {
  std::vector<uint64_t> firsts;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    uint64_t first = 0;
    if (name.size() == 20 && name.ends_with(".log") && std::from_chars(name.data(), name.data() + 16, first).ptr == name.data() + 16) firsts.push_back(first);
  }
  std::sort(firsts.begin(), firsts.end());
  return firsts;
}

}  // namespace

EventLog::EventLog(std::string folder, uint64_t record_bytes, uint64_t next) : folder_(std::move(folder)), record_bytes_(record_bytes), next_(next) {
  const std::vector<uint64_t> firsts = parts_in(folder_);
  for (const uint64_t first : firsts) {
    auto part = LogPart::open(folder_, first, record_bytes_, first == firsts.back());
    if (!parts_.empty() && first != end()) throw Error(code::kCorrupt, folder_ + ": events " + std::to_string(end()) + " to " + std::to_string(first - 1) + " are missing");
    parts_.emplace(first, std::move(part));
  }
  if (begin() > next_ || end() < next_) throw Error(code::kCorrupt, folder_ + ": parts of the log are missing");
  fill_tables();
}

/// Of open parts; what is processed again puts itself in.
void EventLog::fill_tables() {
  for (const auto& [first, part] : parts_) {
    for (uint64_t number = first; !part->sealed() && number < part->end(); ++number) {
      const Event event = part->event(number);
      const EventHead& head = event.head();
      last_arrived_ = std::max(last_arrived_, head.arrived);
      const bool early = head.kind == EventKind::kLabel && part->mark(number).by != number;
      if (number < next_ && head.id_bytes > 0 && (early || head.kind == EventKind::kSample)) add(event);
    }
  }
}

void EventLog::append(const std::vector<uint8_t>& block, uint64_t events, int64_t arrived) {
  if (parts_.empty() || !parts_.rbegin()->second->has_room(events, block.size())) {
    const uint64_t first = end();
    parts_.emplace(first, LogPart::create(folder_, first, parts_.empty() ? random_key() : parts_.begin()->second->key(), record_bytes_));
  }
  parts_.rbegin()->second->append(block, events);
  next_ = end();
  last_arrived_ = std::max(last_arrived_, arrived);
}

void EventLog::add(const Event& event) {
  LogPart& part = part_of(event.head().number);
  const std::string_view id = id_of(event);
  part.add(siphash(part.key(), id.data(), id.size()), event.head().number);
}

Event EventLog::find(EventKind kind, std::string_view id, uint64_t before) const {
  if (parts_.empty()) return {};
  // All parts have the key of the first.
  const uint64_t hash = siphash(parts_.begin()->second->key(), id.data(), id.size());
  for (const auto& [first, part] : parts_) part->prefetch(hash);
  for (auto part = parts_.rbegin(); part != parts_.rend(); ++part) {
    const Event event = part->second->find(hash, before, [&](const Event& e) { return e.head().kind == kind && id_of(e) == id; });
    if (event) return event;
  }
  return {};
}

bool EventLog::has_full_parts() const {
  return !parts_.empty() && std::any_of(parts_.begin(), std::prev(parts_.end()), [](const auto& part) { return !part.second->sealed(); });
}

void EventLog::sync_marks(uint64_t settled) const {
  for (const auto& [first, part] : parts_)
    if (part->end() >= settled) part->sync_marks();
}

void EventLog::seal(bool newest) {
  for (const auto& [first, part] : parts_) {
    const bool open = first == parts_.rbegin()->first && !newest;
    if (!open && !part->sealed() && part->end() > first) part->seal();
  }
}

void EventLog::remove_before(uint64_t settled) {
  while (!parts_.empty() && parts_.begin()->second->sealed() && parts_.begin()->second->end() <= settled) {
    next_ = std::max(next_, parts_.begin()->second->end());
    parts_.begin()->second->remove();
    parts_.erase(parts_.begin());
  }
}

}  // namespace sluice
