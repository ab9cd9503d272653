// Samplers that draw from the samples that were not deleted.
import type { Snapshot } from '../native/dataset.js';
import { selectUniform } from '../native/select.js';
import type { KeyRange } from '../native/types.js';

export const lengthOf = (ranges: readonly KeyRange[]) => ranges.reduce((sum, { first, end }) => sum + end - first, 0);

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
