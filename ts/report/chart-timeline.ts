// The stream over time: samples of each window, the triggers as marks in it, and what each training took.
import type { EvalWindow, RunResult, TriggerResult } from '../pipeline/results.js';
import { lastWindowIsPartial } from './matrix.js';
import { baseOption, colors, emptyPicture, type Picture, renderSvg } from './svg.js';
import { count, partialNote, plural, sentence, statusNote, timeText, timeTicks, windowStep } from './text.js';

const size = { width: 900, height: 424 };
const left = 84;
const right = 60;
const maxBars = 240;
const maxLines = 80;

type Bar = { middleMs: number; samples: number; partial: boolean };

/** SVG of the stream, 900 px wide: bars are samples per window, marks are triggers, below them the seconds of each training. */
export function timelineChart(result: RunResult): string {
  const title = 'Stream, triggers and trainings';
  const [first, last] = [result.windows[0], result.windows.at(-1)];
  const label = `Timeline: ${count(result.dataset.samples)} samples, ${plural(result.triggers.length, 'trigger')}, training time of each`;
  const picture: Picture = { name: 'timeline', label, ...size };
  if (first === undefined || last === undefined) return emptyPicture(picture, title, 'There are no evaluation windows.');
  const group = Math.ceil(result.windows.length / maxBars);
  const range = { min: first.startMs, max: Math.max(last.endMs, result.dataset.lastMs) };
  const barWidth = ((size.width - left - right) * group * windowStep(result)) / (range.max - range.min);
  const notes = [statusNote(result), partialNote(result)].filter((n) => n !== null).map((n) => `${sentence(n)}.`);
  const missing = result.triggers.filter((t) => t.training === null);
  const trained = result.triggers.filter((t) => t.training !== null);
  const unit = group > 1 ? `samples per ${group} windows` : 'samples per window';
  return renderSvg(picture, {
    ...baseOption(title, notes.join(' ')),
    legend: {
      top: 14,
      right: 28,
      itemWidth: 14,
      itemHeight: 10,
      itemGap: 26,
      selectedMode: false,
      textStyle: { color: colors.quiet, fontSize: 12 },
    },
    grid: [
      { left, right, top: 84, height: 176 },
      { left, right, top: 296, height: 84 },
    ],
    ...axes(range, windowStep(result), unit, trained.length > 0 ? 'training seconds' : 'no training'),
    series: [
      samplesSeries(barsOf(result, group), unit, barWidth),
      ...triggerSeries('trigger', trained, colors.mark),
      ...triggerSeries('trigger without training', missing, colors.quiet),
      ...trainingSeries(trained),
    ],
  });
}

/** Samples of every `group` neighbouring windows, at the middle of their time. */
function barsOf(result: RunResult, group: number): Bar[] {
  const { windows } = result;
  const bars: Bar[] = [];
  const [first] = windows;
  for (const window of windows) {
    const length = (window.endMs - window.startMs) * group;
    const at = Math.floor((window.startMs - (first as EvalWindow).startMs) / length);
    const middleMs = (first as EvalWindow).startMs + (at + 0.5) * length;
    const previous = bars.at(-1);
    if (previous?.middleMs === middleMs) previous.samples += window.end - window.first;
    else bars.push({ middleMs, samples: window.end - window.first, partial: false });
  }
  const last = bars.at(-1);
  if (last !== undefined) last.partial = lastWindowIsPartial(result);
  return bars;
}

function axes(range: { min: number; max: number }, step: number, unit: string, training: string) {
  const text = { color: colors.text, fontSize: 11 };
  const line = { lineStyle: { color: colors.line } };
  const ticks = timeTicks(range.min, range.max, step, step < 86_400_000 ? 5 : 7);
  const x = (gridIndex: number, shown: boolean) => ({
    type: 'value' as const,
    gridIndex,
    ...range,
    containShape: false,
    axisLine: { ...line, onZero: false },
    axisTick: { show: shown, customValues: ticks },
    splitLine: { show: false },
    axisLabel: { ...text, show: shown, customValues: ticks, hideOverlap: true, formatter: (ms: number) => timeText(ms, step) },
  });
  const y = (gridIndex: number, name: string, formatter: (n: number) => string, splitNumber: number) => ({
    type: 'value' as const,
    gridIndex,
    min: 0,
    splitNumber,
    name,
    nameLocation: 'end' as const,
    nameGap: 12,
    nameTextStyle: { color: colors.quiet, fontSize: 12, align: 'left' as const, padding: [0, 0, 0, -left + 20] },
    axisLabel: { ...text, formatter },
    splitLine: { lineStyle: { color: colors.empty } },
  });
  return { xAxis: [x(0, false), x(1, true)], yAxis: [y(0, unit, count, 4), y(1, training, (n) => String(n), 3)] };
}

const still = { silent: true, emphasis: { disabled: true } };

function samplesSeries(bars: Bar[], name: string, width: number) {
  const barWidth = Math.max(1, width >= 6 ? width - 2 : width);
  return {
    type: 'bar' as const,
    name,
    ...still,
    barWidth,
    itemStyle: { color: colors.bar },
    data: bars.map((b) => ({ value: [b.middleMs, b.samples], itemStyle: { opacity: b.partial ? 0.5 : 1 } })),
  };
}

/** A mark on the upper picture's floor for each trigger, and a line through it where there is room for lines. */
function triggerSeries(name: string, triggers: TriggerResult[], color: string) {
  if (triggers.length === 0) return [];
  const lines = triggers.length <= maxLines ? triggers : [];
  return [
    {
      type: 'scatter' as const,
      name,
      ...still,
      symbol: triggers.length <= maxLines ? 'triangle' : 'rect',
      symbolSize: triggers.length <= maxLines ? 9 : [1, 8],
      itemStyle: { color },
      data: triggers.map((t) => [t.trigger.timeMs, 0]),
      clip: false,
      z: 4,
      markLine: {
        silent: true,
        symbol: 'none',
        label: { show: false },
        lineStyle: { color, width: 1, type: 'dashed' as const, opacity: 0.6 },
        data: lines.map((t) => ({ xAxis: t.trigger.timeMs })),
      },
    },
  ];
}

function trainingSeries(trained: TriggerResult[]) {
  if (trained.length === 0) return [];
  const data = trained.map((t) => [t.trigger.timeMs, t.training?.seconds ?? 0]);
  const barWidth = Math.max(1.5, Math.min(8, 500 / Math.max(1, trained.length)));
  return [
    {
      type: 'bar' as const,
      name: 'training seconds',
      ...still,
      xAxisIndex: 1,
      yAxisIndex: 1,
      barWidth,
      itemStyle: { color: colors.accent },
      data,
    },
  ];
}
