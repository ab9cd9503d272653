// Evaluation windows: the stream cut into equal spans of time.
import { SluiceError } from '../errors.js';
import type { Snapshot } from '../native/dataset.js';
import type { EvalWindow } from './results.js';

const day = 86_400_000;
const maxWindows = 100_000;

/**
 * Windows of `lengthMs`, the first beginning at the first sample's time rounded down to the UTC day (to a multiple of
 * the length when that is shorter than a day). Windows without samples are left out but keep their number.
 */
export function evaluationWindows(snapshot: Snapshot, lengthMs: number): EvalWindow[] {
  const [firstMs, lastMs] = timeSpan(snapshot);
  const unit = Math.min(day, lengthMs);
  const origin = Math.floor(firstMs / unit) * unit;
  const count = Math.floor((lastMs - origin) / lengthMs) + 1;
  if (count > maxWindows)
    throw new SluiceError('E_ARGUMENT', `evaluation.window: gives ${count} windows over this dataset, at most ${maxWindows} are allowed`);
  const windows: EvalWindow[] = [];
  let first = 0;
  for (let index = 0; index < count; index++) {
    const startMs = origin + index * lengthMs;
    const end = snapshot.lowerBoundTime(startMs + lengthMs, first, snapshot.size);
    if (end > first) windows.push({ index, first, end, startMs, endMs: startMs + lengthMs });
    first = end;
  }
  return windows;
}

/** Times (ms) of the first and the last sample. */
export function timeSpan(snapshot: Snapshot): [firstMs: number, lastMs: number] {
  return [Number(snapshot.timestamps(0, 1)[0]), Number(snapshot.timestamps(snapshot.size - 1, 1)[0])];
}
