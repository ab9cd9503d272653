#include "train/script/tick.h"

#include <torch/csrc/jit/runtime/custom_operator.h>

#include <chrono>
#include <stdexcept>

#include "train/script/graph_check.h"

namespace sluice {

namespace {

using Clock = std::chrono::steady_clock;

struct Deadline {
  bool set = false;
  bool passed = false;
  Clock::time_point end;
};

thread_local Deadline deadline;

void tick(torch::jit::Stack&) {
  if (!deadline.set || Clock::now() < deadline.end) return;
  deadline.passed = true;
  throw std::runtime_error("the time limit has passed");
}

}  // namespace

c10::Symbol tick_symbol() {
  // CONSERVATIVE: LibTorch takes it for an operator with effects, and neither drops nor moves it.
  static const torch::jit::RegisterOperators registered({torch::jit::Operator("sluice::tick() -> ()", tick, c10::AliasAnalysisKind::CONSERVATIVE)});
  static const c10::Symbol symbol = c10::Symbol::fromQualString("sluice::tick");
  return symbol;
}

ScriptDeadline::ScriptDeadline(double seconds) {
  deadline = {true, false, Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds))};
}

ScriptDeadline::~ScriptDeadline() { deadline = {}; }

bool ScriptDeadline::passed() const { return deadline.passed; }

}  // namespace sluice
