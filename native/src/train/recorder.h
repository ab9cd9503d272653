// What a training tells of the samples it passes (their loss, gradient norm, confidence, margin, entropy), in metadata columns that
// selection policies read (storage/metadata.h). The values come from the passes that train; nothing is computed twice.
#pragma once
#include <cstddef>
#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <vector>

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
  /// Makes folder and columns where there are none. So many samples will pass at most.
  Recorder(const Recording& recording, const Criterion& criterion, uint32_t outputs, size_t batch_size, uint64_t samples);
  /// Waits for the writer.
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  /// What a training pass is to tell; nothing where nothing is recorded.
  Scores wanted();
  /// Takes what the pass over the batch has told. The values reach the disk some millions of samples later, written by
  /// another thread; of a sample that is passed several times the last ones stay.
  void passed(const Batch& batch);
  /// All values so far are on disk when it returns, or it throws what writing them ended in.
  void flush();

 private:
  struct Pending {
    std::vector<uint64_t> keys;
    std::vector<std::vector<float>> columns;
  };
  void values(Recorded which, size_t rows, float* out) const;
  void reserve(Pending& pending) const;
  void write();

  Recording recording_;
  Criterion criterion_;
  size_t outputs_;
  size_t most_pending_ = 0;  // samples
  std::shared_ptr<MetadataStore> store_;
  std::vector<float> losses_, logits_, gradients_;
  Pending pending_;
  std::future<void> writing_;
};

}  // namespace sluice
