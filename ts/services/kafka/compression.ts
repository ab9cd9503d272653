// How producers compress a batch of records: gzip, Snappy, LZ4, Zstandard. What it becomes has a bound, since a few bytes may stand for gigabytes.
import zlib from 'node:zlib';
import { Decompress } from 'fzstd';
import { decompressSnappy } from 'hyparquet-compressors';
import { WireError } from './wire.js';

/** Node has Zstandard from 22.15 on. */
type WithZstd = typeof zlib & { zstdDecompressSync?: (data: Buffer, options: { maxOutputLength: number }) => Buffer };

const { gunzipSync, zstdDecompressSync } = zlib as WithZstd;

/** By the three lowest bits of a batch's attributes. */
const codecs = [(data: Buffer) => data, gunzip, unsnappy, unlz4, unzstd];

/** The content of a batch; `codec` as in its attributes. WireError where it is unknown, damaged or larger than `maxBytes`. */
export function decompress(codec: number, data: Buffer, maxBytes: number): Buffer {
  const decode = codecs[codec];
  if (decode === undefined) throw new WireError(`it is compressed in an unknown way (${codec})`);
  try {
    return decode(data, maxBytes);
  } catch (error) {
    if (error instanceof WireError) throw error;
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(maxBytes);
    throw new WireError(`its compression is damaged: ${(error as Error).message}`);
  }
}

const tooLarge = (maxBytes: number) => new WireError(`it is larger than ${maxBytes} bytes when it is decompressed`);

function gunzip(data: Buffer, maxBytes: number): Buffer {
  return gunzipSync(data, { maxOutputLength: maxBytes });
}

const xerialMagic = Buffer.from('\x82SNAPPY\0', 'latin1');
const xerialHeader = 16;

/** One block, or several with their lengths before them, as the Java client writes them (snappy-java's SnappyOutputStream). */
function unsnappy(data: Buffer, maxBytes: number): Buffer {
  if (!data.subarray(0, xerialMagic.length).equals(xerialMagic)) return snappyBlock(data, maxBytes);
  const pieces: Buffer[] = [];
  let bytes = 0;
  for (let at = xerialHeader; at < data.length; ) {
    const length = data.readUInt32BE(at);
    at += 4 + length;
    if (at > data.length) throw new WireError('its compression is damaged: a block is cut off');
    const piece = snappyBlock(data.subarray(at - length, at), maxBytes - bytes);
    bytes += piece.length;
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

/** A block begins with the length of its content, as a varint. */
function snappyBlock(data: Buffer, maxBytes: number): Buffer {
  let length = 0;
  let at = 0;
  for (let byte = 0x80; byte >= 0x80; at++) {
    if (at >= Math.min(5, data.length)) throw new WireError('its compression is damaged: there is no length');
    byte = data[at]!;
    length += (byte & 0x7f) * 2 ** (7 * at);
  }
  if (length > maxBytes) throw tooLarge(maxBytes);
  if (length === 0) return Buffer.alloc(0);
  const { buffer, byteOffset, byteLength } = decompressSnappy(data, length);
  return Buffer.from(buffer, byteOffset, byteLength);
}

function unzstd(data: Buffer, maxBytes: number): Buffer {
  if (zstdDecompressSync !== undefined) return zstdDecompressSync(data, { maxOutputLength: maxBytes });
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  const stream = new Decompress((piece) => {
    bytes += piece.length;
    if (bytes > maxBytes) throw tooLarge(maxBytes);
    pieces.push(piece);
  });
  stream.push(data, true);
  return Buffer.concat(pieces);
}

const lz4Magic = 0x184d2204;

/** LZ4 frames (lz4_Frame_format.md 1.6.4). Their checksums are left aside: the batch has one over all of it. */
function unlz4(data: Buffer, maxBytes: number): Buffer {
  if (data.readUInt32LE(0) !== lz4Magic) throw new WireError('its compression is damaged: there is no LZ4 frame');
  const flags = data[4]!;
  const blockBytes = 2 ** (2 * ((data[5]! >> 4) & 7) + 8);
  const blockChecksum = flags & 0x10 ? 4 : 0;
  let at = 7 + (flags & 0x08 ? 8 : 0) + (flags & 0x01 ? 4 : 0);
  let out = Buffer.allocUnsafe(Math.min(maxBytes, Math.max(4 * data.length, blockBytes)));
  let length = 0;
  for (;;) {
    const size = data.readUInt32LE(at);
    at += 4;
    if (size === 0) return out.subarray(0, length);
    const block = data.subarray(at, at + (size & 0x7fffffff));
    at += (size & 0x7fffffff) + blockChecksum;
    if (at > data.length) throw new WireError('its compression is damaged: a block is cut off');
    if (out.length < length + blockBytes && out.length < maxBytes) {
      const larger = Buffer.allocUnsafe(Math.min(maxBytes, 2 * out.length + blockBytes));
      out.copy(larger, 0, 0, length);
      out = larger;
    }
    length = size >= 2 ** 31 ? stored(block, out, length) : lz4Block(block, out, length);
    if (length > out.length)
      throw out.length < maxBytes ? new WireError('its compression is damaged: a block is too large') : tooLarge(maxBytes);
  }
}

function stored(block: Buffer, out: Buffer, length: number): number {
  block.copy(out, length);
  return length + block.length;
}

/**
 * Appends the content of a block to `out`, of which the first `length` bytes are in use: literals, and copies of what came before, also in
 * earlier blocks (lz4_Block_format.md). Returns the new length; what is greater than `out` says that it did not fit.
 */
function lz4Block(block: Buffer, out: Buffer, length: number): number {
  let at = 0;
  const extended = (nibble: number) => {
    let value = nibble;
    if (nibble === 15) {
      let byte = 255;
      while (byte === 255 && at < block.length) value += byte = block[at++]!;
    }
    return value;
  };
  while (at < block.length) {
    const token = block[at++]!;
    const literals = extended(token >> 4);
    if (at + literals > block.length) throw new WireError('its compression is damaged: a block is cut off');
    if (length + literals > out.length) return out.length + 1;
    if (literals > 32) block.copy(out, length, at, at + literals);
    else for (let i = 0; i < literals; i++) out[length + i] = block[at + i]!;
    at += literals;
    length += literals;
    if (at === block.length) return length;
    const distance = block[at]! | (block[at + 1]! << 8);
    at += 2;
    const count = extended(token & 15) + 4;
    if (!(distance > 0 && distance <= length)) throw new WireError('its compression is damaged: a copy from before its beginning');
    if (length + count > out.length) return out.length + 1;
    if (distance >= count && count > 32) out.copyWithin(length, length - distance, length - distance + count);
    else for (let i = 0; i < count; i++) out[length + i] = out[length + i - distance]!;
    length += count;
  }
  return length;
}
