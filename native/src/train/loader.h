// Feeds a training with batches: reads keys of a frozen set in a shuffled order, gathers records, encodes features.
// One thread works ahead of the consumer, as far as the number of slots allows.
#pragma once
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/buffer.h"
#include "storage/dataset.h"
#include "train/features.h"
#include "train/model.h"
#include "trainset/trainset.h"

namespace sluice {

/// kGlobal: a fresh uniform permutation of the whole set in every epoch. kBlock: the set is cut into blocks of
/// LoaderOptions::block entries that lie one behind the other; blocks come in a fresh random order, and the entries of
/// kBlocksMixed of them at a time are permuted together. Reads stay within few places of the data, which counts where it does
/// not fit into memory, and an entry is at most that far from where a permutation of blocks alone would put it.
enum class Shuffle : uint8_t { kGlobal, kBlock, kNone };
constexpr uint32_t kBlocksMixed = 16;

struct LoaderOptions {
  uint32_t batch_size = 512;
  uint32_t epochs = 1;
  Shuffle shuffle = Shuffle::kGlobal;
  uint64_t seed = 0;
  Criterion criterion;      // what a label may be
  uint32_t outputs = 1;     // of the model
  uint32_t slots = 4;       // batches in flight: the memory budget
  uint64_t first_batch = 0; // where to begin: the batches before it are passed over, as if they had been read
  float held_out = 0.0F;    // share of the entries, 0 to below 1, that are left for validation
  bool validation = false;  // read those instead of the others
  uint32_t block = 65'536;  // of kBlock
};

class Loader {
 public:
  /// The set holds 1 to 2^32 - 1 entries, all below the snapshot's size. Starts reading at once. E_ARGUMENT when nothing is
  /// left to read.
  Loader(std::shared_ptr<Snapshot> data, const TrainSet& set, const Features& features, const LoaderOptions& options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// The next batch, valid until the next call; null at the end. Rethrows what went wrong while reading.
  /// The last batch of an epoch may be smaller.
  const Batch* next();

  uint64_t total_batches() const { return batches_per_epoch_ * options_.epochs; }
  uint64_t batches_per_epoch() const { return batches_per_epoch_; }
  uint64_t samples_per_epoch() const { return samples_; }

 private:
  struct Slot {
    Buffer<float> dense, labels, weights;
    Buffer<int32_t> categorical;
    std::vector<uint64_t> keys;
    Batch batch;
  };

  void produce();
  void choose_positions();
  std::vector<uint32_t> epoch_order(uint32_t epoch) const;
  void fill(Slot& slot, const uint32_t* positions, size_t n);
  Slot* claim();

  std::shared_ptr<Snapshot> data_;
  const TrainSet& set_;
  Features features_;
  LoaderOptions options_;
  std::vector<uint32_t> positions_;  // the entries of the set that this loader reads; empty: all of them
  uint32_t samples_ = 0;             // how many they are
  uint64_t batches_per_epoch_;
  std::vector<Slot> slots_;
  // Scratch of the reading thread.
  std::vector<int64_t> timestamps_;
  std::vector<const uint8_t*> records_;

  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t produced_ = 0;
  uint64_t consumed_ = 0;  // batches given back
  bool holding_ = false;   // the consumer holds the slot consumed_ % slots
  bool finished_ = false;
  bool cancelled_ = false;
  std::exception_ptr error_;
  std::thread thread_;  // last: starts when everything else is there
};

}  // namespace sluice
