#include "waiting/decide.h"

#include <cmath>
#include <string>

#include "base/error.h"

namespace sluice {

using State = Known::State;

namespace {

void check_id(std::string_view id) {
  if (id.empty() || id.size() > kMaxIdBytes) throw Error(code::kArgument, "id: expected 1 to 256 bytes, got " + std::to_string(id.size()));
}

}  // namespace

WaitingAnswer Decisions::decide(const WaitingBatch::Request& request, uint64_t sample, uint64_t label, std::vector<uint64_t>& kept) {
  WaitingAnswer answer;
  changes_.clear();
  if (!decide_samples(sample, request.samples, answer) || !decide_labels(label, request.labels, kept, answer)) undo();
  return answer;
}

void Decisions::note(std::string_view id, Fresh value) {
  const auto [at, is_new] = fresh_.emplace(id, value);
  changes_.emplace_back(id, is_new ? std::nullopt : std::optional(at->second));
  at->second = value;
}

void Decisions::undo() {
  for (auto change = changes_.rbegin(); change != changes_.rend(); ++change) {
    if (change->second) fresh_[change->first] = *change->second;
    else fresh_.erase(change->first);
  }
}

bool Decisions::decide_samples(uint64_t first, uint64_t rows, WaitingAnswer& answer) {
  if (!batch_.with_ids) return true;
  for (uint64_t i = first; i < first + rows; ++i) {
    const std::string_view id = batch_.sample_ids.of(i);
    check_id(id);
    const auto known = fresh_.find(id);
    const Known stored = known == fresh_.end() ? state_.look_up(id) : Known{};
    if ((known != fresh_.end() && known->second.sample) || stored.state == State::kWaits || stored.state == State::kLabelled) {
      answer.refusal = WaitingAnswer::Refusal::kDuplicate;
      answer.row = i - first;
      return false;
    }
    const bool labelled = !std::isnan(batch_.samples.labels[i]);
    const bool waits_for_it = known != fresh_.end() || stored.state == State::kEarly;
    if (waits_for_it && !labelled) ++answer.joined;
    const float label = labelled ? batch_.samples.labels[i] : known != fresh_.end() ? known->second.label : stored.state == State::kEarly ? stored.label : kNoLabel;
    note(id, {label, true});
  }
  return true;
}

bool Decisions::decide_labels(uint64_t first, uint64_t rows, std::vector<uint64_t>& kept, WaitingAnswer& answer) {
  for (uint64_t i = first; i < first + rows; ++i) {
    const auto* number = batch_.with_ids ? nullptr : batch_.labels.numbers + i;
    const std::string_view id = batch_.with_ids ? batch_.labels.ids.of(i) : std::string_view(reinterpret_cast<const char*>(number), sizeof *number);
    check_id(id);
    const float label = batch_.labels.labels[i];
    const auto known = fresh_.find(id);
    Known state;
    if (known == fresh_.end()) state = batch_.with_ids ? state_.look_up(id) : state_.look_up(*number);
    else if (std::isnan(known->second.label)) state.state = State::kWaits;
    else state = {known->second.sample ? State::kLabelled : State::kEarly, known->second.label};
    answer.row = i - first;
    if (state.state == State::kUnknown && !batch_.with_ids) {
      answer.refusal = WaitingAnswer::Refusal::kUnknown;
      return false;
    }
    if (state.state == State::kLabelled || state.state == State::kEarly) {
      if (state.label != label) {
        answer.refusal = WaitingAnswer::Refusal::kConflict;
        answer.earlier = state.label;
        return false;
      }
      ++answer.known;
      continue;
    }
    if (state.state == State::kPast) {
      ++answer.late;
      continue;
    }
    ++(state.state == State::kWaits ? answer.joined : answer.early);
    kept.push_back(i);
    note(id, {label, state.state == State::kWaits});
  }
  return true;
}

}  // namespace sluice
