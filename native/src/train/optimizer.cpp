#include "train/optimizer.h"

#include <cmath>

#include "base/error.h"
#include "train/compute.h"

namespace sluice {

namespace {

constexpr size_t kElementGrain = 1 << 15;

bool is_adam(const Optimizer& o) { return o.kind == OptimizerKind::kAdam || o.kind == OptimizerKind::kAdamW; }

/// Whether text fits the pattern, in which * stands for any characters.
bool fits(const char* pattern, const char* text) {
  for (; *pattern != '\0' && *pattern != '*'; ++pattern, ++text) {
    if (*pattern != *text) return false;
  }
  if (*pattern == '\0') return *text == '\0';
  while (*pattern == '*') ++pattern;
  if (*pattern == '\0') return true;
  for (; *text != '\0'; ++text) {
    if (fits(pattern, text)) return true;
  }
  return false;
}

}  // namespace

const Optimizer& optimizer_of(const ModelOptions& options, const std::string& name, const Optimizer& otherwise) {
  for (const ParameterGroup& group : options.groups) {
    if (fits(group.pattern.c_str(), name.c_str())) return group.optimizer;
  }
  return otherwise;
}

void check_optimizer(const Optimizer& o, const std::string& where) {
  const auto fail = [&](const std::string& what) { throw Error(code::kArgument, where + ": " + what); };
  require(o.lr >= 0.0F && std::isfinite(o.lr), where + ": lr", "a number from 0", o.lr);
  require(o.eps >= 0.0F && std::isfinite(o.eps), where + ": eps", "a number from 0", o.eps);
  require(o.weight_decay >= 0.0F && std::isfinite(o.weight_decay), where + ": weight decay", "a number from 0", o.weight_decay);
  require(o.momentum >= 0.0F && std::isfinite(o.momentum), where + ": momentum", "a number from 0", o.momentum);
  require(std::isfinite(o.dampening), where + ": dampening", "a number", o.dampening);
  require(o.beta1 >= 0.0F && o.beta1 < 1.0F, where + ": beta1", "0 to below 1", o.beta1);
  require(o.beta2 >= 0.0F && o.beta2 < 1.0F, where + ": beta2", "0 to below 1", o.beta2);
  if (o.kind != OptimizerKind::kSgd && (o.momentum != 0.0F || o.nesterov)) fail("momentum belongs to sgd");
  if (o.nesterov && (o.momentum == 0.0F || o.dampening != 0.0F)) fail("nesterov needs a momentum and no dampening");
}

AdamStep adam_step(const Optimizer& o, uint64_t t, float lr_factor, float scale, bool sparse) {
  const auto power = static_cast<double>(t);
  const double correction2 = std::sqrt(1.0 - std::pow(static_cast<double>(o.beta2), power));
  AdamStep step{};
  step.lr = o.lr * lr_factor;
  step.beta1 = o.beta1;
  step.beta2 = o.beta2;
  step.eps = sparse ? static_cast<float>(o.eps / correction2) : o.eps;
  step.correction1 = static_cast<float>(1.0 - std::pow(static_cast<double>(o.beta1), power));
  step.sqrt_correction2 = static_cast<float>(correction2);
  step.weight_decay = o.weight_decay;
  step.scale = scale;
  step.decoupled = o.kind == OptimizerKind::kAdamW;
  return step;
}

DenseOptimizer::DenseOptimizer(const Optimizer& options, size_t n, const char* purpose) : options_(options), n_(n) {
  if (options.kind == OptimizerKind::kRowwiseAdagrad) {
    throw Error(code::kArgument, std::string(purpose) + ": row-wise Adagrad is for embedding tables");
  }
  if (options.kind != OptimizerKind::kSgd || options.momentum != 0.0F) first_ = Buffer<float>(n, purpose);
  if (is_adam(options)) second_ = Buffer<float>(n, purpose);
}

void DenseOptimizer::step(float* w, const float* g, float lr_factor, float gradient_scale) {
  ++t_;
  const Kernels& k = kernels();
  const float lr = options_.lr * lr_factor;
  const SgdStep sgd{lr, options_.momentum, options_.dampening, options_.weight_decay, gradient_scale, options_.nesterov, t_ == 1};
  const AdagradStep adagrad{lr, options_.eps, options_.weight_decay, gradient_scale};
  const AdamStep adam = is_adam(options_) ? adam_step(options_, t_, lr_factor, gradient_scale, false) : AdamStep{};
  parallel_for(n_, kElementGrain, [&](size_t begin, size_t end) {
    const size_t n = end - begin;
    float* first = first_.empty() ? nullptr : first_.data() + begin;
    switch (options_.kind) {
      case OptimizerKind::kSgd: k.sgd(w + begin, first, g + begin, sgd, n); break;
      case OptimizerKind::kAdagrad: k.adagrad(w + begin, first, g + begin, adagrad, n); break;
      case OptimizerKind::kAdam:
      case OptimizerKind::kAdamW: k.adam(w + begin, first, second_.data() + begin, g + begin, adam, n); break;
      case OptimizerKind::kRowwiseAdagrad: break;  // refused by the constructor
    }
  });
}

void DenseOptimizer::append_state(const std::string& parameter, std::vector<NamedTensor>& all) {
  const auto n = static_cast<int64_t>(n_);
  if (!first_.empty()) all.push_back({parameter + ".first", {n}, first_.data()});
  if (!second_.empty()) all.push_back({parameter + ".second", {n}, second_.data()});
}

}  // namespace sluice
