// Times of samples: Date, ISO 8601 text and numbers with a unit become milliseconds since 1970-01-01 UTC.
import type { TimeUnit } from './spec.js';

/** Milliseconds in a unit, or units in a millisecond: a division is exact where a multiplication by 0.001 is not. */
export const scales: Record<TimeUnit, { times: number; by: number }> = {
  s: { times: 1000, by: 1 },
  ms: { times: 1, by: 1 },
  us: { times: 1, by: 1000 },
  ns: { times: 1, by: 1_000_000 },
  min: { times: 60_000, by: 1 },
  h: { times: 3_600_000, by: 1 },
  d: { times: 86_400_000, by: 1 },
};

/** The years 0 to 9999. */
const minMs = -62_167_219_200_000;
const endMs = 253_402_300_800_000;

const dateTime = /^(\d{4})([-/])(\d\d)\2(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?\s?(Z|z|[+-]\d\d(?::?\d\d)?)?$/;
const wholeNumber = /^[+-]?\d{1,19}$/;
const four = { years: 400, ms: 12_622_780_800_000 };

/**
 * Whole milliseconds, rounded down; NaN for what is no time of the years 0 to 9999. Text without a zone is UTC; text that
 * is a number counts `unit`, like numbers.
 */
export function timeMs(value: unknown, unit: TimeUnit): number {
  const ms = Math.floor(exactMs(value, unit));
  return ms >= minMs && ms < endMs ? ms : Number.NaN;
}

function exactMs(value: unknown, unit: TimeUnit): number {
  const { times, by } = scales[unit];
  if (typeof value === 'number') return (value * times) / by;
  if (value instanceof Date) return value.getTime();
  if (typeof value === 'bigint')
    return by === 1 ? Number(value) * times : Number(value / BigInt(by)) - (value < 0n && value % BigInt(by) !== 0n ? 1 : 0);
  if (typeof value !== 'string') return Number.NaN;
  const text = value.trim();
  if (wholeNumber.test(text)) return text.length > 15 ? exactMs(BigInt(text), unit) : (Number(text) * times) / by;
  const match = dateTime.exec(text);
  if (match !== null) return isoMs(match);
  return text === '' ? Number.NaN : (Number(text) * times) / by;
}

function isoMs([, year, , month, day, hour, minute, second, fraction, zone]: RegExpExecArray): number {
  const y = Number(year);
  const m = Number(month);
  const d = Number(day);
  const [h, min, s] = [Number(hour ?? 0), Number(minute ?? 0), Number(second ?? 0)];
  if (m < 1 || m > 12 || d < 1 || h > 23 || min > 59 || s > 59) return Number.NaN;
  // Date.UTC takes the years 0 to 99 for 1900 to 1999; the calendar repeats after 400 years.
  const utc = Date.UTC(y + four.years, m - 1, d, h, min, s) - four.ms;
  if (d > 28 && new Date(utc).getUTCDate() !== d) return Number.NaN;
  return utc + (fraction === undefined ? 0 : Number(fraction.padEnd(3, '0').slice(0, 3))) - zoneMs(zone);
}

function zoneMs(zone: string | undefined): number {
  if (zone === undefined || zone === 'Z' || zone === 'z') return 0;
  const [hours, minutes] = [Number(zone.slice(1, 3)), Number(zone.slice(3).replace(':', ''))];
  if (hours > 23 || minutes > 59) return Number.NaN;
  return (zone[0] === '-' ? -1 : 1) * (hours * 60 + minutes) * 60_000;
}
