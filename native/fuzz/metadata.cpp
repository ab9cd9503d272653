// Values of samples beside a dataset: an environment that is edited, with and without its checksums made to hold.
#include "storage/metadata.h"

#include <vector>

#include "files.h"
#include "storage/chunk.h"

using namespace sluice;

namespace {

using Entries = std::vector<std::pair<std::string, std::string>>;

constexpr uint64_t kKeys = 40;

struct Sound {
  fuzz::Folder files;
  Entries meta, values;
};

Sound make_sound() {
  const std::string path = fuzz::scratch() + "/sound";
  {
    const auto store = MetadataStore::open(path, true);
    store->define({{"loss", MetadataType::kF32, 4096}, {"seen", MetadataType::kU8, 4096}});
    std::vector<uint64_t> keys(kKeys);
    for (uint64_t i = 0; i < kKeys; ++i) keys[i] = i;
    const std::vector<float> losses(kKeys * 4096, 0.0F);
    const std::vector<uint8_t> seen(kKeys * 4096, 0);
    store->update(keys.data(), kKeys, {{"loss", MetadataType::kF32, losses.size(), losses.data()}, {"seen", MetadataType::kU8, seen.size(), seen.data()}});
  }
  return {fuzz::load_folder(path), fuzz::entries_of(path, "meta", Table::Keys::kString), fuzz::entries_of(path, "values", Table::Keys::kInteger)};
}

void edit_entry(const Sound& sound, const std::string& path, fuzz::Input& input) {
  const auto env = Env::open(path, false);
  Txn txn(*env, false);
  if (input.flag()) {
    auto [key, value] = sound.meta[0];
    value.resize(value.size() - sizeof(uint32_t));
    fuzz::edit_bytes(value, input);
    Table(txn, "meta", Table::Keys::kString, false).put(txn, key, fuzz::sealed_entry(key, value));
  } else {
    auto [key, value] = sound.values[input.below(sound.values.size())];
    uint64_t number;
    std::memcpy(&number, key.data(), sizeof number);
    if (input.below(4) == 0) number = input.below(4) << 32 | input.below(4);
    fuzz::edit_bytes(value, input);
    ChunkHeader header;
    if (value.size() >= sizeof header) {
      std::memcpy(&header, value.data(), sizeof header);
      const size_t bytes = size_t{header.rows} * header.width;
      if (bytes <= value.size() - sizeof header) header.crc = crc32c(value.data() + sizeof header, bytes, chunk_seed(ChunkKind::kMetadata, number));
      std::memcpy(value.data(), &header, sizeof header);
    }
    Table(txn, "values", Table::Keys::kInteger, false).put(txn, number, value);
  }
  txn.commit();
}

void use(const std::string& path) {
  fuzz::accepts([&] {
    const auto store = MetadataStore::open(path, false);
    for (const MetadataColumn& column : store->columns()) {
      fuzz::expect(column.length >= 1 && column.length <= 4096, "vectors of 1 to 4096 values");
      const std::vector<uint64_t> keys{0, kKeys - 1, 1000, kMaxMetadataKey};
      std::vector<uint8_t> out(20 * column.bytes());
      fuzz::accepts([&] { store->read(column.name, keys.data(), keys.size(), out.data()); });
      fuzz::accepts([&] { store->read_range(column.name, kKeys - 10, kKeys + 10, out.data()); });
      fuzz::accepts([&] { store->update(keys.data(), 2, {{column.name, column.type, 2 * column.length, out.data()}}); });
    }
    fuzz::accepts([&] { store->erase({{3, 20}}); });
    fuzz::accepts([&] { store->define({{"more", MetadataType::kF32, 1}}); });
  });
}

}  // namespace

SLUICE_FUZZ_TARGET {
  static const Sound sound = make_sound();
  fuzz::Input input(data, size);
  const std::string path = fuzz::scratch() + "/metadata";
  fuzz::Folder files = sound.files;
  if (const uint64_t sealed = input.below(3); sealed > 0) {
    fuzz::store_folder(path, files);
    for (uint64_t i = 0; i < sealed; ++i) edit_entry(sound, path, input);
    files = fuzz::load_folder(path);
  }
  std::string& file = files.at("data.mdb");
  while (!input.empty()) {
    if (input.below(4) == 0) fuzz::edit_bytes(file, input);
    else fuzz::edit_tree_page(file, 4096, input);
  }
  fuzz::store_folder(path, files);
  fuzz::accepts([&] {
    check_metadata(path, [](uint64_t) {}, [](const std::string&, uint64_t first, uint64_t end) { fuzz::expect(first <= end, "damage with an end"); });
  });
  use(path);
  return 0;
}
