// Which samples to find, as a person writes it: key ranges, and comparisons of time, label and key joined by `and`.
import { SluiceError } from '../errors.js';
import type { Comparison, KeyRange, SampleFilter } from '../native/types.js';

const usage = (message: string, hint?: string) => new SluiceError('E_USAGE', message, hint === undefined ? {} : { hint });

/** All that is given must hold. E_USAGE. */
export function filterOf({
  keys,
  where,
  label,
}: {
  keys?: string | undefined;
  where?: string | undefined;
  label?: string | number | undefined;
}): SampleFilter {
  if (keys === undefined && where === undefined && label === undefined) throw usage('which samples? name them by keys, where or label');
  const all = where === undefined ? [] : parseComparisons(where);
  if (label !== undefined) all.push(...parseComparisons(`label = ${label}`));
  return keys === undefined ? { where: all } : { keys: parseKeys(keys), where: all };
}

/** `5,10-20`: single keys and ranges, both ends included. E_USAGE. */
export function parseKeys(text: string): KeyRange[] {
  const ranges = text.split(',').map((part) => {
    const [, from, to = from] = /^\s*(\d{1,15})\s*(?:-\s*(\d{1,15}))?\s*$/.exec(part) ?? [];
    const range = { first: Number(from), end: Number(to) + 1 };
    if (from === undefined || range.first >= range.end) throw usage(`keys: expected keys and ranges like 5,10-20, got '${part.trim()}'`);
    return range;
  });
  return merged(ranges);
}

/** The same keys in order, each once. */
function merged(ranges: KeyRange[]): KeyRange[] {
  const result: KeyRange[] = [];
  for (const { first, end } of ranges.toSorted((a, b) => a.first - b.first)) {
    const last = result.at(-1);
    if (last !== undefined && first <= last.end) last.end = Math.max(last.end, end);
    else result.push({ first, end });
  }
  return result;
}

/** `time < 2020-01-01 and label = 3`. E_USAGE. */
export function parseComparisons(text: string): Comparison[] {
  return text.split(/\band\b/i).map((part) => {
    const match = /^\s*(time|label|key)\s*(<=|>=|!=|<|>|=)\s*(\S+)\s*$/.exec(part);
    const hint =
      'compare time, label or key, joined by and: time < 2020-01-01 and label = 3; times are UTC: 2020-01-01 or 2020-01-01T12:00:00Z';
    if (match === null) throw usage(`where: cannot read '${part.trim()}'`, hint);
    const [, field, operator, text] = match as unknown as [string, Comparison['field'], Comparison['operator'], string];
    const value = field === 'time' ? timeOf(text) : Number(text);
    if (!Number.isFinite(value)) throw usage(`where: '${text}' is no ${field === 'time' ? 'time' : 'number'}`, hint);
    return { field, operator, value };
  });
}

function timeOf(text: string): number {
  return /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?Z)?$/.test(text) ? Date.parse(text) : Number.NaN;
}
