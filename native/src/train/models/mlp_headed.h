// What models share whose last part is an MLP: logits, their gradient, and scores.
#pragma once
#include <algorithm>

#include "base/buffer.h"
#include "train/criterion.h"
#include "train/models/mlp.h"

namespace sluice {

class MlpHeaded : public Model {
 public:
  void forward(const Batch& batch, float* logits) override {
    pass(batch);
    std::copy_n(logits_.data(), batch.rows * outputs(), logits);
  }
  void score(const Batch& batch, const Scores& scores) override {
    pass(batch);
    tell(batch, scores);
  }
  uint32_t outputs() const override { return head().outputs(); }
  uint32_t embedding_width() const override { return head().last_width(); }

 protected:
  explicit MlpHeaded(const ModelOptions& options) : options_(options) {}

  virtual const Mlp& head() const = 0;
  /// Fills logits() for the batch.
  virtual void run_forward(const Batch& batch) = 0;

  /// The mean loss of a forward pass; the gradient of share * loss at the logits lies in logits_grad() afterwards.
  double forward_and_loss(const Batch& batch, float share, const Scores& record) {
    pass(batch);
    tell(batch, record);
    return criterion_loss(options_.criterion, logits_.data(), batch.rows, outputs(), batch.labels, batch.weights, nullptr, logits_grad_.data(), share);
  }
  float* logits() { return logits_.data(); }
  float* logits_grad() { return logits_grad_.data(); }
  Rounding rounding() const {
    return options_.precision == Precision::kBf16 ? Rounding::kBf16 : options_.precision == Precision::kFp16 ? Rounding::kFp16 : Rounding::kNone;
  }

  const ModelOptions options_;

 private:
  void tell(const Batch& batch, const Scores& scores) {
    score_logits(options_.criterion, logits_.data(), batch, outputs(), scores);
    if (scores.embeddings != nullptr) head().copy_last_input(scores.embeddings);
  }

  void pass(const Batch& batch) {
    const size_t n = batch.rows * outputs();
    if (n > logits_.size()) {
      logits_ = Buffer<float>(n, "logits");
      if (options_.train) logits_grad_ = Buffer<float>(n, "logit gradients");
    }
    run_forward(batch);
  }

  Buffer<float> logits_, logits_grad_;
};

}  // namespace sluice
