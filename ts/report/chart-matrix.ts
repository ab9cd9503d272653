// The evaluation matrix as a heat map: models down, windows across, the colour is the metric.
import type { RunResult, TriggerResult } from '../pipeline/results.js';
import {
  completeWindows,
  type EvaluationMatrix,
  evaluationMatrix,
  lastWindowIsPartial,
  type Metric,
  lowerIsBetter,
  mainMetric,
  metricNames,
  valueRange,
} from './matrix.js';
import { textColorOn, viridis, viridisColor } from './palette.js';
import { baseOption, colors, emptyPicture, type Picture, renderSvg } from './svg.js';
import { compact, decimal, partialNote, plural, sentence, statusNote, timeText, windowStep } from './text.js';

const width = 900;
/** More rows or columns than this are drawn as means of neighbours: a cell stays visible and the file small. */
const maxSide = 120;
const plot = { right: 92, top: 84, bottom: 62 };
/** Width of a character of the axes' 11 px labels, on the safe side. */
const character = 6.6;

type Block = { x: number; y: number; value: number };
type Blocks = { size: [models: number, windows: number]; rows: number; columns: number; cells: Block[] };

/** SVG of the matrix, 900 px wide; for more than 120 models or windows each cell is the mean of a block of neighbours. */
export function matrixChart(result: RunResult, metric: Metric = mainMetric(result)): string {
  const matrix = evaluationMatrix(result, metric);
  const name = metricNames[metric];
  const title = sentence(`${name} of each model on each evaluation window`);
  const label = `Heat map: ${name} of ${plural(matrix.models.length, 'model')} on ${plural(matrix.windows.length, 'evaluation window')}`;
  const range = valueRange(matrix, completeWindows(result)) ?? valueRange(matrix, matrix.windows);
  const picture: Picture = { name: 'matrix', label, width, height: 0 };
  if (range === null)
    return emptyPicture(picture, title, ['No model was evaluated.', statusNote(result)].filter((n) => n !== null).join(' '));
  const blocks = blocksOf(matrix);
  const cellHeight = Math.max(4, Math.min(40, Math.floor(560 / blocks.rows)));
  const plotHeight = Math.max(90, cellHeight * blocks.rows);
  const height = plot.top + plotHeight + plot.bottom;
  const texts = axisTexts(result, matrix, blocks);
  const left = 22 + character * longest(texts.models);
  const cell = { width: (width - left - plot.right) / blocks.columns, height: plotHeight / blocks.rows };
  const gap = cell.width >= 12 && cell.height >= 8 ? 1 : 0;
  return renderSvg(
    { ...picture, height, crisp: gap === 0 },
    {
      ...baseOption(title, subtitle(result, blocks)),
      grid: { ...plot, left, show: true, backgroundColor: colors.empty, borderWidth: 0 },
      ...axes(texts, cell),
      visualMap: { show: false, type: 'continuous', min: range[0], max: range[1], inRange: { color: viridis } },
      series: [{ type: 'heatmap', silent: true, emphasis: { disabled: true }, data: cells(blocks, range, metric, { ...cell, gap }) }],
      graphic: legend(name, range, metric, plotHeight),
    },
  );
}

function subtitle(result: RunResult, { size }: Blocks): string {
  const [models, windows] = size;
  const mean = models * windows > 1 ? `Each cell is the mean of up to ${models} × ${windows} models × windows. ` : '';
  const notes = [statusNote(result), partialNote(result)].filter((n) => n !== null).map((n) => ` ${sentence(n)}.`);
  return `${mean}Grey: not evaluated.${notes.join('')}`;
}

function blocksOf({ values, models, windows }: EvaluationMatrix): Blocks {
  const size: [number, number] = [Math.ceil(models.length / maxSide), Math.ceil(windows.length / maxSide)];
  const [rows, columns] = [Math.ceil(models.length / size[0]), Math.ceil(windows.length / size[1])];
  const sums = new Float64Array(rows * columns);
  const counts = new Uint32Array(rows * columns);
  for (const [r, row] of values.entries()) {
    for (const [c, value] of row.entries()) {
      if (value === null) continue;
      const at = Math.floor(r / size[0]) * columns + Math.floor(c / size[1]);
      sums[at] = (sums[at] as number) + value;
      counts[at] = (counts[at] as number) + 1;
    }
  }
  const cells: Block[] = [];
  for (const [at, n] of counts.entries()) {
    if (n > 0) cells.push({ x: at % columns, y: Math.floor(at / columns), value: (sums[at] as number) / n });
  }
  return { size, rows, columns, cells };
}

function cells(
  { cells }: Blocks,
  [least, greatest]: [number, number],
  metric: Metric,
  cell: { width: number; height: number; gap: number },
) {
  const digits = cell.width >= 34 ? 3 : 2;
  const labelled = cell.width >= 24 && cell.height >= 16;
  return cells.map(({ x, y, value }) => {
    const share = greatest > least ? (value - least) / (greatest - least) : 1;
    const good = lowerIsBetter(metric) && greatest > least ? 1 - share : share;
    return {
      value: [x, y, value],
      itemStyle: { color: viridisColor(good), borderColor: colors.empty, borderWidth: cell.gap },
      label: { show: labelled, formatter: compact(value, digits), fontSize: cell.width >= 30 ? 11 : 10, color: textColorOn(good) },
    };
  });
}

type AxisTexts = { models: string[]; windows: string[] };

function axisTexts(result: RunResult, { models, windows }: EvaluationMatrix, { size, rows, columns }: Blocks): AxisTexts {
  const step = windowStep(result);
  const starts = Array.from({ length: columns }, (_, i) => timeText(windows[i * size[1]]?.startMs ?? Number.NaN, step));
  if (lastWindowIsPartial(result)) starts[columns - 1] += ' *';
  const shown = Array.from({ length: rows }, (_, i) => (models[i * size[0]] as TriggerResult).trigger);
  return { models: shown.map((t) => `${t.id} · ${timeText(t.timeMs, step)}`), windows: starts };
}

const longest = (texts: string[]) => texts.reduce((most, t) => Math.max(most, t.length), 0);

function axes({ models, windows }: AxisTexts, cell: { width: number; height: number }) {
  const axis = { type: 'category' as const, axisTick: { show: false }, axisLine: { show: false } };
  const name = { color: colors.quiet, fontSize: 12 };
  const text = { color: colors.text, fontSize: 11 };
  const stride = Math.ceil((longest(windows) * character + 12) / cell.width);
  return {
    xAxis: {
      ...axis,
      data: windows,
      name: 'evaluation window, by its start',
      nameLocation: 'middle' as const,
      nameGap: 34,
      nameTextStyle: name,
      axisLabel: { ...text, interval: every(windows.length, stride) },
    },
    yAxis: {
      ...axis,
      data: models,
      inverse: true,
      name: 'model · last trained on',
      nameLocation: 'start' as const,
      nameGap: 12,
      nameTextStyle: { ...name, align: 'left' as const, padding: [0, 0, 0, 20 - 22 - character * longest(models)] },
      axisLabel: { ...text, interval: every(models.length, Math.ceil(16 / cell.height)) },
    },
  };
}

/** Shows the last label and every `stride`-th before it. */
const every = (count: number, stride: number) => (index: number) => (count - 1 - index) % Math.max(1, stride) === 0;

/** The colour bar at the right: best on top. */
function legend(name: string, [least, greatest]: [number, number], metric: Metric, plotHeight: number) {
  const [x, barHeight] = [width - plot.right + 22, Math.min(plotHeight, 220)];
  const stops = viridis.toReversed().map((color, i) => ({ offset: i / (viridis.length - 1), color }));
  const [top, bottom] = lowerIsBetter(metric) ? [least, greatest] : [greatest, least];
  const text = (value: string, y: number, color = colors.text) => ({
    type: 'text' as const,
    silent: true,
    x,
    y,
    style: { text: value, fill: color, font: '11px sans-serif', textVerticalAlign: 'middle' as const },
  });
  const beside = (value: number, y: number) => ({ ...text(decimal(value, 3), y), x: x + 20 });
  const gradient = { type: 'linear' as const, x: 0, y: 0, x2: 0, y2: 1, colorStops: stops };
  const bar = { type: 'rect' as const, silent: true, x, y: plot.top, shape: { width: 14, height: barHeight }, style: { fill: gradient } };
  const ends = greatest > least ? [beside(bottom, plot.top + barHeight - 5)] : [];
  const middle = greatest > least && barHeight >= 90 ? [beside((least + greatest) / 2, plot.top + barHeight / 2)] : [];
  return [text(name, plot.top - 14, colors.quiet), bar, beside(top, plot.top + 5), ...middle, ...ends];
}
