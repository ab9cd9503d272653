// A run as plain text for a terminal. No function here reads or writes anything.
import { styleText } from 'node:util';
import type { RunResult, TriggerResult } from '../pipeline/results.js';
import { type Comparison, type ComparisonPoint, compareFreshness } from './comparison.js';
import {
  completeWindows,
  type EvaluationMatrix,
  evaluationMatrix,
  lastWindowIsPartial,
  type Metric,
  lowerIsBetter,
  mainMetric,
  metricNames,
  thin,
  valueRange,
} from './matrix.js';
import {
  clean,
  compact,
  count,
  decimal,
  partialNote,
  plural,
  seconds,
  sentence,
  shortTimes,
  signed,
  statusNote,
  timeText,
  windowSpan,
  windowStep,
} from './text.js';

export { type Metric, mainMetric } from './matrix.js';

const maxRows = 40;
const maxBars = 24;
const barWidth = 24;

export type MatrixOptions = {
  /** Default: mainMetric(). */
  metric?: Metric | undefined;
  /** Terminal columns to fit into; at least one window is shown however narrow. */
  width: number;
  /** Shade cells from bad to good with terminal colours. */
  color: boolean;
};

/** The evaluation matrix: a row for each model, a column for each window, `.` where a model was not evaluated. Thinned out evenly to fit. */
export function aucMatrix(result: RunResult, options: MatrixOptions): string {
  const metric = options.metric ?? mainMetric(result);
  const matrix = evaluationMatrix(result, metric);
  const notes = [statusNote(result), partialNote(result)].filter((n) => n !== null);
  const title = `${sentence(metricNames[metric])} by model (rows: trigger, its time) and window (columns: its start)`;
  if (matrix.models.length === 0) return ['no model was trained, so there is nothing to evaluate', ...notes].join('\n');
  const rows = thin(matrix.models.length, maxRows);
  const labels = rowLabels(matrix, rows, windowStep(result));
  const prefix = labels[0]?.length ?? 0;
  const fits = (digits: number) => Math.max(1, Math.floor((options.width - prefix) / (digits + 2)) || 1);
  const digits = fits(3) >= matrix.windows.length ? 3 : 2;
  const columns = thin(matrix.windows.length, fits(digits));
  const paint = options.color ? painter(valueRange(matrix, completeWindows(result)), metric) : (text: string) => text;
  const lines = rows.map((r, i) => {
    const cells = columns.map((c) => {
      const value = matrix.values[r]?.[c] ?? null;
      return ` ${' '.repeat(Math.max(0, digits + 1 - cellText(value, digits).length))}${paint(cellText(value, digits), value)}`;
    });
    return `${labels[i]}${cells.join('')}`;
  });
  if (rows.length < matrix.models.length || columns.length < matrix.windows.length) {
    notes.unshift(
      `thinned out evenly to ${rows.length} of ${plural(matrix.models.length, 'model')} and ${columns.length} of ${plural(matrix.windows.length, 'window')}`,
    );
  }
  return [title, header(result, columns, prefix, digits + 2), ...lines, ...notes].join('\n');
}

const cellText = (value: number | null, digits: number) => (value === null ? '.' : compact(value, digits));

function rowLabels({ models }: EvaluationMatrix, rows: number[], step: number): string[] {
  const shown = rows.map((r) => (models[r] as TriggerResult).trigger);
  return align(
    shown.map((t) => [String(t.id), timeText(t.timeMs, step)]),
    'rl',
  );
}

/** Window starts above as many columns as leave room for them, from the last one back; `*` marks a partial last window. */
function header(result: RunResult, columns: number[], prefix: number, cell: number): string {
  const step = windowStep(result);
  const labels = shortTimes(columns.map((c) => timeText(result.windows[c]?.startMs ?? Number.NaN, step)));
  if (labels.length > 0 && lastWindowIsPartial(result)) labels[labels.length - 1] += '*';
  const line: string[] = new Array(prefix + cell * columns.length).fill(' ');
  let free = line.length;
  for (let i = labels.length - 1; i >= 0; i--) {
    const label = labels[i] as string;
    const end = prefix + cell * (i + 1);
    if (end > free || end < label.length) continue;
    line.splice(end - label.length, label.length, ...label);
    free = end - label.length - 1;
  }
  return line.join('');
}

type Paint = (text: string, value: number | null) => string;

function painter(range: [number, number] | null, metric: Metric): Paint {
  const [least, greatest] = range ?? [0, 0];
  const colors = ['red', 'yellow', 'cyan', 'green'] as const;
  return (text, value) => {
    if (value === null) return paintText('gray', text);
    if (!(greatest > least)) return text;
    const share = (value - least) / (greatest - least);
    const good = lowerIsBetter(metric) ? 1 - share : share;
    return paintText(colors[Math.max(0, Math.min(3, Math.floor(good * 4)))] ?? 'green', text);
  };
}

/** The caller decides on colour; Node must not ask the process's own stdout. */
function paintText(format: 'gray' | 'red' | 'yellow' | 'cyan' | 'green', text: string): string {
  return styleText(format, text, { validateStream: false });
}

export type FreshnessOptions = { lastWindows?: number | undefined; metric?: Metric | undefined; color?: boolean | undefined };

/** Models by when they were last trained, with the metric on the last complete windows, a bar and the gain from first to last. */
export function freshness(result: RunResult, options: FreshnessOptions = {}): string {
  const comparison = compareFreshness(result, options);
  const { metric, points, windows } = comparison;
  const name = metricNames[metric];
  if (points.length === 0)
    return 'freshness: no model was evaluated on a complete window after its trigger, so there is nothing to compare';
  const rows = thin(points.length, maxBars).map((i) => points[i] as ComparisonPoint);
  const values = points.map((p) => p.value);
  const [least, greatest] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
  const step = windowStep(result);
  const cells = rows.map((p) => [
    String(p.triggerId),
    timeText(p.timeMs, step),
    p.window === null ? '-' : String(p.window),
    decimal(p.value),
    bar(p.value, least, greatest),
  ]);
  const lines = align([['model', 'last trained on', 'window', name, ''], ...cells], 'rlrrl');
  if (rows.length < points.length) lines.push(`thinned out evenly to ${rows.length} of ${plural(points.length, 'model')}`);
  const scale = points.length > 1 ? `; bars run from ${decimal(least)} to ${decimal(greatest)}` : '';
  return [
    `${sentence(name)} on ${windowSpan(windows)}, by when the model was last trained${scale}`,
    ...lines,
    gainLine(comparison, options.color ?? false),
  ].join('\n');
}

function gainLine({ metric, points, gain }: Comparison, color: boolean): string {
  const [first, last] = [points[0], points.at(-1)];
  if (gain === null || first === undefined || last === undefined) return 'only one model to compare';
  const better = lowerIsBetter(metric) ? gain < 0 : gain > 0;
  const text = `${signed(gain)} ${metricNames[metric]}`;
  const painted = color && gain !== 0 ? paintText(better ? 'green' : 'red', text) : text;
  return `${lowerIsBetter(metric) ? 'change' : 'gain'} from the first model to the last: ${painted} (${decimal(first.value)} -> ${decimal(last.value)})`;
}

/** Eighths of a block; even the least value gets one, so that each row shows a bar. */
function bar(value: number, least: number, greatest: number): string {
  const share = greatest > least ? (value - least) / (greatest - least) : 1;
  const eighths = Math.max(1, Math.round(share * barWidth * 8));
  return '█'.repeat(Math.floor(eighths / 8)) + ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'][eighths % 8];
}

/** Wall-clock time of each step of the last run, and how fast all trainings together were. */
export function timings(result: RunResult): string {
  const { total, ...steps } = result.seconds;
  const names = { trigger: 'trigger policy', select: 'selection', train: 'training', evaluate: 'evaluation' };
  const known = Object.values(steps).reduce((a, b) => a + b, 0);
  const all = Math.max(total, known);
  const row = (name: string, value: number) => [name, seconds(value), all > 0 ? `${((100 * value) / all).toFixed(1)}%` : '-'];
  const rows = (Object.keys(names) as (keyof typeof names)[]).map((step) => row(names[step], steps[step]));
  const table = align([['step', 'time', 'share'], ...rows, row('other', all - known), row('total', all)], 'lrr');
  return [...table, trainingLine(result)].join('\n');
}

function trainingLine({ triggers }: RunResult): string {
  const trainings = triggers.flatMap((t) => (t.training === null ? [] : [t.training]));
  if (trainings.length === 0) return 'no training';
  const samples = trainings.reduce((sum, t) => sum + t.samples, 0);
  const time = trainings.reduce((sum, t) => sum + t.seconds, 0);
  const rate = time > 0 ? `, ${count(Math.round(samples / time))} samples/s` : '';
  return `${plural(trainings.length, 'training')}: ${count(samples)} samples in ${seconds(time)}${rate}`;
}

/** Every trigger with its time (UTC), key and reason. */
export function triggerList(result: RunResult): string {
  if (result.triggers.length === 0) return 'no triggers';
  const scored = result.triggers.some((t) => t.trigger.score !== undefined);
  const rows = result.triggers.map(({ trigger: t, training }) => [
    String(t.id),
    timeText(t.timeMs, 0),
    count(t.key),
    ...(scored ? [decimal(t.score), decimal(t.threshold)] : []),
    `${clean(t.reason)}${training === null ? ` (${t.outcome ?? 'no training'})` : ''}`,
  ]);
  const head = ['trigger', 'time', 'sample', ...(scored ? ['score', 'threshold'] : []), 'reason'];
  return align([head, ...rows], scored ? 'rlrrrl' : 'rlrl').join('\n');
}

/** Every training with its set, speed and how its model did on the window that followed. */
export function trainingList(result: RunResult): string {
  const metric = mainMetric(result);
  const rows = result.triggers.flatMap((t) => {
    if (t.training === null) return [];
    const { triggerId, trainsetSize, steps, loss, seconds: time, samplesPerSecond, modelId } = t.training;
    const next = nextWindow(t, result);
    return [
      [
        String(triggerId),
        count(trainsetSize),
        count(steps),
        decimal(loss),
        seconds(time),
        count(Math.round(samplesPerSecond)),
        decimal(next?.[metric]),
        clean(modelId),
      ],
    ];
  });
  if (rows.length === 0) return 'no trainings';
  return align(
    [['trigger', 'set', 'steps', 'loss', 'time', 'samples/s', `next ${metricNames[metric]}`, 'model'], ...rows],
    'rrrrrrrl',
  ).join('\n');
}

/** Metrics on the first window that begins after the trigger; undefined where the model was not evaluated on it. */
export function nextWindow({ trigger, evaluation }: TriggerResult, { windows }: RunResult) {
  const next = windows.find((w) => w.first > trigger.key);
  return next === undefined ? undefined : evaluation?.find((m) => m.window === next.index);
}

/** Cells padded to columns, two spaces apart; `sides` has l or r for each column. */
function align(rows: string[][], sides: string): string[] {
  const widths = [...sides].map((_, c) => rows.reduce((most, row) => Math.max(most, row[c]?.length ?? 0), 0));
  return rows.map((row) =>
    row
      .map((cell, c) => (sides[c] === 'r' ? cell.padStart(widths[c] ?? 0) : cell.padEnd(widths[c] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}
