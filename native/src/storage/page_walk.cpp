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
constexpr uint16_t kBranch = 0x01, kLeaf = 0x02, kMetaPage = 0x08;
constexpr size_t kMaxKey = 511;
constexpr uint16_t kBigData = 0x01, kSubTree = 0x02;
constexpr uint16_t kIntegerKeys = 0x08;
/// LMDB keeps flags of the environment with those of its list of free pages: that it was made as a file without a folder, as ours are.
constexpr uint16_t kWithoutFolder = 0x4000;
constexpr uint64_t kNoRoot = ~uint64_t{0};
constexpr unsigned kMaxDepth = 32;  // of LMDB's cursors
constexpr uint64_t kMaxPages = uint64_t{1} << 40;
constexpr size_t kMaxProblems = 1000;  // more tell nothing new

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

bool PageWalk::Tree::integer_keys() const { return flags == kIntegerKeys; }

PageWalk::PageWalk(const std::string& data_file, ValueHeads heads) : file_(data_file, O_RDONLY), file_bytes_(file_.size()), heads_(heads) {
  choose_meta();
  used_.assign(std::min(meta_.last_page + 1, file_bytes_ / meta_.page_bytes + 1), false);
  walk_tree(meta_.main, "the list of tables", [&](const Node& node) {
    if (!first_key_) first_key_ = Place{node.place.offset - node.key.size(), node.key.size()};
    const std::string name(node.key);
    const bool table = (node.flags & kSubTree) != 0 && node.place.bytes == kTreeBytes;
    if (table) tables_[name] = read_tree(reinterpret_cast<const uint8_t*>(read(node.place).data()));
    if (!table || (tables_[name].flags & ~kIntegerKeys) != 0) problem(node.place.offset / meta_.page_bytes, "its entry '" + name + "' is no table of ours");
  });
}

PageWalk::Tree PageWalk::read_tree(const uint8_t* bytes) { return {field<uint64_t>(bytes, 32), field<uint64_t>(bytes, 40), field<uint16_t>(bytes, 4), field<uint16_t>(bytes, 6)}; }

std::optional<PageWalk::Meta> PageWalk::read_meta(uint64_t offset) const {
  uint8_t page[kPageHeader + kMetaBytes];
  if (file_bytes_ < offset + sizeof page) return std::nullopt;
  file_.read_at(offset, page, sizeof page);
  const uint8_t* bytes = page + kPageHeader;
  Meta meta;
  meta.page_bytes = field<uint32_t>(bytes, 24);
  meta.last_page = field<uint64_t>(bytes, 120);
  meta.transaction = field<uint64_t>(bytes, 128);
  meta.free = read_tree(bytes + 24);
  meta.free.flags &= static_cast<uint16_t>(~kWithoutFolder);
  meta.main = read_tree(bytes + 72);
  const bool marked = (field<uint16_t>(page, 10) & kMetaPage) != 0 && field<uint32_t>(bytes, 0) == kMagic && field<uint32_t>(bytes, 4) == kVersion;
  const bool sound = marked && is_page_size(meta.page_bytes) && meta.last_page < kMaxPages && (offset == 0 || offset == meta.page_bytes) && meta.free.integer_keys() && meta.main.flags == 0;
  if (!sound) return std::nullopt;
  return meta;
}

void PageWalk::choose_meta() {
  const auto first = read_meta(0);
  std::optional<Meta> second;
  for (uint64_t bytes = kMinPageBytes; bytes <= kMaxPageBytes && !second; bytes *= 2) {
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

/// A value that was replaced by a shorter one in the same transaction may have more pages than it needs.
std::optional<PageWalk::Place> PageWalk::overflow_place(uint64_t page, uint64_t bytes) {
  const uint64_t pages = (kPageHeader + bytes + meta_.page_bytes - 1) / meta_.page_bytes;
  if (!take_page(page, pages)) return std::nullopt;
  const Place place{page * meta_.page_bytes + kPageHeader, bytes};
  if (heads_ == ValueHeads::kTrusted) return place;
  uint8_t header[kPageHeader];
  file_.read_at(page * meta_.page_bytes, header, sizeof header);
  const auto has = field<uint32_t>(header, 12);
  if (field<uint64_t>(header, 0) != page || field<uint16_t>(header, 10) != kOverflowPage || has < pages) {
    problem(page, "its header makes no sense");
    return std::nullopt;
  }
  if (has > pages && !take_page(page + pages, has - pages)) return std::nullopt;
  return place;
}

bool PageWalk::read_node(const std::vector<uint8_t>& page, uint64_t number, size_t i, bool leaf, Node& node) {
  const auto upper = field<uint16_t>(page.data(), 14);
  const auto at = field<uint16_t>(page.data(), kPageHeader + 2 * i);
  const auto fail = [&] {
    problem(number, "its entry " + std::to_string(i) + " makes no sense");
    return false;
  };
  if (at < upper || at % 2 != 0 || at + kNodeHeader > page.size()) return fail();
  const uint8_t* bytes = page.data() + at;
  const uint64_t low = field<uint16_t>(bytes, 0) | uint64_t{field<uint16_t>(bytes, 2)} << 16;
  const auto key_bytes = field<uint16_t>(bytes, 6);
  const size_t room = page.size() - at - kNodeHeader;
  if (key_bytes > room || key_bytes > kMaxKey || (key_bytes == 0 && (leaf || i > 0))) return fail();
  node.flags = field<uint16_t>(bytes, 4);
  node.key = {reinterpret_cast<const char*>(bytes) + kNodeHeader, key_bytes};
  node.bytes = kNodeHeader + key_bytes;
  const size_t most = most_node_bytes(page.size());
  if (!leaf) {
    node.child = low | uint64_t{node.flags} << 32;
    return node.bytes <= most || fail();
  }
  if ((node.flags & ~(kBigData | kSubTree)) != 0) return fail();
  if ((node.flags & kBigData) == 0) {
    node.bytes += low;
    if (low > room - key_bytes || node.bytes > most) return fail();
    node.place = {number * meta_.page_bytes + at + kNodeHeader + key_bytes, low};
    return true;
  }
  if (sizeof(uint64_t) > room - key_bytes) return fail();
  node.bytes += sizeof(uint64_t);
  const auto place = overflow_place(field<uint64_t>(bytes, kNodeHeader + key_bytes), low);
  if (place) node.place = *place;
  return place.has_value();
}

/// All nodes of a page that make sense; false where there are others, or where two share bytes.
bool PageWalk::read_nodes(const std::vector<uint8_t>& page, uint64_t number, bool leaf, std::vector<Node>& nodes) {
  const size_t entries = (field<uint16_t>(page.data(), 12) - kPageHeader) / 2;
  std::vector<std::pair<size_t, size_t>> parts;
  for (size_t i = 0; i < entries; ++i) {
    Node node{};
    if (!read_node(page, number, i, leaf, node)) continue;
    parts.emplace_back(field<uint16_t>(page.data(), kPageHeader + 2 * i), node.bytes);
    nodes.push_back(node);
  }
  std::sort(parts.begin(), parts.end());
  for (size_t i = 1; i < parts.size(); ++i) {
    if (parts[i - 1].first + parts[i - 1].second <= parts[i].first) continue;
    problem(number, "two of its entries share bytes");
    return false;
  }
  return nodes.size() == entries;
}

void PageWalk::walk_page(uint64_t number, unsigned depth, Progress& progress) {
  const auto fail = [&](const std::string& what) {
    problem(number, what);
    progress.whole = false;
  };
  if (depth >= kMaxDepth) return fail("its tree is too deep");
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
  const bool leaf = flags == kLeaf;
  if (leaf != (depth + 1 == progress.tree.depth)) fail("it lies in another depth of its tree than a page of its kind");
  if (lower < kPageHeader + (leaf ? 2 : 4)) fail("it has too few entries");
  std::vector<Node> nodes;
  if (!read_nodes(page, number, leaf, nodes)) progress.whole = false;
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (leaf ? !take_entry(nodes[i], progress) : !take_separator(nodes[i], i, progress)) {
      fail("its keys are not in order");
      if (leaf) continue;
    }
    if (leaf) progress.visit(nodes[i]);
    else walk_page(nodes[i].child, depth + 1, progress);
  }
}

/// The separator before a child, from the second one on: above every key before it, and at most the first one behind it.
bool PageWalk::take_separator(const Node& node, size_t index, Progress& progress) const {
  if (index == 0) return true;
  const bool integers = progress.tree.integer_keys();
  const bool rises = progress.entries == 0 || less(progress.last_key, node.key, integers);
  progress.least_key = std::string(node.key);
  return rises && (!integers || node.key.size() == sizeof(uint64_t));
}

bool PageWalk::take_entry(const Node& node, Progress& progress) const {
  const bool integers = progress.tree.integer_keys();
  if (integers && node.key.size() != sizeof(uint64_t)) return false;
  if (progress.entries > 0 && !less(progress.last_key, node.key, integers)) return false;
  const bool above = !progress.least_key || !less(node.key, *progress.least_key, integers);
  progress.least_key.reset();
  progress.last_key = node.key;
  ++progress.entries;
  return above;
}

void PageWalk::walk_tree(const Tree& tree, const std::string& name, const std::function<void(const Node&)>& visit) {
  Progress progress(tree, visit);
  if (tree.root != kNoRoot) walk_page(tree.root, 0, progress);
  else if (tree.depth != 0) problems_.push_back(name + " has a depth, but no page");
  if (progress.whole && progress.entries != tree.entries && problems_.size() < kMaxProblems) {
    problems_.push_back(name + " has " + std::to_string(progress.entries) + " entries instead of " + std::to_string(tree.entries));
  }
}

bool PageWalk::walk(const std::string& table, const Visit& visit) {
  const auto found = tables_.find(table);
  if (found == tables_.end()) return false;
  found->second.walked = true;
  walk_tree(found->second, "table '" + table + "'", [&](const Node& node) {
    if ((node.flags & kSubTree) != 0) problem(node.place.offset / meta_.page_bytes, "a table lies in table '" + table + "'");
    visit(node.key, node.place);
  });
  return true;
}

void PageWalk::check_free_pages() {
  for (const auto& [name, tree] : tables_) {
    if (!tree.walked) walk(name, [](std::string_view, Place) {});
  }
  heads_ = ValueHeads::kChecked;  // few, and LMDB frees as many pages as they say
  std::vector<uint64_t> all;
  walk_tree(meta_.free, "the list of free pages", [&](const Node& node) {
    const uint64_t at = node.place.offset / meta_.page_bytes;
    const auto freed_by = node.key.size() == sizeof(uint64_t) ? field<uint64_t>(reinterpret_cast<const uint8_t*>(node.key.data()), 0) : 0;
    if (freed_by == 0 || freed_by > meta_.transaction) problem(at, "a list of free pages is of no transaction");
    const std::string value = read(node.place);
    std::vector<uint64_t> list(value.size() / sizeof(uint64_t));
    std::memcpy(list.data(), value.data(), list.size() * sizeof(uint64_t));
    const bool sized = !list.empty() && list[0] <= list.size() - 1 && (node.flags & kSubTree) == 0;
    if (!sized) return problem(at, "a list of free pages makes no sense");
    list.resize(list[0] + 1);
    if (!std::is_sorted(list.rbegin(), list.rend() - 1)) problem(at, "a list of free pages is not in order");
    all.insert(all.end(), list.begin() + 1, list.end());
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
