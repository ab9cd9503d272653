// Reads an LMDB 0.9 data file without LMDB, for the check of a damaged one: LMDB trusts its pages, and a flipped bit in them
// may end in a signal. Here every page number, length and offset is checked before it is used, and what lies behind sound
// pages is still found. An environment is opened with LMDB only when nothing is wrong with its pages, so all that LMDB takes for
// granted when it reads, changes, splits and frees them is checked. The format: lmdb.h and mdb.c (MDB_page, MDB_node, MDB_db, MDB_meta).
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "storage/lmdb_env.h"

namespace sluice {

/// Whether a walk looks at the heads of values that have pages of their own, a read from the disk for each. Those of the list of free pages
/// it always looks at.
enum class ValueHeads : uint8_t { kChecked, kTrusted };

class PageWalk {
 public:
  /// Chooses the newer of the meta pages that make sense. E_CORRUPT where neither does.
  explicit PageWalk(const std::string& data_file, ValueHeads heads = ValueHeads::kChecked);

  /// Where a value lies: in the file, so that it can be read again.
  struct Place {
    uint64_t offset = 0;
    uint64_t bytes = 0;
  };
  using Visit = std::function<void(std::string_view key, Place place)>;

  /// Goes through the keys of a named table in their order, as far as pages are sound; what is not is a problem. Returns
  /// false where there is no such table.
  bool walk(const std::string& table, const Visit& visit);
  /// Walks the tables that were not walked yet and checks the list of free pages: LMDB would overwrite a page in use that it names.
  void check_free_pages();
  /// Where the first key of the list of tables lies; nothing where there are none.
  const std::optional<Place>& first_key() const { return first_key_; }

  std::string read(const Place& place) const;

  /// What is wrong with the pages, so far.
  const std::vector<std::string>& problems() const { return problems_; }
  /// Whether both meta pages make sense, and the file is as long as they say.
  bool metas_sound() const { return metas_sound_; }
  uint64_t transaction() const { return meta_.transaction; }
  const File& file() const { return file_; }

 private:
  struct Tree {
    uint64_t entries = 0;
    uint64_t root = 0;
    uint16_t flags = 0;
    uint16_t depth = 0;
    bool walked = false;
    bool integer_keys() const;
  };
  struct Meta {
    uint64_t page_bytes = 0, last_page = 0, transaction = 0;
    Tree free, main;
  };
  struct Node {
    uint16_t flags;
    std::string_view key;
    uint64_t child;  // of a branch
    Place place;     // of a leaf
    size_t bytes;    // in the page
  };
  struct Progress {
    Progress(const Tree& t, const std::function<void(const Node&)>& v) : tree(t), visit(v) {}
    const Tree& tree;
    const std::function<void(const Node&)>& visit;
    uint64_t entries = 0;
    std::string last_key;
    std::optional<std::string> least_key;  // that the next leaf may have: its separator in the branch above
    bool whole = true;
  };

  std::optional<Meta> read_meta(uint64_t offset) const;
  static Tree read_tree(const uint8_t* bytes);
  void choose_meta();
  void walk_tree(const Tree& tree, const std::string& name, const std::function<void(const Node&)>& visit);
  void walk_page(uint64_t page, unsigned depth, Progress& progress);
  bool take_separator(const Node& node, size_t index, Progress& progress) const;
  bool take_entry(const Node& node, Progress& progress) const;
  bool read_nodes(const std::vector<uint8_t>& page, uint64_t number, bool leaf, std::vector<Node>& nodes);
  bool take_page(uint64_t page, uint64_t pages);
  bool read_node(const std::vector<uint8_t>& page, uint64_t number, size_t i, bool leaf, Node& node);
  std::optional<Place> overflow_place(uint64_t page, uint64_t bytes);
  void problem(uint64_t page, const std::string& what);

  File file_;
  uint64_t file_bytes_;
  ValueHeads heads_;
  Meta meta_;
  bool metas_sound_ = true;
  std::optional<Place> first_key_;
  std::map<std::string, Tree> tables_;
  std::vector<bool> used_;
  std::vector<std::string> problems_;
};

/// A walk through an environment that stays as it is meanwhile: a read transaction keeps writers from its pages. Without
/// one where LMDB refuses the file.
struct PinnedWalk {
  std::shared_ptr<Env> env;
  std::unique_ptr<Txn> transaction;
  std::unique_ptr<PageWalk> pages;
};
/// The environment in `folder`. E_NOT_FOUND where there is no file, E_CORRUPT where neither meta page makes sense.
PinnedWalk pinned_walk(const std::string& folder);

}  // namespace sluice
