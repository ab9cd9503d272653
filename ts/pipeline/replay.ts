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

/** Samples of an index chunk: what a view of the index covers at most. */
const chunkRows = 65_536;

type ChunkViews = { first: number; end: number; whole: boolean; timestamps: BigInt64Array; halves: Int32Array; labels?: Float32Array };

/**
 * Like arrivals(), of one snapshot, for many small batches in order: a view of the index costs some ten microseconds, so that batches share one of
 * their whole chunk. Labels are read where a policy asks for them.
 */
export class Arrivals {
  #views: ChunkViews | undefined;

  constructor(readonly snapshot: Snapshot) {}

  /** The samples [first, end) but for deleted ones: a batch for each run. */
  *between(first: number, end: number): Generator<ArrivalBatch> {
    if (first >= end) return;
    const views = this.#viewsAt(first);
    if (end > views.end) return yield* arrivals(() => this.snapshot, first, end);
    const ranges = views.whole ? [{ first, end }] : this.snapshot.living(first, end);
    for (const range of ranges) yield this.#batch(views, range.first, range.end - range.first);
  }

  #viewsAt(key: number): ChunkViews {
    if (this.#views !== undefined && key >= this.#views.first && key < this.#views.end) return this.#views;
    const first = key - (key % chunkRows);
    const end = Math.min(this.snapshot.size, first + chunkRows);
    const timestamps = this.snapshot.timestamps(first, end - first);
    const whole = this.snapshot.deleted(first, end) === 0;
    this.#views = { first, end, whole, timestamps, halves: halvesOf(timestamps) };
    return this.#views;
  }

  #batch(views: ChunkViews, firstKey: number, length: number): ArrivalBatch {
    const from = firstKey - views.first;
    const { snapshot } = this;
    let timestamps: BigInt64Array | undefined;
    let labels: Float32Array | undefined;
    return {
      length,
      firstKey,
      get timestamps() {
        timestamps ??= views.timestamps.subarray(from, from + length);
        return timestamps;
      },
      get labels() {
        views.labels ??= snapshot.labels(views.first, views.end - views.first);
        labels ??= views.labels.subarray(from, from + length);
        return labels;
      },
      time: (i) => timeAt(views.halves, from + i),
    };
  }
}

/** Two 32-bit halves a timestamp: no BigInt is made for each sample. */
export const halvesOf = (timestamps: BigInt64Array) => new Int32Array(timestamps.buffer, timestamps.byteOffset, 2 * timestamps.length);

/** Timestamp i as a number. */
export const timeAt = (halves: Int32Array, i: number): number =>
  (halves[2 * i + 1] as number) * 4_294_967_296 + ((halves[2 * i] as number) >>> 0);

export function arrivalBatch(snapshot: Snapshot, firstKey: number, length: number): ArrivalBatch {
  const timestamps = snapshot.timestamps(firstKey, length);
  const halves = halvesOf(timestamps);
  return { length, firstKey, timestamps, labels: snapshot.labels(firstKey, length), time: (i) => timeAt(halves, i) };
}
