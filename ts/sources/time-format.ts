// Times in a column that are written in a way of their own, such as Avazu's 14102100 (YYMMDDHH) or 05/26/2018 17:03.
import type { ColumnTime } from './spec.js';
import { timeMs } from './times.js';

const digits: Record<string, number> = { YYYY: 4, YY: 2, MM: 2, DD: 2, HH: 2, mm: 2, ss: 2 };
const token = /YYYY|YY|MM|DD|HH|mm|ss/;
const tokens = new RegExp(token, 'g');

/** What is wrong with a format, as words after "expected"; undefined for a good one. */
export function timeFormatError(format: string): string | undefined {
  const found = format.match(tokens) ?? [];
  const others = format.replace(tokens, '').replace(/[TZ]/g, '');
  if (/[\p{L}\d]/u.test(others)) return 'YYYY or YY, MM, DD, HH, mm and ss, with signs or T and Z between';
  if (new Set(found.map((name) => (name === 'YY' ? 'YYYY' : name))).size < found.length) return 'each part of the time once';
  if (!found.some((name) => name.startsWith('YY'))) return 'a year, as YYYY or YY';
  return undefined;
}

/** A function from a column's values to milliseconds since 1970 UTC; NaN for what is no time. */
export function timeReader(time: ColumnTime): (value: unknown) => number {
  return 'format' in time ? timeOfFormat(time.format) : (value) => timeMs(value, time.unit);
}

/**
 * A function from a value, text or a number, to milliseconds since 1970 UTC; NaN where it is not of the format. A part that is
 * left out is its smallest; YY is 2000 to 2068, then 1969 to 1999, as in POSIX's strptime; numbers may lack zeros in front, and dates are times already.
 */
export function timeOfFormat(format: string): (value: unknown) => number {
  const found = format.match(tokens) ?? [];
  const pattern = format
    .split(new RegExp(`(${token.source})`))
    .map((piece) => (Object.hasOwn(digits, piece) ? `(?<${piece}>\\d{${digits[piece]}})` : piece.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')))
    .join('');
  const search = new RegExp(`^${pattern}$`);
  const width = found.reduce((sum, name) => sum + digits[name]!, 0);
  let [last, lastMs]: [unknown, number] = [undefined, Number.NaN];
  return (value) => {
    // Neighbours often have the same time.
    if (value === last) return lastMs;
    if (value instanceof Date) return timeMs(value, 'ms');
    [last, lastMs] = [value, parsed(search.exec(textOf(value, width))?.groups)];
    return lastMs;
  };
}

function textOf(value: unknown, width: number): string {
  if (typeof value === 'number' || typeof value === 'bigint') return String(value).padStart(width, '0');
  return typeof value === 'string' ? value.trim() : '';
}

function parsed(groups: Record<string, string> | undefined): number {
  if (groups === undefined) return Number.NaN;
  const { YYYY, YY, MM = '01', DD = '01', HH = '00', mm = '00', ss = '00' } = groups;
  const year = YYYY ?? `${Number(YY) < 69 ? 20 : 19}${YY}`;
  return timeMs(`${year}-${MM}-${DD}T${HH}:${mm}:${ss}Z`, 'ms');
}
