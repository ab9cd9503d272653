// Which samples to delete, as a person writes it: key ranges, and comparisons of time, label and key joined by `and`.
import { SluiceError } from '../errors.js';
import type { Dataset, Snapshot } from '../native/dataset.js';
import type { KeyRange } from '../native/types.js';
import { arrivalBatch } from './replay.js';

type Operator = '<' | '<=' | '>' | '>=' | '=' | '!=';
/** A value of `time` is in ms since 1970. */
export type Comparison = { field: 'time' | 'label' | 'key'; operator: Operator; value: number };
/** All must hold. Without keys: all keys. */
export type Condition = { keys?: KeyRange[]; all: Comparison[] };

const usage = (message: string, hint?: string) => new SluiceError('E_USAGE', message, hint === undefined ? {} : { hint });

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
    const [, field, operator, text] = match as unknown as [string, Comparison['field'], Operator, string];
    const value = field === 'time' ? timeOf(text) : Number(text);
    if (!Number.isFinite(value)) throw usage(`where: '${text}' is no ${field === 'time' ? 'time' : 'number'}`, hint);
    return { field, operator, value };
  });
}

function timeOf(text: string): number {
  return /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?Z)?$/.test(text) ? Date.parse(text) : Number.NaN;
}

/** The living samples that fulfil the condition. E_ARGUMENT for a key that does not exist. */
export function matchingKeys(dataset: Dataset, snapshot: Snapshot, { keys, all }: Condition): KeyRange[] {
  const { size } = snapshot;
  for (const { end } of keys ?? [])
    if (end > size) throw new SluiceError('E_ARGUMENT', `key ${end - 1} does not exist; the dataset has ${size} samples`);
  let ranges = keys ?? [{ first: 0, end: size }];
  const { sorted } = dataset.info();
  const rest: Comparison[] = [];
  for (const comparison of all) {
    const bound = boundOf(snapshot, sorted, comparison);
    if (bound === undefined) rest.push(comparison);
    else ranges = ranges.map(({ first, end }) => ({ first: Math.max(first, bound.first), end: Math.min(end, bound.end) }));
  }
  return merged(ranges.filter(({ first, end }) => first < end).flatMap(({ first, end }) => [...scan(snapshot, first, end, rest)]));
}

/** The one range of keys that a comparison stands for, where it does. */
function boundOf(snapshot: Snapshot, sorted: boolean, { field, operator, value }: Comparison): KeyRange | undefined {
  if (field === 'label' || operator === '!=' || (field === 'time' && !sorted)) return undefined;
  const { size } = snapshot;
  // The first key at least `value`, and the first beyond it.
  const clamp = (key: number) => Math.min(size, Math.max(0, key));
  const at = field === 'key' ? clamp(Math.ceil(value)) : snapshot.lowerBoundTime(value);
  const beyond = field === 'key' ? clamp(Math.floor(value) + 1) : snapshot.lowerBoundTime(value + 1);
  const bounds: Record<Exclude<Operator, '!='>, KeyRange> = {
    '<': { first: 0, end: at },
    '<=': { first: 0, end: beyond },
    '>': { first: beyond, end: size },
    '>=': { first: at, end: size },
    '=': { first: at, end: beyond },
  };
  return bounds[operator];
}

const holds: Record<Operator, (a: number, b: number) => boolean> = {
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
  '=': (a, b) => a === b,
  '!=': (a, b) => a !== b,
};

const scanRows = 65_536;

/** Runs of living samples of [first, end) for which all comparisons hold. */
function* scan(snapshot: Snapshot, first: number, end: number, all: readonly Comparison[]): Generator<KeyRange> {
  for (let from = first; from < end; from += scanRows) {
    for (const range of snapshot.living(from, Math.min(end, from + scanRows))) {
      if (all.length === 0) {
        yield range;
        continue;
      }
      const batch = arrivalBatch(snapshot, range.first, range.end - range.first);
      const read = { time: batch.time, label: (i: number) => batch.labels[i] as number, key: (i: number) => range.first + i };
      const fits = (i: number) => all.every(({ field, operator, value }) => holds[operator](read[field](i), value));
      for (let i = 0; i < batch.length; i++) {
        if (!fits(i)) continue;
        const begin = i;
        while (i < batch.length && fits(i)) i++;
        yield { first: range.first + begin, end: range.first + i };
      }
    }
  }
}
