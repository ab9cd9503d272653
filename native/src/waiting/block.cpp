#include "waiting/block.h"

#include <charconv>
#include <cstring>

#include "base/crc32c.h"
#include "base/error.h"

namespace sluice {

void BlockWriter::add(EventHead head, const uint8_t* columns, size_t column_bytes, std::string_view id) {
  head.number = next_++;
  head.arrived = arrived_;
  head.id_bytes = static_cast<uint16_t>(id.size());
  head.bytes = static_cast<uint32_t>(padded(sizeof head + column_bytes + id.size()));
  const size_t at = records_.size();
  records_.resize(at + head.bytes);
  uint8_t* record = records_.data() + at;
  std::memcpy(record, &head, sizeof head);
  if (column_bytes > 0) std::memcpy(record + sizeof head, columns, column_bytes);
  if (!id.empty()) std::memcpy(record + sizeof head + column_bytes, id.data(), id.size());
  head.crc = crc32c(record + sizeof head.crc, head.bytes - sizeof head.crc);
  std::memcpy(record, &head.crc, sizeof head.crc);
}

std::vector<uint8_t> BlockWriter::block(const std::string& notes) const {
  BlockHeader header{kBlockMagic, 0, first_, records_.size(), static_cast<uint32_t>(events()), static_cast<uint32_t>(notes.size())};
  std::vector<uint8_t> block(sizeof header + padded(notes.size()) + records_.size());
  std::memcpy(block.data(), &header, sizeof header);
  if (!notes.empty()) std::memcpy(block.data() + sizeof header, notes.data(), notes.size());
  header.crc = crc32c(block.data() + 8, sizeof header - 8 + notes.size());
  std::memcpy(block.data(), &header, sizeof header);
  if (!records_.empty()) std::memcpy(block.data() + sizeof header + padded(notes.size()), records_.data(), records_.size());
  return block;
}

std::string write_answers(const std::vector<WaitingAnswer>& answers) {
  std::string text;
  for (const WaitingAnswer& a : answers) {
    for (const uint64_t n : {a.first, a.samples, a.joined, a.early, a.known, a.late, uint64_t{a.notes.size()}}) text += std::to_string(n) + ' ';
    text += a.notes;
  }
  return text;
}

std::vector<WaitingAnswer> read_answers(std::string_view text) {
  std::vector<WaitingAnswer> answers;
  while (!text.empty()) {
    WaitingAnswer a;
    uint64_t length = 0;
    for (uint64_t* n : {&a.first, &a.samples, &a.joined, &a.early, &a.known, &a.late, &length}) {
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *n);
      if (error != std::errc() || end == text.data() + text.size()) throw Error(code::kCorrupt, "the log of waiting samples: notes that cannot be read");
      text.remove_prefix(static_cast<size_t>(end - text.data()) + 1);
    }
    if (length > text.size()) throw Error(code::kCorrupt, "the log of waiting samples: notes that cannot be read");
    a.notes = text.substr(0, length);
    text.remove_prefix(length);
    answers.push_back(std::move(a));
  }
  return answers;
}

}  // namespace sluice
