// From a source's columns to the typed arrays that the index takes; every value is checked, an error names its place.
import { type ErrorCode, SluiceError } from '../errors.js';
import type { Batch, Schema } from '../native/types.js';
import type { Dictionary } from './dictionary.js';
import type { ColumnType, DatasetSpec } from './spec.js';
import type { ColumnValues, RecordBatch } from './types.js';

type TimeUnit = DatasetSpec['time']['unit'];

/** What a null category is stored as. */
export const missingCategory = '(missing)';

/** The place of a batch's first row, for messages. */
export type Place = { part: string; firstRow: number; timesAreMs: boolean };

const unitMs: Record<TimeUnit, number> = { s: 1000, ms: 1, us: 1e-3, ns: 1e-6, min: 60_000, h: 3_600_000, d: 86_400_000 };
/** The years 0 to 9999: what lies outside is a wrong unit. */
const minMs = -62_167_219_200_000;
const maxMs = 253_402_300_800_000;

/** Columns of the source that a dataset needs. */
export function neededColumns(spec: DatasetSpec): string[] {
  return [...new Set([spec.time.column, spec.label.column, ...Object.keys(spec.columns)])];
}

/** What the index stores. */
export function schemaOf(spec: DatasetSpec): Schema {
  const columns = Object.entries(spec.columns).map(([name, type]) => ({ name, type }));
  const given = 'classes' in spec.label ? spec.label.classes : undefined;
  return { columns, label: 'class', classes: Array.isArray(given) ? given.length : (given ?? 2) };
}

/** Encodes a batch; dictionaries grow by what is new. E_NOT_FINITE, E_LABEL_RANGE, E_SOURCE name part, column, row and value. */
export function encode(batch: RecordBatch, spec: DatasetSpec, dictionaries: Map<string, Dictionary>, place: Place): Omit<Batch, 'state'> {
  const values = (column: string) => batch.columns[column] as ColumnValues;
  return {
    timestamps: encodeTimes(values(spec.time.column), batch.rows, spec.time, place),
    labels: encodeLabels(values(spec.label.column), batch.rows, spec.label, place),
    columns: Object.entries(spec.columns).map(([name, type]) => encodeColumn(values(name), batch.rows, name, type, dictionaries, place)),
  };
}

function fail(code: ErrorCode, place: Place, column: string, row: number, value: unknown, expected: string): never {
  const shown = typeof value === 'string' ? JSON.stringify(value.slice(0, 60)) : String(value);
  throw new SluiceError(code, `${place.part}: column '${column}', row ${place.firstRow + row}: expected ${expected}, got ${shown}`);
}

/** A value as a number; NaN for what is none. */
function toNumber(value: unknown): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint' || typeof value === 'boolean') return Number(value);
  if (typeof value === 'string' && value.trim() !== '') return Number(value);
  return Number.NaN;
}

/** Times in milliseconds as numbers; see encode(). */
export function timesMs(values: ColumnValues, rows: number, time: DatasetSpec['time'], place: Place): Float64Array {
  const scale = place.timesAreMs ? 1 : unitMs[time.unit];
  const result = new Float64Array(rows);
  for (let i = 0; i < rows; i++) {
    const value = values[i];
    const ms = Math.floor(timeMs(value, scale));
    if (!(ms >= minMs && ms < maxMs)) fail('E_SOURCE', place, time.column, i, value, 'a time of the years 0 to 9999 (is dataset.time.unit right?)');
    result[i] = ms;
  }
  return result;
}

function timeMs(value: unknown, scale: number): number {
  if (typeof value === 'number') return value * scale;
  if (typeof value === 'bigint') return Number(value) * scale;
  if (value instanceof Date) return value.getTime();
  if (typeof value !== 'string') return Number.NaN;
  const number = Number(value);
  return Number.isNaN(number) || value.trim() === '' ? parseIso(value) : number * scale;
}

/** ISO 8601; without a zone it is UTC. */
function parseIso(text: string): number {
  const iso = text.trim().replace(/[ /]/g, (c) => (c === ' ' ? 'T' : '-'));
  return Date.parse(/[zZ]$|[+-]\d\d:?\d\d$/.test(iso) || !iso.includes('T') ? iso : `${iso}Z`);
}

function encodeTimes(values: ColumnValues, rows: number, time: DatasetSpec['time'], place: Place): BigInt64Array {
  const ms = timesMs(values, rows, time, place);
  const result = new BigInt64Array(rows);
  const halves = new Int32Array(result.buffer);
  for (let i = 0; i < rows; i++) {
    const t = ms[i] as number;
    const high = Math.floor(t / 4_294_967_296);
    halves[2 * i] = (t - high * 4_294_967_296) | 0;
    halves[2 * i + 1] = high;
  }
  return result;
}

function encodeLabels(values: ColumnValues, rows: number, label: DatasetSpec['label'], place: Place): Float32Array {
  const result = new Float32Array(rows);
  const read = labelReader(label);
  for (let i = 0; i < rows; i++) {
    const value = values[i];
    const code = read(value);
    if (typeof code === 'string') fail(value == null || (typeof value === 'number' && !Number.isFinite(value)) ? 'E_NOT_FINITE' : 'E_LABEL_RANGE', place, label.column, i, value, code);
    result[i] = code;
  }
  return result;
}

/** A function from a value to its label, or to what was expected instead. */
function labelReader(label: DatasetSpec['label']): (value: unknown) => number | string {
  if ('atLeast' in label) {
    return (value) => {
      const x = toNumber(value);
      return Number.isFinite(x) ? (x >= label.atLeast ? 1 : 0) : 'a number';
    };
  }
  const { classes } = label;
  if (Array.isArray(classes)) {
    const codes = new Map(classes.map((name, code) => [name, code]));
    return (value) => codes.get(String(value)) ?? `one of the classes ${classes.slice(0, 8).join(', ')}${classes.length > 8 ? ', …' : ''}`;
  }
  const count = classes ?? 2;
  return (value) => {
    const x = toNumber(value);
    return Number.isInteger(x) && x >= 0 && x < count ? x : `a class from 0 to ${count - 1}`;
  };
}

function encodeColumn(values: ColumnValues, rows: number, name: string, type: ColumnType, dictionaries: Map<string, Dictionary>, place: Place) {
  if (type === 'f32') return encodeFloats(values, rows, name, place);
  if (type === 'i32') return encodeIntegers(values, rows, name, place);
  return encodeCategories(values, rows, dictionaries.get(name) as Dictionary);
}

function encodeFloats(values: ColumnValues, rows: number, name: string, place: Place): Float32Array {
  const result = new Float32Array(rows);
  for (let i = 0; i < rows; i++) {
    const value = values[i];
    const x = Math.fround(toNumber(value));
    if (!Number.isFinite(x)) fail('E_NOT_FINITE', place, name, i, value, 'a finite number');
    result[i] = x;
  }
  return result;
}

function encodeIntegers(values: ColumnValues, rows: number, name: string, place: Place): Int32Array {
  const result = new Int32Array(rows);
  for (let i = 0; i < rows; i++) {
    const value = values[i];
    const x = toNumber(value);
    if (x !== (x | 0)) fail(Number.isFinite(x) ? 'E_SOURCE' : 'E_NOT_FINITE', place, name, i, value, 'an integer of 32 bits');
    result[i] = x;
  }
  return result;
}

function encodeCategories(values: ColumnValues, rows: number, dictionary: Dictionary): Int32Array {
  const result = new Int32Array(rows);
  let last: unknown;
  let code = -1;
  for (let i = 0; i < rows; i++) {
    const value = values[i];
    if (value !== last || code < 0) {
      code = dictionary.code(value == null ? missingCategory : value instanceof Date ? value.toISOString() : String(value));
      last = value;
    }
    result[i] = code;
  }
  return result;
}
