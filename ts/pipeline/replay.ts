// Experiment mode's clock: existing samples arrive again, batch by batch, in key order.
import type { Snapshot } from '../native/dataset.js';
import type { ArrivalBatch } from '../policies/define.js';

/** Batches end at multiples of the batch size, so that a power of two up to 65,536 stays within the index's chunks (zero-copy). */
export function* replay(snapshot: Snapshot, batchSize: number, size = snapshot.size): Generator<ArrivalBatch> {
  for (let first = 0; first < size; first += batchSize) {
    yield arrivalBatch(snapshot, first, Math.min(batchSize, size - first));
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
