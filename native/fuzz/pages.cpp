// LMDB's pages: an environment of small pages that is edited, or the input itself. They are walked without LMDB; an environment that
// opens is read and written with LMDB, which trusts its pages.
#include "storage/page_walk.h"

#include <vector>

#include "files.h"

using namespace sluice;

namespace {

constexpr size_t kPage = 512;

/// Two meta pages of an empty environment: LMDB itself begins with pages of the system's size.
std::string empty_environment() {
  std::string file(2 * kPage, '\0');
  for (uint64_t page = 0; page < 2; ++page) {
    const size_t meta = page * kPage + 16;
    fuzz::put(file, page * kPage, page);
    fuzz::put(file, page * kPage + 10, uint16_t{8});
    fuzz::put(file, meta, 0xBEEFC0DEU);
    fuzz::put(file, meta + 4, 1U);
    fuzz::put(file, meta + 16, uint64_t{1} << 40);
    fuzz::put(file, meta + 24, static_cast<uint32_t>(kPage));
    fuzz::put(file, meta + 28, uint16_t{8});
    for (const size_t tree : {24, 72}) fuzz::put(file, meta + tree + 40, ~uint64_t{0});
    fuzz::put(file, meta + 120, uint64_t{1});
  }
  return file;
}

/// Trees of three levels, values of their own pages, and a list of free pages.
std::string sound_environment() {
  const std::string folder = fuzz::scratch() + "/sound";
  std::filesystem::create_directories(folder);
  fuzz::store_file(folder + "/data.mdb", empty_environment());
  {
    const auto env = Env::open(folder, true);
    for (int round = 0; round < 3; ++round) {
      Txn txn(*env, false);
      const Table words(txn, "words", Table::Keys::kString, true);
      const Table numbers(txn, "numbers", Table::Keys::kInteger, true);
      for (uint64_t i = 0; i < 120; ++i) {
        words.put(txn, "key " + std::to_string(i * 37 % 1000), std::string(i % 40, 'v'));
        numbers.put(txn, i * 3, std::string(i % 16 == 0 ? 700 : 20, 'n'));
      }
      txn.commit();
    }
  }
  return fuzz::read_file(folder + "/data.mdb");
}

/// The input's pages behind sound meta pages, numbered.
std::string pages_of(fuzz::Input& input) {
  std::string file = empty_environment();
  const uint64_t roots[] = {input.take<uint8_t>(), input.take<uint8_t>()};
  const uint16_t depth = input.take<uint8_t>();
  const std::string_view rest = input.rest();
  file.append(rest).resize((file.size() + kPage - 1) / kPage * kPage);
  for (uint64_t page = 2; page < file.size() / kPage; ++page) fuzz::put(file, page * kPage, page);
  for (const size_t meta : {size_t{16}, kPage + 16}) {
    fuzz::put(file, meta + 120, uint64_t{file.size() / kPage - 1});
    for (size_t tree = 0; tree < 2; ++tree) {
      fuzz::put(file, meta + 24 + 48 * tree + 6, depth);
      fuzz::put(file, meta + 24 + 48 * tree + 40, roots[tree] < 2 ? ~uint64_t{0} : roots[tree]);
    }
  }
  return file;
}

void walk(const std::string& path, uint64_t bytes) {
  fuzz::accepts([&] {
    PageWalk pages(path);
    for (const char* table : {"words", "numbers"}) {
      pages.walk(table, [&](std::string_view, PageWalk::Place place) {
        fuzz::expect(place.offset <= bytes && place.bytes <= bytes - place.offset, "values within the file");
        pages.read(place);
      });
    }
    pages.check_free_pages();
  });
}

/// Every value, as LMDB sees it; then changes that split, merge and free pages.
void use(const std::string& folder) {
  fuzz::accepts([&] {
    const auto env = Env::open(folder, false);
    uint64_t sum = 0;
    {
      const Txn txn(*env, true);
      for (const auto& [table, keys] : {std::pair{"words", Table::Keys::kString}, std::pair{"numbers", Table::Keys::kInteger}}) {
        Table(txn, table, keys, false).for_each(txn, [&](std::string_view key, std::string_view value) {
          for (const char c : key) sum += static_cast<unsigned char>(c);
          for (const char c : value) sum += static_cast<unsigned char>(c);
        });
      }
    }
    for (uint64_t round = 0; round < 2; ++round) {
      Txn txn(*env, false);
      const Table words(txn, "words", Table::Keys::kString, false);
      const Table numbers(txn, "numbers", Table::Keys::kInteger, false);
      for (uint64_t i = 0; i < 200; i += 7) {
        const std::string key = "key " + std::to_string(i * 37 % 1000);
        words.get(txn, key);
        words.put(txn, key, std::string((i + sum) % 60, 'w'));
        numbers.get(txn, i);
        numbers.put(txn, i + round, std::string(i % 5 == 0 ? 900 : 30, 'm'));
      }
      txn.commit();
    }
  });
}

}  // namespace

SLUICE_FUZZ_TARGET {
  static const std::string sound = sound_environment();
  fuzz::Input input(data, size);
  const uint64_t mode = input.below(3);
  std::string file = mode == 0 ? std::string(input.rest()) : mode == 1 ? sound : pages_of(input);
  while (mode == 1 && !input.empty()) {
    if (input.below(8) == 0) fuzz::edit_bytes(file, input);
    else fuzz::edit_tree_page(file, kPage, input);
  }
  const std::string folder = fuzz::scratch() + "/env";
  fuzz::store_folder(folder, {{"data.mdb", file}});
  walk(folder + "/data.mdb", file.size());
  use(folder);
  return 0;
}
