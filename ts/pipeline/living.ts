// Selections without deleted samples: what a policy returned is filtered, and samplers draw from the living.
import type { Snapshot } from '../native/dataset.js';
import { selectUniform } from '../native/select.js';
import type { KeyRange, Selection } from '../native/types.js';

export const lengthOf = (ranges: readonly KeyRange[]) => ranges.reduce((sum, { first, end }) => sum + end - first, 0);

/** All keys of the ranges. */
export function keysOf(ranges: readonly KeyRange[]): BigUint64Array {
  const keys = new BigUint64Array(lengthOf(ranges));
  let at = 0;
  for (const { first, end } of ranges) for (let key = first; key < end; key++) keys[at++] = BigInt(key);
  return keys;
}

/** The selection without samples that were deleted; the same one where it has none. */
export function livingSelection(snapshot: Snapshot, selection: Selection): Selection {
  if (snapshot.deleted() === 0) return selection;
  if (!('keys' in selection)) {
    const { first, end } = selection;
    return snapshot.deleted(first, end) === 0 ? selection : rangeOrKeys(snapshot.living(first, end));
  }
  const { keys, weights } = selection;
  const isLiving = membership(snapshot.living());
  const kept: number[] = [];
  for (let i = 0; i < keys.length; i++) if (isLiving(Number(keys[i]))) kept.push(i);
  if (kept.length === keys.length) return selection;
  return {
    keys: BigUint64Array.from(kept, (i) => keys[i] as bigint),
    weights: weights === null ? null : Float32Array.from(kept, (i) => weights[i] as number),
  };
}

function rangeOrKeys(ranges: KeyRange[]): Selection {
  const [only] = ranges;
  return ranges.length === 1 && only !== undefined ? only : { keys: keysOf(ranges), weights: null };
}

/** Whether a key lies in one of the ranges, which are in order. */
function membership(ranges: readonly KeyRange[]): (key: number) => boolean {
  const firsts = Float64Array.from(ranges, ({ first }) => first);
  return (key) => {
    let low = 0;
    let high = firsts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((firsts[middle] as number) <= key) low = middle + 1;
      else high = middle;
    }
    return low > 0 && key < (ranges[low - 1] as KeyRange).end;
  };
}

/** `count` different living keys of [first, end), each subset equally likely; all of them when there are no more. */
export async function uniformLiving(snapshot: Snapshot, first: number, end: number, count: number, seed: number): Promise<BigUint64Array> {
  if (snapshot.deleted(first, end) === 0) return selectUniform(first, end, count, seed);
  const ranges = snapshot.living(first, end);
  const positions = await selectUniform(0, lengthOf(ranges), count, seed);
  let at = 0;
  let before = 0; // keys of the ranges before
  return positions.map((position) => {
    let range = ranges[at] as KeyRange;
    while (Number(position) - before >= range.end - range.first) {
      before += range.end - range.first;
      range = ranges[++at] as KeyRange;
    }
    return BigInt(range.first + Number(position) - before);
  });
}
