// What train and evaluate read alike from a plan: features, model, criterion, where and how it computes.
#pragma once
#include "args.h"
#include "train/features.h"
#include "train/model.h"

namespace sluice::bindings {

inline constexpr uint32_t kMaxBatchSize = 1'000'000;

struct ModelPlan {
  Features features;
  ModelSpec model;
  Criterion criterion;
  Device device = Device::kCpu;
  bool deterministic = true;
};

/// Reads plan.features, plan.model, plan.criterion, plan.device and plan.deterministic. E_SHAPE where they do not fit each other: the model reads
/// batches by its own numbers of features.
ModelPlan read_model_plan(const Arg& plan);
Optimizer read_optimizer(const Arg& arg);

}  // namespace sluice::bindings
