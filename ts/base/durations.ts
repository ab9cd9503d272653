// Durations as people write them in pipeline files: 30s, 15m, 6h, 1d, 1w.
import { z } from 'zod';
import { SluiceError } from '../errors.js';

const unitMs = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;
type Unit = keyof typeof unitMs;

const pattern = /^([1-9][0-9]{0,11})([smhdw])$/;
/** 10,000 years of 365 days: what a Date can hold with room to spare. */
const maxMs = 10_000 * 365 * unitMs.d;
const expected = 'expected a duration such as 30s, 15m, 6h, 1d or 1w';

function durationMs(text: string): number {
  const match = pattern.exec(text);
  return match ? Number(match[1]) * unitMs[match[2] as Unit] : Number.NaN;
}

/**
 * '1w' -> 604800000 (milliseconds). A whole number >= 1 followed by s, m, h, d or w; at most 10,000 years.
 * Throws E_ARGUMENT for anything else.
 */
export function parseDuration(text: string): number {
  const ms = durationMs(text);
  if (!(ms <= maxMs)) throw new SluiceError('E_ARGUMENT', `${expected}, found ${JSON.stringify(text)}`);
  return ms;
}

/** 604800000 -> '1w': the largest unit that divides `ms` (milliseconds, >= 0); fractions of a second as '1.5s'. */
export function formatDuration(ms: number): string {
  for (const unit of ['w', 'd', 'h', 'm'] as const) {
    if (ms >= unitMs[unit] && ms % unitMs[unit] === 0) return `${ms / unitMs[unit]}${unit}`;
  }
  return `${ms / unitMs.s}s`;
}

/** Schema of a duration field: text in the file, milliseconds in the typed pipeline. */
export const duration = z
  .string({ error: expected })
  .regex(pattern, { error: expected, abort: true })
  .refine((text) => durationMs(text) <= maxMs, { error: 'expected a duration of at most 10000 years' })
  .transform(durationMs);
