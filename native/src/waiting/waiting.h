// Samples that wait for their labels, beside a dataset that holds labelled ones only.
//
// Everything that happens is an event in a log (event.h), durable before it counts: a sample without a label, a label, the end of the
// window. What follows from the log, in its order, are the rows of the dataset: a sample is settled by the label with its id, whichever
// comes first, or by an expiry. So the dataset needs to remember a single number, that of the last event whose rows it has, in the
// transaction of the rows, and a kill at any moment neither loses a sample nor doubles it.
//
// The log is cut into parts (part.h). A part is removed when the window of all of its events has passed.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "storage/dataset.h"

namespace sluice {

/// Texts one after the other; text i ends where the next begins.
struct Texts {
  const char* bytes = nullptr;
  const uint32_t* ends = nullptr;  // [n]
  std::string_view of(size_t i) const { return {bytes + (i == 0 ? 0 : ends[i - 1]), ends[i] - (i == 0 ? 0 : ends[i - 1])}; }
};

/// What arrives together. `samples.labels`: NaN where there is none. Without ids labels name their samples by number.
struct WaitingBatch {
  int64_t arrived = 0;  // ms since 1970
  AppendBatch samples;  // its state is not used
  bool with_ids = false;
  Texts sample_ids;
  struct Labels {
    uint64_t rows = 0;
    const int64_t* times = nullptr;
    const float* labels = nullptr;
    const uint64_t* numbers = nullptr;  // where there are no ids
    Texts ids;
  } labels;
  /// All of a request's rows count or none: the first ones behind those of the request before.
  struct Request {
    uint64_t samples = 0, labels = 0;
    std::string notes;  // told again by take()
  };
  std::vector<Request> requests;
};

/// What became of a request. `first`: number of its first sample; samples have consecutive ones.
struct WaitingAnswer {
  enum class Refusal : uint8_t { kNone, kDuplicate, kConflict, kUnknown };
  uint64_t first = 0, samples = 0;
  uint64_t joined = 0;  // labels that found their sample, and samples that found their label
  uint64_t early = 0;   // labels whose sample is not there yet
  uint64_t known = 0;   // labels that were there before, with the same value
  uint64_t late = 0;    // labels of samples whose window has passed
  Refusal refusal = Refusal::kNone;
  uint64_t row = 0;      // of the request, where it is refused: of its samples (kDuplicate) or labels
  float earlier = 0;     // kConflict: the other label
  std::string notes;
};

/// Rows for the dataset, in the order in which they were settled.
struct SettledRows {
  std::vector<int64_t> timestamps;
  std::vector<float> labels;
  std::vector<int64_t> labelled;  // ms: when the label was given
  std::vector<std::vector<uint8_t>> columns;  // as AppendBatch takes them
  uint64_t through = 0;  // the dataset holds what followed from the events up to this one, once it has these rows
  bool more = false;     // there are further events
  std::vector<WaitingAnswer> answers;  // to the requests of the blocks that ended
};

struct WaitingCounts {
  uint64_t waiting = 0;    // samples
  uint64_t early = 0;      // labels
  uint64_t joined = 0;     // samples that got their label, in all
  uint64_t expired = 0;    // that did not
  uint64_t unmatched = 0;  // labels that never found a sample
  uint64_t removed = 0;    // samples
  uint64_t events = 0;     // number of the last event
  uint64_t parts = 0;
};

/// One process and one thread at a time.
class Waiting {
 public:
  /// `applied`: SettledRows::through of the rows that the dataset got last, 0 for a new one. What follows from later events comes from
  /// take(). E_CORRUPT, also where the dataset is older or newer than the log.
  static std::unique_ptr<Waiting> open(const std::string& folder, const Schema& schema, uint64_t applied);
  virtual ~Waiting() = default;
  virtual const Schema& schema() const = 0;

  /// Decides on each request and appends what is accepted, durably. All earlier rows must have been taken. E_ARGUMENT, E_NOT_FINITE and
  /// E_LABEL_RANGE for rows that were not checked, E_NO_SPACE, E_IO, E_READ_ONLY: nothing counts then.
  virtual std::vector<WaitingAnswer> append(const WaitingBatch& batch) = 0;
  /// Appends the end of the window of events that arrived before `before`, or of the first of them: a batch of rows at most. Samples get
  /// `label`; NaN: they are dropped. False where there is none.
  virtual bool expire(int64_t now, int64_t before, float label) = 0;
  /// Appends the removal of waiting samples: of those with a time in [from, until).
  virtual void remove(int64_t now, int64_t from, int64_t until) = 0;
  /// The same of the sample with this id.
  virtual void remove(int64_t now, std::string_view id) = 0;
  /// Goes on through the log. What it gives must be appended to the dataset in order.
  virtual SettledRows take() = 0;
  /// The dataset holds the rows through this event. Now and then the state is saved, and parts that are done are removed.
  virtual void applied(uint64_t through) = 0;
  /// Saves the state, so that the next open() need not go through the log.
  virtual void checkpoint() = 0;
  virtual WaitingCounts counts() const = 0;
};

}  // namespace sluice
