#include "train/loader.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/rng.h"
#include "train/criterion.h"
#include "base/read_ahead.h"

namespace sluice {

namespace {

constexpr uint32_t kMostThreads = 64;
constexpr uint32_t kAhead = 3;  // slots beyond one a thread: the consumer's, and some that are ready
constexpr size_t kLeastSlots = 2;
constexpr size_t kAssembledBytes = size_t{128} << 10;  // of records that are put together from files and encoded while they lie in a cache
constexpr size_t kLeastAssembled = 16;                 // records, whatever their size

uint32_t threads_of(const LoaderOptions& options, const Encoder& encoder) {
  if (options.threads > 0) return std::min(options.threads, kMostThreads);
  return encoder.values() == 0 ? 1 : std::clamp(std::thread::hardware_concurrency() / 4, 1U, 8U);
}

}  // namespace

/// An entry is held out by a hash of seed and position: the same ones for training and for validation, in every run.
std::vector<uint32_t> entries_to_read(const LoaderOptions& options, uint64_t size) {
  std::vector<uint32_t> positions;
  if (options.held_out == 0.0F) return positions;
  const auto limit = static_cast<uint64_t>(std::min(options.held_out, 1.0F) * 0x1.0p53);
  const uint64_t base = splitmix64(options.seed ^ 0x76616c6964ULL);
  for (uint64_t i = 0; i < size; ++i) {
    const bool held_out = splitmix64(base + i) >> 11 < limit;
    if (held_out == options.validation) positions.push_back(static_cast<uint32_t>(i));
  }
  if (positions.empty()) {
    throw Error(code::kArgument, "of " + std::to_string(size) + " samples none is left for " + (options.validation ? "validation" : "training"));
  }
  return positions;
}

Loader::Loader(std::shared_ptr<Snapshot> data, const TrainSet& set, const Features& features, const LoaderOptions& options)
    : data_(std::move(data)), set_(set), options_(options), encoder_(features, data_->schema(), options.id_limit), record_bytes_(data_->schema().record_bytes()) {
  if (set_.size() == 0 || set_.size() > 0xffffffffU) {
    throw Error(code::kArgument, "training set: expected 1 to 4294967295 entries, got " + std::to_string(set_.size()));
  }
  if (options_.block == 0) throw Error(code::kArgument, "shuffle block: expected at least 1, got 0");
  std::vector<uint32_t> positions = entries_to_read(options_, set_.size());
  samples_ = static_cast<uint32_t>(positions.empty() ? set_.size() : positions.size());
  options_.batch_size = std::min(options_.batch_size, samples_);
  batches_per_epoch_ = batches_of(samples_, options_.batch_size);
  total_ = batches_per_epoch_ * options_.epochs;
  claimed_ = released_ = std::min(options_.first_batch, total_);
  order_ = std::make_unique<EpochOrder>(options_.shuffle, options_.block, options_.seed, samples_, std::move(positions), options_.epochs);
  make_slots();
  start(std::min(threads_of(options_, encoder_), static_cast<uint32_t>(slots_.size() - 1)));
}

Loader::~Loader() { stop(); }

void Loader::make_slots() {
  const size_t bytes = BatchSlot::bytes(options_.batch_size, encoder_, set_.weighted());
  const uint64_t fitting = options_.memory / std::max<size_t>(1, bytes);
  if (fitting < kLeastSlots) {
    throw Error(code::kArgument, "loader: a batch of " + std::to_string(options_.batch_size) + " samples takes " + std::to_string(bytes) +
                                     " bytes, and its memory of " + std::to_string(options_.memory) + " does not hold two of them: take smaller batches, or give it more");
  }
  const uint64_t wanted = std::max<uint64_t>(kLeastSlots, options_.slots > 0 ? options_.slots : threads_of(options_, encoder_) + kAhead);
  BatchMemory& memory = options_.batch_memory != nullptr ? *options_.batch_memory : host_memory();
  for (uint64_t i = 0; i < std::min(fitting, wanted); ++i) slots_.push_back(std::make_unique<Slot>(options_.batch_size, encoder_, set_.weighted(), memory));
}

void Loader::start(uint32_t threads) {
  try {
    for (uint32_t i = 0; i < threads; ++i) threads_.emplace_back([this] { produce(); });
  } catch (...) {
    stop();
    throw;
  }
}

void Loader::stop() noexcept {
  {
    const std::lock_guard lock(mutex_);
    cancelled_.request();
  }
  space_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Loader::produce() noexcept {
  Claim work;
  Scratch scratch;
  while (claim(work)) {
    Slot& slot = slot_of(work.batch);
    slot.error = nullptr;
    try {
      if (work.error) std::rethrow_exception(work.error);
      fill(slot, work, scratch);
    } catch (...) {
      slot.error = std::current_exception();
    }
    {
      const std::lock_guard lock(mutex_);
      slot.filled = true;
    }
    ready_.notify_one();
  }
}

/// The next batch to read, once there is a slot for it; false when there is none any more.
bool Loader::claim(Claim& claim) {
  const std::lock_guard claiming(claiming_);
  {
    std::unique_lock lock(mutex_);
    space_.wait(lock, [this] { return cancelled_.requested() || claimed_ == total_ || claimed_ - released_ < slots_.size(); });
    if (cancelled_.requested() || claimed_ == total_) return false;
    claim.batch = claimed_++;
  }
  claim.error = nullptr;
  try {
    claim.order = order_->of(claim.batch / batches_per_epoch_);
  } catch (const std::bad_alloc&) {
    claim.error = std::make_exception_ptr(Error(code::kMemory, "could not allocate the order of " + std::to_string(samples_) + " samples"));
  } catch (...) {
    claim.error = std::current_exception();
  }
  return true;
}

void Loader::fill(Slot& slot, const Claim& claim, Scratch& scratch) {
  const uint64_t first = claim.batch % batches_per_epoch_ * options_.batch_size;
  const size_t n = std::min<uint64_t>(options_.batch_size, samples_ - first);
  scratch.timestamps.resize(n);
  scratch.records.resize(n);
  set_.get(claim.order->data() + first, n, slot.keys(), slot.weights());
  std::optional<Augment> augment;
  if (options_.augment && !options_.validation) augment = Augment{options_.seed, claim.batch / batches_per_epoch_};
  const size_t part = data_->has_files() ? std::max<size_t>(kLeastAssembled, kAssembledBytes / std::max<size_t>(1, record_bytes_)) : n;
  for (size_t at = 0; at < n; at += part) encode(slot, at, std::min(part, n - at), n, augment, scratch);
  slot.content = slot.batch(n);
}

/// Reads and encodes n rows from number `first` on of a batch of `rows`.
void Loader::encode(Slot& slot, size_t first, size_t n, size_t rows, const std::optional<Augment>& augment, Scratch& scratch) {
  const uint64_t* keys = slot.keys() + first;
  float* labels = slot.labels() + first;
  data_->gather(keys, n, scratch.timestamps.data(), labels, scratch.records.data(), &scratch.memory);
  if (!data_->has_files()) read_ahead(scratch.records.data(), n, record_bytes_);
  for (size_t i = 0; i < n; ++i) check_label(options_.criterion, labels[i], keys[i], options_.outputs);
  EncodedRows inputs = encoder_.from_row(slot.inputs(), first);
  inputs.stride = rows;
  encoder_.encode({n, keys, scratch.timestamps.data(), scratch.records.data()}, augment, inputs, &cancelled_);
}

const Batch* Loader::next() {
  std::unique_lock lock(mutex_);
  if (holding_) {
    slot_of(released_).filled = false;
    ++released_;
    holding_ = false;
    space_.notify_one();
  }
  if (released_ == total_) return nullptr;
  Slot& slot = slot_of(released_);
  ready_.wait(lock, [&slot] { return slot.filled; });
  if (slot.error) std::rethrow_exception(slot.error);
  holding_ = true;
  return &slot.content;
}

}  // namespace sluice
