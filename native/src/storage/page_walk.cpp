#include "storage/page_walk.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "storage/lmdb_format.h"

namespace sluice {

namespace {

using namespace lmdb_format;

constexpr size_t kTreeBytes = 48;
constexpr size_t kNodeHeader = 8;
constexpr uint16_t kBranch = 0x01, kLeaf = 0x02;
constexpr uint16_t kBigData = 0x01, kSubTree = 0x02;
constexpr uint16_t kIntegerKeys = 0x08;
constexpr uint64_t kNoRoot = ~uint64_t{0};
constexpr unsigned kMaxDepth = 32;
constexpr uint64_t kMaxPages = uint64_t{1} << 40;
constexpr size_t kMaxProblems = 1000;  // more tell nothing new

bool is_page_size(uint64_t bytes) { return bytes >= 512 && bytes <= 65536 && (bytes & (bytes - 1)) == 0; }

/// As LMDB orders keys.
bool less(std::string_view a, std::string_view b, bool integers) {
  if (!integers || a.size() != sizeof(uint64_t) || b.size() != sizeof(uint64_t)) return a < b;
  uint64_t x;
  uint64_t y;
  std::memcpy(&x, a.data(), sizeof x);
  std::memcpy(&y, b.data(), sizeof y);
  return x < y;
}

}  // namespace

PageWalk::PageWalk(const std::string& data_file) : file_(data_file, O_RDONLY), file_bytes_(file_.size()) {
  choose_meta();
  used_.assign(std::min(meta_.last_page + 1, file_bytes_ / meta_.page_bytes + 1), false);
  walk_tree(meta_.main, "the list of tables", [&](const Node& node) {
    if ((node.flags & kSubTree) != 0 && node.place.bytes == kTreeBytes) tables_[std::string(node.key)] = read_tree(reinterpret_cast<const uint8_t*>(read(node.place).data()));
  });
}

PageWalk::Tree PageWalk::read_tree(const uint8_t* bytes) {
  return {field<uint64_t>(bytes, 32), field<uint64_t>(bytes, 40), (field<uint16_t>(bytes, 4) & kIntegerKeys) != 0};
}

std::optional<PageWalk::Meta> PageWalk::read_meta(uint64_t offset) const {
  uint8_t bytes[kMetaBytes];
  if (file_bytes_ < offset + kPageHeader + kMetaBytes) return std::nullopt;
  file_.read_at(offset + kPageHeader, bytes, sizeof bytes);
  Meta meta;
  meta.page_bytes = field<uint32_t>(bytes, 24);
  meta.last_page = field<uint64_t>(bytes, 120);
  meta.transaction = field<uint64_t>(bytes, 128);
  meta.free = read_tree(bytes + 24);
  meta.main = read_tree(bytes + 72);
  const bool sound = field<uint32_t>(bytes, 0) == kMagic && field<uint32_t>(bytes, 4) == kVersion && is_page_size(meta.page_bytes) && meta.last_page < kMaxPages &&
                     (offset == 0 || offset == meta.page_bytes);
  if (!sound) return std::nullopt;
  return meta;
}

void PageWalk::choose_meta() {
  const auto first = read_meta(0);
  std::optional<Meta> second;
  for (uint64_t bytes = 512; bytes <= 65536 && !second; bytes *= 2) {
    if (!first || first->page_bytes == bytes) second = read_meta(bytes);
  }
  if (!first && !second) throw Error(code::kCorrupt, file_.path() + " is damaged: neither of its meta pages makes sense");
  meta_ = !second || (first && first->transaction >= second->transaction) ? *first : *second;
  if (!first || !second) problems_.push_back(std::string("the ") + (first ? "second" : "first") + " meta page makes no sense");
  if (first && second && !metas_follow(first->transaction, second->transaction)) problems_.push_back("the meta pages are not of two commits that follow each other");
  const uint64_t needed = (meta_.last_page + 1) * meta_.page_bytes;
  if (file_bytes_ < needed) problems_.push_back("it has " + std::to_string(file_bytes_) + " bytes, its meta page tells of " + std::to_string(needed));
  metas_sound_ = problems_.empty();
}

void PageWalk::problem(uint64_t page, const std::string& what) {
  if (problems_.size() < kMaxProblems) problems_.push_back("page " + std::to_string(page) + ": " + what);
}

/// Notes that pages are in use; false where they lie outside the file or are in use already.
bool PageWalk::take_page(uint64_t page, uint64_t pages) {
  if (page < 2 || page > meta_.last_page || pages > meta_.last_page - page + 1 || page + pages > file_bytes_ / meta_.page_bytes) {
    problem(page, "it does not lie in the file");
    return false;
  }
  for (uint64_t p = page; p < page + pages; ++p) {
    if (used_[p]) {
      problem(p, "it is part of two things at once");
      return false;
    }
    used_[p] = true;
  }
  return true;
}

std::optional<PageWalk::Place> PageWalk::overflow_place(uint64_t page, uint64_t bytes) {
  const uint64_t pages = (kPageHeader + bytes + meta_.page_bytes - 1) / meta_.page_bytes;
  if (!take_page(page, pages)) return std::nullopt;
  uint8_t header[kPageHeader];
  file_.read_at(page * meta_.page_bytes, header, sizeof header);
  if (field<uint64_t>(header, 0) != page || (field<uint16_t>(header, 10) & kOverflowPage) == 0 || field<uint32_t>(header, 12) != pages) {
    problem(page, "its header makes no sense");
    return std::nullopt;
  }
  return Place{page * meta_.page_bytes + kPageHeader, bytes};
}

bool PageWalk::read_node(const std::vector<uint8_t>& page, uint64_t number, size_t i, bool leaf, Node& node) {
  const auto upper = field<uint16_t>(page.data(), 14);
  const auto at = field<uint16_t>(page.data(), kPageHeader + 2 * i);
  const auto fail = [&] {
    problem(number, "its entry " + std::to_string(i) + " makes no sense");
    return false;
  };
  if (at < upper || at + kNodeHeader > page.size()) return fail();
  const uint8_t* bytes = page.data() + at;
  const uint64_t low = field<uint16_t>(bytes, 0) | uint64_t{field<uint16_t>(bytes, 2)} << 16;
  const auto key_bytes = field<uint16_t>(bytes, 6);
  const size_t room = page.size() - at - kNodeHeader;
  if (key_bytes > room) return fail();
  node.flags = field<uint16_t>(bytes, 4);
  node.key = {reinterpret_cast<const char*>(bytes) + kNodeHeader, key_bytes};
  if (!leaf) {
    node.child = low | uint64_t{node.flags} << 32;
    return true;
  }
  if ((node.flags & ~(kBigData | kSubTree)) != 0) return fail();
  if ((node.flags & kBigData) == 0) {
    if (low > room - key_bytes) return fail();
    node.place = {number * meta_.page_bytes + at + kNodeHeader + key_bytes, low};
    return true;
  }
  if (sizeof(uint64_t) > room - key_bytes) return fail();
  const auto place = overflow_place(field<uint64_t>(bytes, kNodeHeader + key_bytes), low);
  if (place) node.place = *place;
  return place.has_value();
}

void PageWalk::walk_page(uint64_t number, unsigned depth, Progress& progress) {
  const auto fail = [&](const std::string& what) {
    problem(number, what);
    progress.whole = false;
  };
  if (depth > kMaxDepth) return fail("its tree is too deep");
  if (!take_page(number, 1)) {
    progress.whole = false;
    return;
  }
  std::vector<uint8_t> page(meta_.page_bytes);
  file_.read_at(number * meta_.page_bytes, page.data(), page.size());
  const auto flags = field<uint16_t>(page.data(), 10);
  const auto lower = field<uint16_t>(page.data(), 12);
  const auto upper = field<uint16_t>(page.data(), 14);
  const bool shaped = (flags == kBranch || flags == kLeaf) && lower >= kPageHeader && lower <= upper && upper <= page.size() && lower % 2 == 0;
  if (field<uint64_t>(page.data(), 0) != number || !shaped) return fail("its header makes no sense");
  const size_t entries = (lower - kPageHeader) / 2;
  for (size_t i = 0; i < entries; ++i) {
    Node node{};
    if (!read_node(page, number, i, flags == kLeaf, node)) {
      progress.whole = false;
      continue;
    }
    if (flags == kBranch) {
      walk_page(node.child, depth + 1, progress);
      continue;
    }
    if (progress.entries > 0 && !less(progress.last_key, node.key, progress.tree.integer_keys)) {
      fail("its keys are not in order");
      continue;
    }
    progress.last_key = node.key;
    ++progress.entries;
    progress.visit(node);
  }
}

void PageWalk::walk_tree(const Tree& tree, const std::string& name, const std::function<void(const Node&)>& visit) {
  Progress progress(tree, visit);
  if (tree.root != kNoRoot) walk_page(tree.root, 0, progress);
  if (progress.whole && progress.entries != tree.entries && problems_.size() < kMaxProblems) {
    problems_.push_back(name + " has " + std::to_string(progress.entries) + " entries instead of " + std::to_string(tree.entries));
  }
}

bool PageWalk::walk(const std::string& table, const Visit& visit) {
  const auto found = tables_.find(table);
  if (found == tables_.end()) return false;
  walk_tree(found->second, "table '" + table + "'", [&](const Node& node) { visit(node.key, node.place); });
  return true;
}

void PageWalk::check_free_pages() {
  std::vector<uint64_t> all;
  walk_tree(meta_.free, "the list of free pages", [&](const Node& node) {
    const std::string value = read(node.place);
    uint64_t count = 0;
    if (value.size() >= sizeof count) std::memcpy(&count, value.data(), sizeof count);
    if (value.size() < sizeof count || count > value.size() / sizeof count - 1) return problem(node.place.offset / meta_.page_bytes, "a list of free pages makes no sense");
    const size_t had = all.size();
    all.resize(had + count);
    std::memcpy(all.data() + had, value.data() + sizeof count, count * sizeof count);
  });
  std::sort(all.begin(), all.end());
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i] < 2 || all[i] > meta_.last_page) problem(all[i], "the list of free pages names it, but the file ends before it");
    else if (all[i] < used_.size() && used_[all[i]]) problem(all[i], "the list of free pages names it, but it is in use");
    else if (i > 0 && all[i] == all[i - 1]) problem(all[i], "the list of free pages names it twice");
  }
}

std::string PageWalk::read(const Place& place) const {
  std::string bytes(place.bytes, '\0');
  file_.read_at(place.offset, bytes.data(), bytes.size());
  return bytes;
}

PinnedWalk pinned_walk(const std::string& folder) {
  const std::string data = folder + "/data.mdb";
  PinnedWalk result;
  try {
    result.env = Env::open(folder, false);
    if (!result.env->ever_written()) throw Error(code::kNotFound, folder + " holds nothing: its creation was cut off");
  } catch (const Error& error) {
    if (std::string_view(error.code()) != code::kCorrupt) throw;
  }
  if (!result.env) {
    result.pages = std::make_unique<PageWalk>(data);
    return result;
  }
  // A commit may come between: then the meta page that was read is not the one that the transaction pins.
  for (int attempt = 0; attempt < 1000; ++attempt) {
    result.transaction = std::make_unique<Txn>(*result.env, true);
    result.pages = std::make_unique<PageWalk>(data);
    if (result.pages->transaction() == mdb_txn_id(result.transaction->raw()) || !result.pages->metas_sound()) return result;
    result.pages.reset();
    result.transaction.reset();
  }
  throw Error(code::kLocked, folder + " changes too fast to be checked: another process writes to it");
}

}  // namespace sluice
