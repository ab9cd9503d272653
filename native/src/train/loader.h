// Feeds a training with batches: reads keys of a frozen set in a shuffled order, gathers records, encodes features. Threads
// work ahead of the consumer, as far as the memory budget allows; batches come in the same order whatever their number.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/stop.h"
#include "storage/dataset.h"
#include "train/batch_slot.h"
#include "train/encoder.h"
#include "train/epoch_order.h"
#include "train/features.h"
#include "train/model.h"
#include "trainset/trainset.h"

namespace sluice {

struct LoaderOptions {
  uint32_t batch_size = 512;
  uint32_t epochs = 1;
  Shuffle shuffle = Shuffle::kGlobal;
  uint64_t seed = 0;        // of the order and of augmentation
  Criterion criterion;      // what a label may be
  uint32_t outputs = 1;     // of the model
  uint32_t slots = 0;       // batches in flight at most; 0: threads + 3
  uint64_t first_batch = 0; // where to begin: the batches before it are passed over, as if they had been read
  float held_out = 0.0F;    // share of the entries, 0 to below 1, that are left for validation
  bool validation = false;  // read those instead of the others, without augmentation
  bool augment = true;      // random crops and flips
  uint32_t block = 65'536;  // of Shuffle::kBlock
  uint32_t threads = 0;     // that read and encode; 0: one, with a tensor feature a quarter of the cores
  uint64_t memory = uint64_t{1} << 30;  // bytes of all batches in flight: fewer slots and threads where they do not fit
  uint32_t id_limit = 0;    // token ids must be below it; 0: not negative
  BatchMemory* batch_memory = nullptr;  // null: ordinary memory
};

/// Batches of an epoch that reads so many samples.
constexpr uint64_t batches_of(uint64_t samples, uint32_t batch_size) { return (samples + batch_size - 1) / batch_size; }

/// Positions of the entries that a loader with these options reads of so many; empty: all of them.
std::vector<uint32_t> entries_to_read(const LoaderOptions& options, uint64_t size);

class Loader {
 public:
  /// The set holds 1 to 2^32 - 1 entries, all below the snapshot's size. Starts reading at once. E_ARGUMENT when nothing is
  /// left to read or the budget does not hold two batches, E_MEMORY.
  Loader(std::shared_ptr<Snapshot> data, const TrainSet& set, const Features& features, const LoaderOptions& options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// The next batch, valid until the next call; null at the end. Rethrows what went wrong while this batch was read.
  /// The last batch of an epoch may be smaller.
  const Batch* next();

  uint64_t total_batches() const { return total_; }
  uint64_t batches_per_epoch() const { return batches_per_epoch_; }
  uint64_t samples_per_epoch() const { return samples_; }

 private:
  /// Batch b goes into slot b modulo their number.
  struct Slot : BatchSlot {
    using BatchSlot::BatchSlot;
    Batch content;
    std::exception_ptr error;
    bool filled = false;
  };
  /// Of one reading thread.
  struct Scratch {
    std::vector<int64_t> timestamps;
    std::vector<const uint8_t*> records;
    RecordMemory memory;
  };
  struct Claim {
    uint64_t batch = 0;
    EpochOrder::Order order;
    std::exception_ptr error;  // the order could not be made
  };

  void make_slots();
  void start(uint32_t threads);
  void stop() noexcept;
  void produce() noexcept;
  bool claim(Claim& claim);
  void fill(Slot& slot, const Claim& claim, Scratch& scratch);
  void encode(Slot& slot, size_t first, size_t n, size_t rows, const std::optional<Augment>& augment, Scratch& scratch);
  Slot& slot_of(uint64_t batch) { return *slots_[batch % slots_.size()]; }

  std::shared_ptr<Snapshot> data_;
  const TrainSet& set_;
  LoaderOptions options_;
  Encoder encoder_;
  size_t record_bytes_;
  uint32_t samples_ = 0;  // entries that this loader reads in an epoch
  uint64_t batches_per_epoch_ = 0;
  uint64_t total_ = 0;
  std::vector<std::unique_ptr<Slot>> slots_;

  std::mutex claiming_;  // guards order_; taken before mutex_
  std::unique_ptr<EpochOrder> order_;

  std::mutex mutex_;  // guards what follows, and Slot::filled
  std::condition_variable space_, ready_;
  uint64_t claimed_ = 0;   // batches that a thread works on or has finished
  uint64_t released_ = 0;  // batches that the consumer has given back
  bool holding_ = false;   // the consumer holds batch released_
  StopFlag cancelled_;
  std::vector<std::thread> threads_;
};

}  // namespace sluice
