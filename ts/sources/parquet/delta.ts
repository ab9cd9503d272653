// Checks of Parquet's delta encodings before hyparquet decodes them: lengths in the bytes must not decide how much is
// allocated, and numbers must not be longer than 64 bits.
import type { DataReader } from 'hyparquet';
import { deltaBinaryUnpack } from 'hyparquet/src/delta.js';

const maxTextBytes = 2 ** 30;

/**
 * Walks DELTA_BINARY_PACKED values and returns the offset behind them. Throws where they are not well formed.
 * https://parquet.apache.org/docs/file-format/data-pages/encodings/#DELTAENC
 */
export function checkDeltaPacked(bytes: Uint8Array, start: number, count: number): number {
  let at = start;
  const varint = () => {
    let value = 0;
    for (let i = 0; i < 10; i++) {
      if (at >= bytes.length) throw new Error('delta-encoded values are cut off');
      const byte = bytes[at++]!;
      value += (byte & 127) * 2 ** (7 * i);
      if (byte < 128) return value;
    }
    throw new Error('a delta has more than 64 bits');
  };
  const blockSize = varint();
  const miniblocks = varint();
  const perMiniblock = blockSize / miniblocks;
  if (!(miniblocks > 0 && Number.isInteger(perMiniblock) && perMiniblock % 32 === 0 && blockSize <= 2 ** 20)) {
    throw new Error(`delta-encoded blocks of ${blockSize} values in ${miniblocks} parts are not possible`);
  }
  if (varint() !== count) throw new Error(`the delta-encoded values are not ${count}`);
  varint();
  for (let seen = 1; seen < count; ) {
    varint();
    const widths = bytes.subarray(at, at + miniblocks);
    at += miniblocks;
    for (let i = 0; i < miniblocks && seen < count; i++, seen += perMiniblock) {
      const width = widths[i] ?? 65;
      if (width > 64) throw new Error('a delta has more than 64 bits');
      at += (perMiniblock / 8) * width;
    }
    if (at > bytes.length) throw new Error('delta-encoded values are cut off');
  }
  return at;
}

/** Checks DELTA_LENGTH_BYTE_ARRAY or, with `prefixed`, DELTA_BYTE_ARRAY text of `count` values. */
export function checkDeltaText(bytes: Uint8Array, start: number, count: number, prefixed: boolean): void {
  let prefixes = new Int32Array(0);
  let lengthsAt = start;
  if (prefixed) {
    lengthsAt = checkDeltaPacked(bytes, start, count);
    prefixes = unpackLengths(bytes, start, count);
  }
  const textAt = checkDeltaPacked(bytes, lengthsAt, count);
  const suffixes = unpackLengths(bytes, lengthsAt, count);
  let stored = 0;
  let total = 0;
  let last = 0;
  for (let i = 0; i < count; i++) {
    const prefix = prefixes[i] ?? 0;
    const suffix = suffixes[i]!;
    if (prefix < 0 || prefix > last || suffix < 0) throw new Error('delta-encoded text has impossible lengths');
    last = prefix + suffix;
    stored += suffix;
    total += last;
  }
  if (stored > bytes.length - textAt || total > maxTextBytes) throw new Error('delta-encoded text is longer than its page');
}

function unpackLengths(bytes: Uint8Array, offset: number, count: number): Int32Array<ArrayBuffer> {
  const lengths = new Int32Array(count);
  const reader: DataReader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset };
  if (count > 0) deltaBinaryUnpack(reader, count, lengths);
  return lengths;
}
