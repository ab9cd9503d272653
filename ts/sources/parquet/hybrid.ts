// Parquet's hybrid of run lengths and packed bits, for definition levels, dictionary indices and booleans. The library's
// decoder writes as many values as a run claims, wherever its output ends; this one never leaves `out`.

const maxWidth = 24;

/**
 * Fills `out` with values of `width` bits (0 to 24) from bytes [start, end). Throws where they end too early.
 * https://parquet.apache.org/docs/file-format/data-pages/encodings/#RLE
 */
export function decodeHybrid(bytes: Uint8Array, start: number, end: number, width: number, out: Int32Array | Uint8Array): void {
  if (width > maxWidth) throw new Error(`values of ${width} bits, at most ${maxWidth} are possible`);
  if (end > bytes.length) throw new Error('runs of values reach beyond the page');
  let at = start;
  for (let filled = 0; filled < out.length; ) {
    let header = 0;
    for (let shift = 0; ; shift += 7) {
      if (at >= end || shift > 28) throw new Error('a run of values has no valid length');
      const byte = bytes[at++]!;
      header += (byte & 127) * 2 ** shift;
      if (byte < 128) break;
    }
    const left = out.length - filled;
    const length = Math.floor(header / 2);
    if (header % 2 === 1) {
      const count = Math.min(left, length * 8);
      if (Math.ceil((count * width) / 8) > end - at) throw new Error('a run of packed values is cut off');
      unpack(bytes, at, width, out.subarray(filled, filled + count));
      at += length * width;
      filled += count;
    } else {
      const count = Math.min(left, length);
      let value = 0;
      for (let shift = 0; shift < width; shift += 8) {
        if (at >= end) throw new Error('a run of equal values is cut off');
        value |= bytes[at++]! << shift;
      }
      out.fill(value, filled, filled + count);
      filled += count;
    }
  }
}

/** Values of `width` bits, least significant bit first. */
function unpack(bytes: Uint8Array, at: number, width: number, out: Int32Array | Uint8Array): void {
  const mask = 2 ** width - 1;
  let buffer = 0;
  let bits = 0;
  for (let i = 0; i < out.length; i++) {
    while (bits < width) {
      buffer |= bytes[at++]! << bits;
      bits += 8;
    }
    out[i] = buffer & mask;
    buffer >>>= width;
    bits -= width;
  }
}
