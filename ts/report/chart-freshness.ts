// The metric on the last windows against the time a model was last trained: is fresher better, and by how much?
import type { RunResult } from '../pipeline/results.js';
import { type Comparison, type ComparisonPoint, compareFreshness } from './comparison.js';
import { type Metric, metricNames } from './matrix.js';
import { baseOption, colors, emptyPicture, type Picture, renderSvg } from './svg.js';
import { decimal, plural, signed, timeText, timeTicks, windowSpan, windowStep } from './text.js';

const size = { width: 900, height: 380 };

/** SVG of compareFreshness(), 900 px wide: one point for each model. */
export function freshnessChart(result: RunResult, metric?: Metric): string {
  const comparison = compareFreshness(result, { metric });
  const { points, windows, gain } = comparison;
  const name = metricNames[comparison.metric];
  const label = `Line: ${name} on ${windowSpan(windows)} by when the model was last trained, ${plural(points.length, 'model')}`;
  const picture: Picture = { name: 'freshness', label, ...size };
  const title = `What fresher models bought: ${name} on ${windowSpan(windows)}`;
  if (points.length === 0)
    return emptyPicture(picture, 'What fresher models bought', 'No model was evaluated on a complete window after its trigger.');
  const [first, last] = [points[0] as ComparisonPoint, points.at(-1) as ComparisonPoint];
  const outcome =
    gain === null
      ? 'Only one model to compare.'
      : `From the first model to the last: ${signed(gain)} (${decimal(first.value)} to ${decimal(last.value)})`;
  return renderSvg(picture, {
    ...baseOption(title, outcome),
    grid: { left: 84, right: 60, top: 92, bottom: 62 },
    ...axes(comparison, windowStep(result)),
    series: [line(points)],
  });
}

function axes({ metric, points }: Comparison, step: number) {
  const text = { color: colors.text, fontSize: 11 };
  const [first, last] = [points[0]?.timeMs ?? 0, points.at(-1)?.timeMs ?? 0];
  const pad = Math.max((last - first) * 0.05, 1);
  const ticks = timeTicks(first, last, step, step < 86_400_000 ? 5 : 7);
  const name = { nameLocation: 'middle' as const, nameTextStyle: { color: colors.quiet, fontSize: 12 } };
  const values = points.map((p) => p.value);
  const spread = values.reduce((a, b) => Math.max(a, b)) - values.reduce((a, b) => Math.min(a, b));
  const digits = spread < 0.02 ? 4 : 3;
  return {
    xAxis: {
      type: 'value' as const,
      min: first - pad,
      max: last + pad,
      name: 'last trained on',
      ...name,
      nameGap: 34,
      axisLine: { onZero: false, lineStyle: { color: colors.line } },
      axisTick: { customValues: ticks },
      splitLine: { show: false },
      axisLabel: { ...text, customValues: ticks, hideOverlap: true, formatter: (ms: number) => timeText(ms, step) },
    },
    yAxis: {
      type: 'value' as const,
      scale: true,
      splitNumber: 5,
      name: metricNames[metric],
      ...name,
      nameGap: 52,
      axisLabel: { ...text, formatter: (v: number) => v.toFixed(digits) },
      splitLine: { lineStyle: { color: colors.empty } },
    },
  };
}

/** Values stand at the first and the last point; at all of them when they are few. */
function line(points: ComparisonPoint[]) {
  const few = points.length <= 12;
  const data = points.map((p, i) => ({
    value: [p.timeMs, p.value],
    label: {
      show: few || i === 0 || i === points.length - 1,
      formatter: decimal(p.value, 4),
      position: 'top' as const,
      distance: 8,
      fontSize: 11,
      color: colors.text,
    },
  }));
  return {
    type: 'line' as const,
    silent: true,
    emphasis: { disabled: true },
    symbol: 'circle',
    symbolSize: points.length <= 60 ? 8 : 4,
    showSymbol: true,
    showAllSymbol: true,
    lineStyle: { width: 2, color: colors.accent },
    itemStyle: { color: colors.accent },
    data,
  };
}
