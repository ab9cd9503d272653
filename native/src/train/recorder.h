// What a training tells of the samples it passes (their loss, gradient norm, confidence, margin, entropy), in metadata columns that
// selection policies read (storage/metadata.h). The values come from the passes that train; nothing is computed twice.
#pragma once
#include <cstddef>
#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "storage/metadata.h"
#include "train/model.h"

namespace sluice {

/// sample_scores.h tells what they are; the last three are of the logits.
enum class Recorded : uint8_t { kLoss, kGradientNorm, kConfidence, kMargin, kEntropy };

/// Name of the column.
const char* recorded_name(Recorded value);

struct Recording {
  std::string folder;            // of the metadata
  std::vector<Recorded> values;  // empty: nothing is recorded
};

/// Throws E_ARGUMENT where a value is named twice, or of a regression one that only classes have.
void check_recording(const Recording& recording, const Criterion& criterion);

class Recorder {
 public:
  /// Makes folder and columns where there are none. Keys will be below `keys`.
  Recorder(const Recording& recording, const Criterion& criterion, uint32_t outputs, size_t batch_size, uint64_t keys);
  /// Waits for the writer.
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  /// What a training pass is to tell; nothing where nothing is recorded.
  Scores wanted();
  /// Takes what the pass over the batch has told; of a sample that is passed several times the last values stay. They wait in
  /// memory for flush(), in a table of all keys. For a dataset whose table would be too large they are listed, and what has come
  /// together is written by another thread every few million samples.
  void passed(const Batch& batch);
  /// All values so far are on disk when it returns, or it throws what writing them ended in.
  void flush();

 private:
  struct Pending {
    std::vector<uint64_t> keys;
    std::vector<std::vector<float>> columns;
  };
  void tell(Recorded which, size_t rows, float* out) const;
  void reserve();
  void write_table();
  void write();

  Recording recording_;
  Criterion criterion_;
  size_t outputs_;
  size_t most_pending_ = 0;  // samples
  std::vector<float> told_;  // of a batch, column by column
  Buffer<float> table_;      // [keys, columns]; empty: values are listed
  std::vector<uint64_t> known_;  // a bit for each key: it has values in the table
  std::shared_ptr<MetadataStore> store_;
  std::vector<float> losses_, logits_, gradients_;
  Pending pending_;
  std::future<void> writing_;
};

}  // namespace sluice
