#include "waiting/waiting.h"

#include <fcntl.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "base/crc32c.h"
#include "base/error.h"
#include "storage/append.h"
#include "waiting/block.h"
#include "waiting/decide.h"
#include "waiting/state.h"

namespace sluice {

namespace {

constexpr uint64_t kTakenRows = uint64_t{1} << 16;
constexpr uint64_t kTakenBytes = uint64_t{32} << 20;
constexpr uint64_t kEventsPerCheckpoint = kMaxPartEvents;
/// A part is closed when so much of the window has passed since its first event: its bytes stay for the window and this.
constexpr int64_t kPartsOfWindow = 8;

struct Checkpoint {
  char magic[8];
  uint64_t through;  // the marks are those after this event
  uint64_t expired;  // events before this one are settled
  WaitingCounts counts;
  uint32_t reserved;
  uint32_t crc;  // of the fields above
};
constexpr char kCheckpointMagic[8] = {'S', 'L', 'W', 'C', 'K', 'P', '1', '\n'};

/// That of an empty log where there is none. E_CORRUPT.
Checkpoint read_checkpoint(const std::string& folder) {
  Checkpoint checkpoint{};
  checkpoint.expired = 1;
  const std::string path = folder + "/checkpoint";
  if (!path_exists(path)) return checkpoint;
  File(path, O_RDONLY).read_at(0, &checkpoint, sizeof checkpoint);
  if (std::memcmp(checkpoint.magic, kCheckpointMagic, sizeof kCheckpointMagic) != 0 || checkpoint.crc != crc32c(&checkpoint, offsetof(Checkpoint, crc)))
    throw Error(code::kCorrupt, path + " cannot be read");
  return checkpoint;
}

class WaitingImpl final : public Waiting {
 public:
  WaitingImpl(std::string folder, const Schema& schema, uint64_t applied, const Checkpoint& saved)
      : folder_(std::move(folder)),
        schema_(schema),
        state_{EventLog(folder_, schema.record_bytes(), saved.through + 1), saved.expired, saved.counts},
        cursor_(saved.through + 1),
        applied_(applied),
        saved_(saved.through) {
    if (applied_ + 1 < cursor_ || applied_ >= log_.end()) {
      throw Error(code::kCorrupt, folder_ + ": the dataset holds what followed from " + std::to_string(applied_) + " events, the log has the events " +
                                      std::to_string(cursor_) + " to " + std::to_string(log_.end() - 1) + "; they are not of the same time");
    }
  }

  const Schema& schema() const override { return schema_; }
  std::vector<WaitingAnswer> append(const WaitingBatch& batch) override;
  bool expire(int64_t now, int64_t before, float label) override;
  void remove(int64_t now, int64_t from, int64_t until) override {
    EventHead head = head_of(EventKind::kRemoval, from);
    head.target = static_cast<uint64_t>(until);
    append_one(now, head, {});
  }
  void remove(int64_t now, std::string_view id) override {
    if (id.empty() || id.size() > kMaxIdBytes) throw Error(code::kArgument, "id: expected 1 to 256 bytes, got " + std::to_string(id.size()));
    append_one(now, head_of(EventKind::kRemoval, 0), id);
  }
  SettledRows take() override;
  void applied(uint64_t through) override;
  void checkpoint() override { save(false); }
  WaitingCounts counts() const override {
    WaitingCounts counts = counts_;
    counts.events = log_.end() - 1;
    counts.parts = log_.parts();
    return counts;
  }

 private:
  static EventHead head_of(EventKind kind, int64_t time) {
    EventHead head{};
    head.kind = kind;
    head.time = time;
    head.label = kNoLabel;
    return head;
  }

  void append_one(int64_t now, const EventHead& head, std::string_view id);
  void check(const WaitingBatch& batch) const;
  void write_samples(const WaitingBatch& batch, const std::vector<uint8_t>& records, uint64_t first, uint64_t rows, BlockWriter& writer) const;
  static void write_labels(const WaitingBatch& batch, const std::vector<uint64_t>& rows, BlockWriter& writer);
  void require_taken() const {
    if (cursor_ != log_.end()) throw Error(code::kInternal, "events were appended before earlier ones were taken");
  }

  void process(const Event& event, SettledRows& rows);
  void process_sample(const Event& event, SettledRows& rows);
  void process_label(const Event& event, SettledRows& rows);
  void process_expiry(const Event& event, SettledRows& rows);
  void process_removal(const Event& event);
  void settle(const Event& sample, uint64_t by, float label, int64_t labelled, SettledRows& rows);
  void emit(const Event& sample, float label, int64_t labelled, SettledRows& rows) const;

  void save(bool close_newest);

  std::string folder_;
  Schema schema_;
  WaitingState state_;
  EventLog& log_ = state_.log;
  uint64_t& expired_ = state_.expired;
  WaitingCounts& counts_ = state_.counts;
  uint64_t cursor_;   // the next event to be processed
  uint64_t applied_;  // rows of events up to this one are in the dataset
  uint64_t saved_;    // Checkpoint::through
};

// --- what arrives ----------------------------------------------------------------------------------------------------

void WaitingImpl::check(const WaitingBatch& batch) const {
  if (batch.samples.rows + batch.labels.rows > kMaxPartEvents) throw Error(code::kArgument, "batch: at most 4194304 samples and labels");
  // A label that is missing is none that could be wrong.
  std::vector<float> labels(batch.samples.labels, batch.samples.labels + batch.samples.rows);
  for (float& label : labels) label = std::isnan(label) ? 0 : label;
  AppendBatch samples = batch.samples;
  samples.labels = labels.data();
  check_batch(samples, schema_);
  AppendBatch alone;
  alone.rows = batch.labels.rows;
  alone.labels = batch.labels.labels;
  check_batch(alone, Schema{{}, schema_.label, schema_.classes});
}

std::vector<WaitingAnswer> WaitingImpl::append(const WaitingBatch& batch) {
  require_taken();
  check(batch);
  std::vector<uint8_t> records;
  interleave(batch.samples, schema_, 0, batch.samples.rows, records);
  BlockWriter writer(log_.end(), std::max(batch.arrived, log_.last_arrived()));
  Decisions decisions(state_, batch);
  std::vector<WaitingAnswer> answers, accepted;
  uint64_t sample = 0, label = 0;
  for (const WaitingBatch::Request& request : batch.requests) {
    std::vector<uint64_t> kept;
    WaitingAnswer answer = decisions.decide(request, sample, label, kept);
    if (answer.refusal == WaitingAnswer::Refusal::kNone) {
      answer.first = writer.next();
      answer.samples = request.samples;
      answer.notes = request.notes;
      write_samples(batch, records, sample, request.samples, writer);
      write_labels(batch, kept, writer);
      accepted.push_back(answer);
    }
    answers.push_back(std::move(answer));
    sample += request.samples;
    label += request.labels;
  }
  if (writer.events() > 0) log_.append(writer.block(write_answers(accepted)), writer.events(), batch.arrived);
  return answers;
}

void WaitingImpl::write_samples(const WaitingBatch& batch, const std::vector<uint8_t>& records, uint64_t first, uint64_t rows, BlockWriter& writer) const {
  const size_t bytes = schema_.record_bytes();
  for (uint64_t i = first; i < first + rows; ++i) {
    EventHead head = head_of(EventKind::kSample, batch.samples.timestamps[i]);
    head.label = batch.samples.labels[i];
    writer.add(head, records.data() + i * bytes, bytes, batch.with_ids ? batch.sample_ids.of(i) : std::string_view());
  }
}

void WaitingImpl::write_labels(const WaitingBatch& batch, const std::vector<uint64_t>& rows, BlockWriter& writer) {
  for (const uint64_t i : rows) {
    EventHead head = head_of(EventKind::kLabel, batch.labels.times[i]);
    head.label = batch.labels.labels[i];
    head.target = batch.with_ids ? 0 : batch.labels.numbers[i];
    writer.add(head, nullptr, 0, batch.with_ids ? batch.labels.ids.of(i) : std::string_view());
  }
}

void WaitingImpl::append_one(int64_t now, const EventHead& head, std::string_view id) {
  require_taken();
  BlockWriter writer(log_.end(), std::max(now, log_.last_arrived()));
  writer.add(head, nullptr, 0, id);
  log_.append(writer.block(""), 1, now);
}

bool WaitingImpl::expire(int64_t now, int64_t before, float label) {
  require_taken();
  // What needs no decision any more is passed over; this changes nothing that follows.
  const auto is_old = [&](uint64_t number) { return number < log_.end() && log_.event(number).head().arrived < before; };
  while (is_old(expired_) && !state_.is_waiting(expired_)) ++expired_;
  // What is old in the open part shall not wait there until it is full.
  const bool aged = log_.is_open() && now - log_.open_since() > (now - before) / kPartsOfWindow;
  if (applied_ + 1 == cursor_ && (aged || log_.first_end() <= expired_)) save(aged);
  uint64_t until = expired_;
  uint64_t bytes = 0;
  for (; is_old(until) && until - expired_ < kTakenRows && bytes < kTakenBytes; ++until) bytes += log_.event(until).head().bytes;
  if (until == expired_) return false;
  EventHead head = head_of(EventKind::kExpiry, now);
  head.target = until;
  head.label = label;
  append_one(now, head, {});
  return true;
}

// --- what follows ----------------------------------------------------------------------------------------------------

SettledRows WaitingImpl::take() {
  SettledRows rows;
  rows.columns.resize(schema_.columns.size());
  for (const uint64_t last = log_.end(); cursor_ < last; ++cursor_) {
    if (rows.labels.size() >= kTakenRows || rows.labels.size() * schema_.record_bytes() >= kTakenBytes) break;
    process(log_.event(cursor_), rows);
    const auto notes = log_.pass(cursor_);
    if (!notes || cursor_ <= applied_) continue;
    for (WaitingAnswer& answer : read_answers(*notes)) rows.answers.push_back(std::move(answer));
  }
  rows.through = cursor_ - 1;
  rows.more = cursor_ < log_.end();
  return rows;
}

void WaitingImpl::process(const Event& event, SettledRows& rows) {
  Mark& own = log_.mark(event.head().number);
  own.by = 0;
  own.label = kNoLabel;
  switch (event.head().kind) {
    case EventKind::kSample: return process_sample(event, rows);
    case EventKind::kLabel: return process_label(event, rows);
    case EventKind::kExpiry: return process_expiry(event, rows);
    case EventKind::kRemoval: return process_removal(event);
  }
  throw Error(code::kCorrupt, folder_ + ": event " + std::to_string(event.head().number) + " is of no kind that is known");
}

void WaitingImpl::process_sample(const Event& event, SettledRows& rows) {
  const EventHead& head = event.head();
  const std::string_view id = log_.id_of(event);
  ++counts_.waiting;
  if (!id.empty()) log_.add(event);
  Event label;
  if (!id.empty() && counts_.early > 0) label = log_.find(EventKind::kLabel, id, head.number);
  if (label && state_.is_settled(label.head().number, head.number)) label = Event();
  if (label) {
    log_.mark(label.head().number).by = head.number;
    --counts_.early;
  }
  if (!std::isnan(head.label)) settle(event, head.number, head.label, head.arrived, rows);
  else if (label) {
    ++counts_.joined;
    settle(event, head.number, label.head().label, label.head().time, rows);
  }
}

void WaitingImpl::process_label(const Event& event, SettledRows& rows) {
  const EventHead& head = event.head();
  const std::string_view id = log_.id_of(event);
  Event sample;
  if (!id.empty()) sample = log_.find(EventKind::kSample, id, head.number);
  else if (log_.has(head.target)) sample = log_.event(head.target);
  if (sample && !state_.is_settled(sample.head().number, head.number)) {
    log_.mark(head.number).by = head.number;
    ++counts_.joined;
    settle(sample, head.number, head.label, head.time, rows);
  } else if (!id.empty()) {
    log_.add(event);
    ++counts_.early;
  }
}

void WaitingImpl::process_expiry(const Event& event, SettledRows& rows) {
  const EventHead& head = event.head();
  for (uint64_t number = std::max(expired_, log_.begin()); number < head.target; ++number) {
    if (state_.is_settled(number, head.number)) continue;
    const Event waiting = log_.event(number);
    if (waiting.head().kind == EventKind::kSample) {
      ++counts_.expired;
      settle(waiting, head.number, head.label, head.time, rows);
    } else if (waiting.head().kind == EventKind::kLabel) {
      log_.mark(number).by = head.number;
      --counts_.early;
      ++counts_.unmatched;
    }
  }
  expired_ = head.target;
}

void WaitingImpl::process_removal(const Event& event) {
  const EventHead& head = event.head();
  const auto drop = [&](const Event& sample) {
    if (state_.is_settled(sample.head().number, head.number)) return;
    log_.mark(sample.head().number) = {head.number, kNoLabel, log_.mark(sample.head().number).place};
    --counts_.waiting;
    ++counts_.removed;
  };
  if (const std::string_view id = log_.id_of(event); !id.empty()) {
    if (const Event sample = log_.find(EventKind::kSample, id, head.number)) drop(sample);
    return;
  }
  for (uint64_t number = std::max(expired_, log_.begin()); number < head.number; ++number) {
    if (state_.is_settled(number, head.number)) continue;
    const Event waiting = log_.event(number);
    const bool in_range = waiting.head().time >= head.time && waiting.head().time < static_cast<int64_t>(head.target);
    if (waiting.head().kind == EventKind::kSample && in_range) drop(waiting);
  }
}

/// `label`: NaN drops the sample.
void WaitingImpl::settle(const Event& sample, uint64_t by, float label, int64_t labelled, SettledRows& rows) {
  Mark& settled = log_.mark(sample.head().number);
  settled.by = by;
  settled.label = label;
  --counts_.waiting;
  if (!std::isnan(label) && by > applied_) emit(sample, label, labelled, rows);
}

void WaitingImpl::emit(const Event& sample, float label, int64_t labelled, SettledRows& rows) const {
  rows.timestamps.push_back(sample.head().time);
  rows.labels.push_back(label);
  rows.labelled.push_back(labelled);
  const uint8_t* cell = sample.columns();
  for (size_t c = 0; c < schema_.columns.size(); ++c) {
    const Column& column = schema_.columns[c];
    const size_t given = column.type == ColumnType::kU8 ? column.elements() : column.bytes();
    rows.columns[c].insert(rows.columns[c].end(), cell, cell + given);
    cell += column.bytes();
  }
}

// --- saving ----------------------------------------------------------------------------------------------------------

void WaitingImpl::applied(uint64_t through) {
  applied_ = std::max(applied_, through);
  if (cursor_ == log_.end() && applied_ + 1 == cursor_ && (log_.has_full_parts() || applied_ - saved_ >= kEventsPerCheckpoint)) save(false);
}

void WaitingImpl::save(bool close_newest) {
  require_taken();
  if (applied_ + 1 != cursor_) throw Error(code::kInternal, "the state was to be saved before its rows were");
  log_.sync_marks(expired_);
  Checkpoint checkpoint{};
  std::memcpy(checkpoint.magic, kCheckpointMagic, sizeof kCheckpointMagic);
  checkpoint.through = applied_;
  checkpoint.expired = expired_;
  checkpoint.counts = counts_;
  checkpoint.crc = crc32c(&checkpoint, offsetof(Checkpoint, crc));
  AtomicFile file(folder_ + "/checkpoint");
  file.write(&checkpoint, sizeof checkpoint);
  file.commit();
  saved_ = applied_;
  log_.seal(close_newest);
  // A part whose events are settled and past their window is not asked for any more.
  log_.remove_before(expired_);
}

}  // namespace

std::unique_ptr<Waiting> Waiting::open(const std::string& folder, const Schema& schema, uint64_t applied) {
  make_folders(folder);
  return std::make_unique<WaitingImpl>(folder, schema, applied, read_checkpoint(folder));
}

}  // namespace sluice
