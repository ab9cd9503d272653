// Experiment mode's clock: existing samples arrive again, batch by batch, in key order.
import type { Snapshot } from '../native/dataset.js';
import type { ArrivalBatch } from '../policies/define.js';

/** Batches end at multiples of the batch size, so that a power of two up to 65,536 stays within the index's chunks (zero-copy). */
export function* replay(current: () => Snapshot, size: number, batchSize: number): Generator<ArrivalBatch> {
  for (let first = 0; first < size; first += batchSize) yield* arrivals(current, first, Math.min(first + batchSize, size));
}

/** The samples [first, end) but for deleted ones: a batch for each run. `current` gives the view anew, for samples may be deleted meanwhile. */
export function* arrivals(current: () => Snapshot, first: number, end: number): Generator<ArrivalBatch> {
  for (let at = first; at < end; ) {
    const snapshot = current();
    let next = end;
    for (const range of snapshot.living(at, end)) {
      yield arrivalBatch(snapshot, range.first, range.end - range.first);
      if (current() === snapshot) continue;
      next = range.end;
      break;
    }
    at = next;
  }
}

export function arrivalBatch(snapshot: Snapshot, firstKey: number, length: number): ArrivalBatch {
  const timestamps = snapshot.timestamps(firstKey, length);
  const halves = new Int32Array(timestamps.buffer, timestamps.byteOffset, 2 * length);
  return {
    length,
    firstKey,
    timestamps,
    labels: snapshot.labels(firstKey, length),
    // Two 32-bit halves: no BigInt is made for each sample.
    time: (i) => (halves[2 * i + 1] as number) * 4_294_967_296 + ((halves[2 * i] as number) >>> 0),
  };
}
