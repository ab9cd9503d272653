#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/error.h"

namespace sluice {

namespace {

constexpr double kPi = 3.141592653589793;

/// From `from` at 0 to `to` at 1, by half a cosine.
double cosine(double from, double to, double progress) { return to + (from - to) * (1.0 + std::cos(kPi * progress)) / 2.0; }

double one_cycle(const Schedule& s, double t, double total) {
  const double initial = 1.0 / s.initial_division;
  const double last = initial / s.final_division;
  const double top = s.rise * total - 1.0;  // as in PyTorch: the step at which the rate is highest
  const double bottom = total - 1.0;
  if (t <= top) return cosine(initial, 1.0, top > 0.0 ? t / top : 1.0);
  return cosine(1.0, last, bottom > top ? std::min(1.0, (t - top) / (bottom - top)) : 1.0);
}

}  // namespace

void check_schedule(const Schedule& s) {
  require(s.every > 0, "schedule: every", "at least 1", 0);
  require(s.warmup_from >= 0.0F && s.warmup_from <= 1.0F, "schedule: warm-up from", "0 to 1", s.warmup_from);
  require(s.gamma > 0.0F && s.gamma <= 1.0F, "schedule: gamma", "above 0 up to 1", s.gamma);
  require(s.end >= 0.0F && s.end <= 1.0F, "schedule: end", "0 to 1", s.end);
  require(s.power > 0.0F && std::isfinite(s.power), "schedule: power", "above 0", s.power);
  require(s.rise > 0.0F && s.rise < 1.0F, "schedule: rise", "between 0 and 1", s.rise);
  require(s.initial_division >= 1.0F && std::isfinite(s.initial_division), "schedule: initial division", "at least 1", s.initial_division);
  require(s.final_division >= 1.0F && std::isfinite(s.final_division), "schedule: final division", "at least 1", s.final_division);
  if (s.kind == ScheduleKind::kOneCycle && s.warmup > 0) throw Error(code::kArgument, "schedule: one-cycle has its own warm-up");
}

float schedule_factor(const Schedule& s, uint64_t step, uint64_t total, uint64_t steps_per_epoch) {
  const uint64_t epoch = std::max<uint64_t>(1, steps_per_epoch);
  const uint64_t at = s.per_epoch ? step / epoch : step;
  const uint64_t whole = s.per_epoch ? (total + epoch - 1) / epoch : total;
  if (s.kind == ScheduleKind::kOneCycle) return static_cast<float>(one_cycle(s, static_cast<double>(at), static_cast<double>(s.length > 0 ? s.length : whole)));
  if (at < s.warmup) return static_cast<float>(s.warmup_from + (1.0 - s.warmup_from) * static_cast<double>(at) / static_cast<double>(s.warmup));
  uint64_t t = at - s.warmup;
  if (s.kind == ScheduleKind::kConstant) return 1.0F;
  if (s.kind == ScheduleKind::kStep) return static_cast<float>(std::pow(static_cast<double>(s.gamma), static_cast<double>(t / s.every)));
  t -= std::min(t, s.hold);
  const uint64_t before = s.warmup + s.hold;
  const uint64_t length = s.length > 0 ? s.length : whole > before ? whole - before : 1;
  const double progress = std::min(1.0, static_cast<double>(t) / static_cast<double>(length));
  if (s.kind == ScheduleKind::kCosine) return static_cast<float>(cosine(1.0, s.end, progress));
  return static_cast<float>(s.end + (1.0 - s.end) * std::pow(1.0 - progress, static_cast<double>(s.power)));
}

}  // namespace sluice
