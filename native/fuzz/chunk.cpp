// Values of the index: chunks of a column, heads and checksums of blocks, generations, bitmaps of deleted samples. Raw, or with
// their checksums made to hold.
#include "storage/chunk.h"

#include <cstddef>

#include "base/crc32c.h"
#include "input.h"
#include "storage/block.h"

using namespace sluice;

namespace {

void read_chunk(fuzz::Input& input, bool seal) {
  const size_t width = size_t{1} << input.below(14);
  const auto kind = static_cast<ChunkKind>(input.below(6));
  const auto number = input.take<uint64_t>();
  const size_t padded = input.flag() ? kMinChunkBytes : 0;
  std::string value(input.rest());
  if (value.size() < padded) value.resize(padded);
  if (seal && value.size() >= sizeof(ChunkHeader)) {
    ChunkHeader header;
    std::memcpy(&header, value.data(), sizeof header);
    header.magic = kChunkMagic;
    header.width = static_cast<uint32_t>(width);
    const size_t bytes = size_t{header.rows} * width;
    if (bytes <= value.size() - sizeof header) header.crc = crc32c(value.data() + sizeof header, bytes, chunk_seed(kind, number));
    std::memcpy(value.data(), &header, sizeof header);
  }
  // On the heap in its exact length: a read beyond it is seen.
  const std::string exact(value);
  fuzz::accepts([&] {
    const ChunkView view = parse_chunk(exact, width, "input");
    check_chunk(view, chunk_seed(kind, number), "input");
    fuzz::expect(view.header->rows <= kChunkRows && sizeof(ChunkHeader) + size_t{view.header->rows} * width <= exact.size(), "rows within the value");
  });
}

void read_block(fuzz::Input& input, bool seal) {
  const RecordLayout layout(input.take<uint32_t>() % (1U << 26) + 1);
  const auto block = input.take<uint64_t>();
  auto header = input.take<BlockHeader>();
  if (seal) {
    std::memcpy(header.magic, block_header({}, 0, layout).magic, sizeof header.magic);
    header.first_key = block << layout.block_bits;
    header.record_bytes = layout.record_bytes;
    header.crc = crc32c(&header, offsetof(BlockHeader, crc));
  }
  const auto sums = parse_block_header(header, block, layout);
  if (sums) fuzz::expect(sums->rows <= layout.block_rows() && block_header(*sums, block, layout).first_key == block << layout.block_bits, "rows within the block");
  std::string entry(input.rest());
  if (seal && entry.size() >= sizeof(BlockSums)) {
    BlockSums given;
    std::memcpy(&given, entry.data(), sizeof given);
    entry = block_entry(given, block);
  }
  const auto parsed = parse_block_entry(entry, block);
  if (parsed) fuzz::expect(block_entry(*parsed, block) == entry, "an entry that is written as it was read");
}

void read_generation(fuzz::Input& input, bool seal) {
  const auto segment = input.take<uint64_t>();
  const std::string key = seal ? std::string(reinterpret_cast<const char*>(&segment), sizeof segment) : std::string(input.take_text());
  const std::string value = seal ? generation_entry(segment, input.take<uint32_t>()) : std::string(input.rest());
  const auto parsed = parse_generation(key, value);
  if (parsed) fuzz::expect(generation_entry(parsed->first, parsed->second) == value, "a generation that is written as it was read");
}

void read_bitmap(fuzz::Input& input, bool seal) {
  const auto chunk = input.take<uint64_t>();
  std::string value(input.rest());
  if (seal) {
    std::vector<uint64_t> bits(kChunkRows / 64);
    std::memcpy(bits.data(), value.data(), std::min(value.size(), bits.size() * 8));
    value = bitmap_value(bits, chunk);
  }
  fuzz::accepts([&] {
    KeySet set;
    set.add_chunk(chunk, parse_bitmap(value, chunk, "input"));
    fuzz::expect(set.size() <= kChunkRows, "at most all samples of a chunk");
  });
}

}  // namespace

SLUICE_FUZZ_TARGET {
  fuzz::Input input(data, size);
  const bool seal = input.flag();
  switch (input.below(4)) {
    case 0: read_chunk(input, seal); break;
    case 1: read_block(input, seal); break;
    case 2: read_generation(input, seal); break;
    default: read_bitmap(input, seal); break;
  }
  return 0;
}
