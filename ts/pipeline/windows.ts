// Evaluation windows: the stream cut into equal spans of time.
import { SluiceError } from '../errors.js';
import type { Snapshot } from '../native/dataset.js';
import type { ArrivalBatch } from '../policies/define.js';
import { halvesOf, replay, timeAt } from './replay.js';
import type { EvalWindow } from './results.js';

const day = 86_400_000;
const maxWindows = 100_000;

/** Samples read at once. */
const batchRows = 65_536;

/**
 * Windows of `lengthMs` over the samples [0, size), the first beginning at the first sample's time rounded down to the UTC day (to a multiple of
 * the length when that is shorter than a day). Windows without samples are left out but keep their number.
 */
export function evaluationWindows(snapshot: Snapshot, lengthMs: number, size = snapshot.size): EvalWindow[] {
  const [firstMs, lastMs] = timeSpan(snapshot, size);
  const origin = originOf(firstMs, lengthMs);
  const count = Math.floor((lastMs - origin) / lengthMs) + 1;
  if (count > maxWindows)
    throw new SluiceError('E_ARGUMENT', `evaluation.window: gives ${count} windows over this dataset, at most ${maxWindows} are allowed`);
  const windows: EvalWindow[] = [];
  let first = 0;
  for (let index = 0; index < count; index++) {
    const startMs = origin + index * lengthMs;
    const end = snapshot.lowerBoundTime(startMs + lengthMs, first, size);
    if (end > first) windows.push({ index, first, end, startMs, endMs: startMs + lengthMs });
    first = end;
  }
  return windows;
}

function originOf(firstMs: number, lengthMs: number): number {
  const unit = Math.min(day, lengthMs);
  return Math.floor(firstMs / unit) * unit;
}

/**
 * Windows like those of evaluationWindows(), found while samples arrive. A window ends at the first sample of a later one; a late sample counts
 * to the window in which it arrived.
 */
export class GrowingWindows {
  #origin: number | undefined;
  #index = 0;
  #first = 0;

  constructor(readonly lengthMs: number) {}

  /** Windows are numbered as this one was, also where the samples of the first ones were deleted since. */
  countFrom({ index, startMs }: EvalWindow): void {
    this.#origin = startMs - index * this.lengthMs;
  }

  /** The windows that end within the batch. */
  add(batch: ArrivalBatch): EvalWindow[] {
    const ended: EvalWindow[] = [];
    if (batch.length === 0) return ended;
    this.#origin ??= originOf(batch.time(0), this.lengthMs);
    let border = this.#endMs(this.#origin);
    const halves = halvesOf(batch.timestamps);
    for (let i = 0; i < batch.length; i++) {
      const ms = timeAt(halves, i);
      if (ms < border) continue;
      const key = batch.firstKey + i;
      if (key > this.#first) ended.push(this.#window(this.#origin, key));
      this.#index = Math.floor((ms - this.#origin) / this.lengthMs);
      this.#first = key;
      border = this.#endMs(this.#origin);
    }
    return ended;
  }

  /** The window that has not ended before the key `end`, if it has samples. */
  rest(end: number): EvalWindow[] {
    return this.#origin === undefined || end <= this.#first ? [] : [this.#window(this.#origin, end)];
  }

  #endMs(origin: number): number {
    return origin + (this.#index + 1) * this.lengthMs;
  }

  #window(origin: number, end: number): EvalWindow {
    const endMs = this.#endMs(origin);
    return { index: this.#index, first: this.#first, end, startMs: endMs - this.lengthMs, endMs };
  }
}

/** The windows over the samples [0, size) in the order of their arrival, whatever their times. */
export function arrivalWindows(snapshot: Snapshot, lengthMs: number, size: number): EvalWindow[] {
  const windows = new GrowingWindows(lengthMs);
  const ended = [...replay(() => snapshot, size, batchRows)].flatMap((batch) => windows.add(batch));
  return [...ended, ...windows.rest(size)];
}

/** Times (ms) of the first and the last sample of [0, size) that was not deleted; E_SOURCE where there is none. */
export function timeSpan(snapshot: Snapshot, size = snapshot.size): [firstMs: number, lastMs: number] {
  const living = snapshot.living(0, size);
  const [first, last] = [living[0], living.at(-1)];
  if (first === undefined || last === undefined) throw new SluiceError('E_SOURCE', 'all samples of the dataset were deleted');
  return [Number(snapshot.timestamps(first.first, 1)[0]), Number(snapshot.timestamps(last.end - 1, 1)[0])];
}
