// How values read: times, numbers, and text that comes from users.
import type { RunResult } from '../pipeline/results.js';
import { lastWindowCoverage, lastWindowIsPartial } from './matrix.js';

const minute = 60_000;
const day = 86_400_000;

/** One line without control, formatting (bidirectional) and broken characters: safe for a terminal, XML and HTML once escaped. */
export function clean(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029\uFFFE\uFFFF]+/gu, ' ').trim();
}

/** UTC, as exact as `stepMs` (milliseconds) asks for: 2001-01-07, 2001-01-07 06:30 or 2001-01-07 06:30:15. */
export function timeText(ms: number, stepMs: number): string {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return `${ms} ms`;
  const [days = '', clock = ''] = date.toISOString().split('T');
  if (stepMs >= day) return days;
  return `${days} ${clock.slice(0, stepMs >= minute ? 5 : 8)}`;
}

/** What all the texts of timeText() share at their beginning (the year, or the day) is left out. */
export function shortTimes(texts: string[]): string[] {
  for (const length of [11, 5]) {
    const start = texts[0]?.slice(0, length) ?? '';
    if (texts.every((t) => t.length > length && t.startsWith(start))) return texts.map((t) => t.slice(length));
  }
  return texts;
}

/** Round times from `min` to `max` (ms), whole multiples of `stepMs` apart where that gives enough of them; at most `most` + 1. */
export function timeTicks(min: number, max: number, stepMs: number, most: number): number[] {
  const step = (max - min) / stepMs >= 3 ? Math.ceil((max - min) / stepMs / most) * stepMs : (max - min) / Math.min(4, most);
  if (!(step > 0)) return [min];
  return Array.from({ length: Math.floor((max - min) / step) + 1 }, (_, i) => min + i * step);
}

/** Length of the evaluation windows in milliseconds; a day when there are none. */
export function windowStep({ windows }: RunResult): number {
  return windows[0] === undefined ? day : windows[0].endMs - windows[0].startMs;
}

/** 'window of 2001-06-25' or '4 windows from 2001-05-28 to 2001-06-25', by the days that they begin. */
export function windowSpan(windows: RunResult['windows']): string {
  const [first, last] = [windows[0], windows.at(-1)];
  if (first === undefined || last === undefined) return 'no window';
  const step = first.endMs - first.startMs;
  if (first === last) return `the window of ${timeText(first.startMs, step)}`;
  return `${windows.length} windows from ${timeText(first.startMs, step)} to ${timeText(last.endMs - 1, step)}`;
}

/** A remark about a partial last window; null when it is complete. */
export function partialNote(result: RunResult): string | null {
  const last = result.windows.at(-1);
  if (last === undefined || !lastWindowIsPartial(result)) return null;
  const share = Math.round(100 * lastWindowCoverage(result));
  return `the last window, of ${timeText(last.startMs, windowStep(result))}, is partial: the stream covers ${share}% of it`;
}

/** What an interrupted run lacks; null when it is complete. */
export function statusNote(result: RunResult): string | null {
  if (result.status === 'complete') return null;
  if (result.status === 'live') return 'in production: the stream goes on';
  const untrained = result.triggers.filter((t) => t.training === null).length;
  const unevaluated = result.triggers.filter((t) => t.training !== null && t.evaluation === null).length;
  const parts = [
    untrained > 0 ? `${plural(untrained, 'trigger')} without training` : '',
    unevaluated > 0 ? `${plural(unevaluated, 'model')} not evaluated` : '',
  ];
  const detail = parts.filter((p) => p !== '').join(', ');
  return `incomplete run: it stopped before the end of the stream${detail === '' ? '' : ` (${detail})`}`;
}

export const count = (n: number) => (Number.isFinite(n) ? n.toLocaleString('en-US') : '-');

export const plural = (n: number, noun: string) => `${count(n)} ${noun}${n === 1 ? '' : 's'}`;

/** 0.7132, or '-' for what is not there. */
export const decimal = (value: number | null | undefined, digits = 4) =>
  value === null || value === undefined || !Number.isFinite(value) ? '-' : value.toFixed(digits);

/** The first letter in upper case. */
export const sentence = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

/** +0.0312 */
export const signed = (value: number, digits = 4) => `${value < 0 ? '-' : '+'}${Math.abs(value).toFixed(digits)}`;

/** Seconds as 0.42 s, 12.3 s, 4 min 05 s or 2 h 07 min. */
export function seconds(value: number): string {
  if (!Number.isFinite(value)) return '-';
  if (value < 59.95) return `${value.toFixed(value < 10 ? 2 : 1)} s`;
  const two = (n: number) => String(n).padStart(2, '0');
  const whole = Math.round(value);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  const minutes = Math.round(whole / 60);
  return `${count(Math.floor(minutes / 60))} h ${two(minutes % 60)} min`;
}

/** A metric in `digits` + 1 characters: .713 for 0.7132, 1.25, 12.5, 125, 9e4. `digits` is 2 or 3. */
export function compact(value: number, digits: number): string {
  const width = digits + 1;
  const text = value.toFixed(digits);
  if (text.startsWith('0.')) return text.slice(1);
  for (let d = digits; d >= 0; d--) {
    const shorter = value.toFixed(d);
    if (shorter.length <= width) return shorter;
  }
  return value.toExponential(0).replace('+', '').padStart(width);
}
