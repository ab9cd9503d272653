// What models share whose last part is an MLP: logits, their gradient, scores, and the loss scale of fp16.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/buffer.h"
#include "train/criterion.h"
#include "train/loss_scale.h"
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
    score_logits(options_.criterion, logits_.data(), batch, outputs(), scores);
    if (scores.embeddings != nullptr) head().copy_last_input(scores.embeddings);
  }
  double gradient_norm() override { return std::sqrt(squared_gradient_norm()) / loss_scale_.scale(); }
  uint32_t outputs() const override { return head().outputs(); }
  uint32_t embedding_width() const override { return head().last_width(); }

 protected:
  explicit MlpHeaded(const ModelOptions& options) : options_(options), loss_scale_(options.precision == Precision::kFp16) {}

  virtual const Mlp& head() const = 0;
  /// Fills logits() for the batch.
  virtual void run_forward(const Batch& batch) = 0;

  /// Of all kept gradients, times the square of the loss scale.
  virtual double squared_gradient_norm() = 0;

  /// The mean loss of a forward pass; the gradient of share * loss, times the loss scale, at the logits lies in logits_grad() afterwards.
  double forward_and_loss(const Batch& batch, float share, const Scores& record) {
    pass(batch);
    if (record.embeddings != nullptr) head().copy_last_input(record.embeddings);
    return criterion_loss(options_.criterion, logits_.data(), batch, outputs(), record, logits_grad_.data(), share * loss_scale_.scale());
  }
  float* logits() { return logits_.data(); }
  float* logits_grad() { return logits_grad_.data(); }
  bool scales_loss() const { return loss_scale_.active(); }
  /// Takes the loss scale out of the factor of kept gradients; false where they are not finite: the step is left out.
  bool unscale(float& gradient_scale) {
    if (!loss_scale_.active()) return true;
    gradient_scale /= loss_scale_.scale();
    return loss_scale_.update(std::isfinite(squared_gradient_norm()));
  }
  /// What accumulate() returns: NaN where gradients are not finite though the scale is down to 1, because no scale helps then.
  double unless_lost(double loss) {
    const bool lost = loss_scale_.active() && loss_scale_.scale() <= 1.0F && !std::isfinite(squared_gradient_norm());
    return lost ? std::numeric_limits<double>::quiet_NaN() : loss;
  }
  /// How many of so many steps the optimizers have seen.
  uint64_t taken(uint64_t updates) const { return updates - std::min(updates, loss_scale_.left_out()); }
  LossScale& loss_scale() { return loss_scale_; }
  Rounding rounding() const {
    return options_.precision == Precision::kBf16 ? Rounding::kBf16 : options_.precision == Precision::kFp16 ? Rounding::kFp16 : Rounding::kNone;
  }

  const ModelOptions options_;

 private:
  void pass(const Batch& batch) {
    const size_t n = batch.rows * outputs();
    if (n > logits_.size()) {
      logits_ = Buffer<float>(n, "logits");
      if (options_.train) logits_grad_ = Buffer<float>(n, "logit gradients");
    }
    run_forward(batch);
  }

  LossScale loss_scale_;
  Buffer<float> logits_, logits_grad_;
};

}  // namespace sluice
