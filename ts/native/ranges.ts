// Ranges of keys as they cross the border: pairs of first and end.
import type { KeyRange } from './types.js';

export function flatRanges(ranges: readonly KeyRange[]): BigUint64Array {
  const flat = new BigUint64Array(2 * ranges.length);
  for (const [i, { first, end }] of ranges.entries()) {
    flat[2 * i] = BigInt(first);
    flat[2 * i + 1] = BigInt(end);
  }
  return flat;
}

export function rangesOf(flat: BigUint64Array): KeyRange[] {
  return Array.from({ length: flat.length / 2 }, (_, i) => ({ first: Number(flat[2 * i]), end: Number(flat[2 * i + 1]) }));
}
