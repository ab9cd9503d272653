// The numbers behind tables and pictures: which model did how well on which evaluation window.
import type { EvalWindow, RunResult, TriggerResult } from '../pipeline/results.js';

export type Metric = 'auc' | 'accuracy' | 'rmse' | 'loss';

export const metricNames: Record<Metric, string> = { auc: 'AUC', accuracy: 'accuracy', rmse: 'RMSE', loss: 'loss' };

/** Whether less of the metric is better. */
export const lowerIsBetter = (metric: Metric): boolean => metric === 'loss' || metric === 'rmse';

/** AUC where a model has one; accuracy for more than two classes, which have no AUC; RMSE for a regression. */
export function mainMetric(result: RunResult): 'auc' | 'accuracy' | 'rmse' {
  const has = (metric: 'auc' | 'rmse') => result.triggers.some((t) => t.evaluation?.some((m) => m[metric] !== null));
  return has('auc') ? 'auc' : has('rmse') ? 'rmse' : 'accuracy';
}

/** Rows are the triggers that gave a model, columns the windows; null where a model has no (finite) value. */
export type EvaluationMatrix = { metric: Metric; models: TriggerResult[]; windows: EvalWindow[]; values: (number | null)[][] };

export function evaluationMatrix(result: RunResult, metric: Metric): EvaluationMatrix {
  const { windows } = result;
  const column = new Map(windows.map((w, i) => [w.index, i]));
  const models = result.triggers.filter((t) => t.training !== null || t.evaluation !== null);
  const values = models.map(({ evaluation }) => {
    const row: (number | null)[] = new Array(windows.length).fill(null);
    for (const m of evaluation ?? []) {
      const at = column.get(m.window);
      const value = m[metric];
      if (at !== undefined && value !== null && Number.isFinite(value)) row[at] = value;
    }
    return row;
  });
  return { metric, models, windows, values };
}

/** Share of its time, 0..1, that the stream covers of the last window. */
export function lastWindowCoverage({ windows, dataset }: RunResult): number {
  const last = windows.at(-1);
  if (last === undefined) return 1;
  const full = median(windows.map((w) => w.endMs - w.startMs));
  return full > 0 ? Math.max(0, Math.min(1, (Math.min(dataset.lastMs, last.endMs) - last.startMs) / full)) : 1;
}

/**
 * Whether the stream ends early in the last window: less than half of its time and less than half of the samples usual
 * for a window. Either alone proves nothing: samples may come at one moment of a window, and their number varies.
 */
export function lastWindowIsPartial(result: RunResult): boolean {
  const others = result.windows.slice(0, -1);
  const last = result.windows.at(-1);
  if (last === undefined || others.length === 0) return false;
  return last.end - last.first < median(others.map((w) => w.end - w.first)) / 2 && lastWindowCoverage(result) < 0.5;
}

/** The windows that comparisons use: all but a partial last one. */
export function completeWindows(result: RunResult): EvalWindow[] {
  return lastWindowIsPartial(result) ? result.windows.slice(0, -1) : result.windows;
}

/** Least and greatest value of the matrix on `windows`; null when it has none. */
export function valueRange(matrix: EvaluationMatrix, windows: EvalWindow[]): [least: number, greatest: number] | null {
  let least = Number.POSITIVE_INFINITY;
  let greatest = Number.NEGATIVE_INFINITY;
  for (const row of matrix.values) {
    for (let i = 0; i < windows.length; i++) {
      const value = row[i];
      if (value === null || value === undefined) continue;
      least = Math.min(least, value);
      greatest = Math.max(greatest, value);
    }
  }
  return least <= greatest ? [least, greatest] : null;
}

/** Up to `most` of the positions 0..count-1, evenly spread, the first and the last among them. */
export function thin(count: number, most: number): number[] {
  if (count <= most) return Array.from({ length: count }, (_, i) => i);
  if (most < 2) return [count - 1];
  return Array.from({ length: most }, (_, i) => Math.round((i * (count - 1)) / (most - 1)));
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
