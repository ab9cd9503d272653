// "Last trained on window k -> metric on the last windows": what training on fresher data bought.
import type { EvalWindow, RunResult, TriggerResult } from '../pipeline/results.js';
import { completeWindows, type EvaluationMatrix, evaluationMatrix, type Metric, mainMetric } from './matrix.js';

export type ComparisonPoint = {
  triggerId: number;
  /** Time of the trigger, milliseconds UTC: the newest sample that the model may have seen. */
  timeMs: number;
  /** Number of the window that this sample lies in; null when it lies in none. */
  window: number | null;
  /** Mean of the metric over the comparison's windows, weighted by their samples. */
  value: number;
};

export type Comparison = {
  metric: Metric;
  /** The windows compared on, oldest first; empty when no model was evaluated on a window after its trigger. */
  windows: EvalWindow[];
  /** One per model that had seen none of these windows, in order of training. */
  points: ComparisonPoint[];
  /** Value of the last point minus that of the first; null with fewer than two points. */
  gain: number | null;
};

export type ComparisonOptions = {
  /** How many of the last complete windows, >= 1. Default: 4, but at most a quarter of them, and as few as leave two models to compare. */
  lastWindows?: number | undefined;
  metric?: Metric | undefined;
};

/** Compares models on the last complete windows. Models that were trained up to or past the first of these are left out. */
export function compareFreshness(result: RunResult, options: ComparisonOptions = {}): Comparison {
  const metric = options.metric ?? mainMetric(result);
  const matrix = evaluationMatrix(result, metric);
  // Windows that no model has a value on (say, of one class only: no AUC) compare nothing.
  const complete = completeWindows(result);
  const usable = complete.flatMap((_, i) => (matrix.values.some((row) => row[i] !== null) ? [i] : []));
  if (options.lastWindows !== undefined) return compareOn(result, matrix, usable.slice(-Math.max(1, Math.floor(options.lastWindows))));
  let best = compareOn(result, matrix, usable.slice(-1));
  for (let count = Math.max(1, Math.min(4, Math.floor(complete.length / 4))); count > 1; count--) {
    const wider = compareOn(result, matrix, usable.slice(-count));
    if (wider.points.length < Math.min(2, best.points.length)) continue;
    best = wider;
    break;
  }
  return best;
}

function compareOn(result: RunResult, matrix: EvaluationMatrix, columns: number[]): Comparison {
  const windows = columns.map((i) => matrix.windows[i] as EvalWindow);
  const start = windows[0]?.first ?? 0;
  const points = matrix.models.flatMap((model, row) => {
    const value = model.trigger.key < start ? weightedMean(matrix.values[row] as (number | null)[], columns, windows) : null;
    return value === null ? [] : [pointOf(result, model, value)];
  });
  const [first, last] = [points[0], points.at(-1)];
  const gain = first !== undefined && last !== undefined && points.length > 1 ? last.value - first.value : null;
  return { metric: matrix.metric, windows: points.length > 0 ? windows : [], points, gain };
}

function pointOf({ windows }: RunResult, { trigger }: TriggerResult, value: number): ComparisonPoint {
  const window = windows.find((w) => w.first <= trigger.key && trigger.key < w.end)?.index ?? null;
  return { triggerId: trigger.id, timeMs: trigger.timeMs, window, value };
}

/** null unless the row has a value on every column. */
function weightedMean(row: (number | null)[], columns: number[], windows: EvalWindow[]): number | null {
  let sum = 0;
  let weights = 0;
  for (const [i, column] of columns.entries()) {
    const value = row[column];
    const { first, end } = windows[i] as EvalWindow;
    if (value === null || value === undefined) return null;
    sum += value * (end - first);
    weights += end - first;
  }
  return weights > 0 ? sum / weights : null;
}
