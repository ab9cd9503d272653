// A check of Zstandard frames (RFC 8878) before they are decompressed: the decompressor allocates the window and content
// sizes that a frame claims, and without a content size it grows with every block.

const magic = 0xfd2fb528;
const skippableMagic = 0x184d2a50;
const maxWindowBytes = 2 ** 27;
const maxBlockBytes = 2 ** 17;
const spareBlocks = 64;

/** Throws when the frames in `bytes` could make the decompressor allocate much more than `length` bytes. */
export function checkFrames(bytes: Uint8Array, length: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let blocks = 0;
  let claimed = 0;
  try {
    for (let at = 0; at < bytes.length; ) {
      const kind = view.getUint32(at, true);
      if ((kind & 0xfffffff0) === skippableMagic) {
        at += 8 + view.getUint32(at + 4, true);
        continue;
      }
      if (kind !== magic) throw new Error('a page is not Zstandard data');
      const frame = readHeader(view, at + 4);
      if (frame.window > maxWindowBytes && frame.window > length) throw new Error(`a Zstandard window of ${frame.window} bytes`);
      claimed += frame.content;
      const end = skipBlocks(view, frame.at);
      blocks += end.blocks;
      at = end.at + (frame.checksum ? 4 : 0);
    }
  } catch (error) {
    if (error instanceof RangeError) throw new Error('Zstandard data is cut off', { cause: error });
    throw error;
  }
  if (claimed > length || blocks > 2 * Math.ceil(length / maxBlockBytes) + spareBlocks) {
    throw new Error(`Zstandard data holds more than the ${length} bytes of its page`);
  }
}

/** Frame_Header, section 3.1.1.1. `content` is 0 where the frame does not tell it. */
function readHeader(view: DataView, start: number): { window: number; content: number; checksum: boolean; at: number } {
  const descriptor = view.getUint8(start);
  const single = (descriptor & 32) !== 0;
  let at = start + 1;
  let window = 0;
  if (!single) {
    const code = view.getUint8(at++);
    window = 2 ** (10 + (code >> 3)) * (1 + (code & 7) / 8);
  }
  at += [0, 1, 2, 4][descriptor & 3]!;
  const size = [single ? 1 : 0, 2, 4, 8][descriptor >> 6]!;
  let content = 0;
  for (let i = 0; i < size; i++) content += view.getUint8(at + i) * 2 ** (8 * i);
  if (size === 2) content += 256;
  return { window: single ? content : window, content, checksum: (descriptor & 4) !== 0, at: at + size };
}

/** Block_Header, section 3.1.1.2: 24 bits with last, type and size. */
function skipBlocks(view: DataView, start: number): { at: number; blocks: number } {
  for (let at = start, blocks = 1; ; blocks++) {
    const header = view.getUint16(at, true) + view.getUint8(at + 2) * 65_536;
    const type = (header >> 1) & 3;
    at += 3 + (type === 1 ? 1 : header >> 3);
    if ((header & 1) === 1) return { at, blocks };
  }
}
