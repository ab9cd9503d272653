// From a source's columns to the typed arrays that the index takes. Every value is checked; an error names its place.
import { type ErrorCode, SluiceError } from '../errors.js';
import type { Batch, Schema } from '../native/types.js';
import { type Dictionary, maxCategories, maxCategoryLength } from './dictionary.js';
import type { ColumnType, DatasetSpec, LabelSpec } from './spec.js';
import { timeMs } from './times.js';
import type { ColumnValues, RecordBatch } from './types.js';

export type Dictionaries = ReadonlyMap<string, Dictionary>;

/** Encoded rows; `columns` in the order of the spec. */
export type Encoded = Omit<Batch, 'state'>;

/** Where a batch's rows come from, for messages; `firstRow` counts from 0. */
export type Place = { part: string; firstRow: number };

/** What a category that is null is stored as. */
export const missingCategory = '(missing)';

/** Columns of the source that a dataset needs. */
export function neededColumns(spec: DatasetSpec): string[] {
  return [...new Set([spec.time.column, spec.label.column, ...Object.keys(spec.columns)])];
}

/** What the index stores. */
export function schemaOf(spec: DatasetSpec): Schema {
  const columns = Object.entries(spec.columns).map(([name, type]) => ({ name, type, shape: [] as number[] }));
  const classes = 'classes' in spec.label ? spec.label.classes : undefined;
  if ('real' in spec.label) return { columns, label: 'real', classes: 2 };
  return { columns, label: 'class', classes: Array.isArray(classes) ? classes.length : (classes ?? 2) };
}

/** Encodes a batch; dictionaries grow by what is new. E_NOT_FINITE, E_LABEL_RANGE, E_SOURCE name part, column, row and value. */
export function encode(batch: RecordBatch, spec: DatasetSpec, dictionaries: Dictionaries, place: Place): Encoded {
  const context = (name: string) => new Column(name, batch, place);
  return {
    timestamps: toBigInts(encodeTimes(batch, spec, place)),
    labels: encodeLabels(context(spec.label.column), spec.label),
    columns: Object.entries(spec.columns).map(([name, type]) => encodeColumn(context(name), type, dictionaries)),
  };
}

/** The batch's times, whole milliseconds since 1970-01-01 UTC. E_SOURCE as encode(). */
export function encodeTimes(batch: RecordBatch, spec: DatasetSpec, place: Place): Float64Array {
  const column = new Column(spec.time.column, batch, place);
  const { unit } = spec.time;
  const { values, rows } = column;
  const times = new Float64Array(rows);
  for (let i = 0; i < rows; i++) {
    const ms = timeMs(values[i], unit);
    if (Number.isNaN(ms)) {
      const hint = `numbers count units of dataset.time.unit, here ${unit}; text is ISO 8601, like 2024-05-01T12:30:00Z`;
      column.fail('E_SOURCE', i, 'a time of the years 0 to 9999', hint);
    }
    times[i] = ms;
  }
  return times;
}

/** One column of a batch. */
class Column {
  readonly values: ColumnValues;
  readonly rows: number;

  constructor(
    readonly name: string,
    batch: RecordBatch,
    readonly place: Place,
  ) {
    const values = Object.hasOwn(batch.columns, name) ? batch.columns[name] : undefined;
    if (values === undefined || values === null || !(values.length >= batch.rows)) {
      const got = values === undefined ? 'no such column' : `${values?.length ?? 0} of them`;
      throw new SluiceError('E_SOURCE', `${place.part}: column '${name}': expected ${batch.rows} values, the source gave ${got}`);
    }
    this.values = values;
    this.rows = batch.rows;
  }

  /** `row` is the row in the batch. */
  fail(code: ErrorCode, row: number, expected: string, advice = 'correct or remove the row'): never {
    const at = `column '${this.name}', row ${this.place.firstRow + row + 1}`;
    const message = `${this.place.part}: ${at}: expected ${expected}, got ${show(this.values[row])}`;
    throw new SluiceError(code, message, { hint: `${advice} (rows are counted from 1, a header line not included)` });
  }
}

function show(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'an invalid date' : value.toISOString();
  return typeof value === 'object' ? 'an object' : String(value);
}

const decimal = /^\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*$/;

/** A value as a number; NaN for what is none. */
function toNumber(value: unknown): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint' || typeof value === 'boolean') return Number(value);
  return typeof value === 'string' && decimal.test(value) ? Number(value) : Number.NaN;
}

/** Through halves of 32 bits: making a bigint for each row costs ten times as much. */
function toBigInts(times: Float64Array): BigInt64Array<ArrayBuffer> {
  const result = new BigInt64Array(times.length);
  const halves = new Int32Array(result.buffer);
  for (let i = 0; i < times.length; i++) {
    const high = Math.floor(times[i]! / 4_294_967_296);
    halves[2 * i] = (times[i]! - high * 4_294_967_296) | 0;
    halves[2 * i + 1] = high;
  }
  return result;
}

function encodeLabels(column: Column, label: LabelSpec): Float32Array<ArrayBuffer> {
  if ('atLeast' in label) return encodeThreshold(column, label.atLeast);
  if ('real' in label) return encodeReal(column);
  return Array.isArray(label.classes) ? encodeClassNames(column, label.classes) : encodeClasses(column, label.classes ?? 2);
}

function encodeThreshold(column: Column, atLeast: number): Float32Array<ArrayBuffer> {
  const { values, rows } = column;
  const labels = new Float32Array(rows);
  for (let i = 0; i < rows; i++) {
    const x = toNumber(values[i]);
    if (!Number.isFinite(x)) column.fail('E_NOT_FINITE', i, 'a number');
    labels[i] = x >= atLeast ? 1 : 0;
  }
  return labels;
}

function encodeReal(column: Column): Float32Array<ArrayBuffer> {
  const { values, rows } = column;
  const labels = new Float32Array(rows);
  for (let i = 0; i < rows; i++) {
    const x = Math.fround(toNumber(values[i]));
    if (!Number.isFinite(x)) column.fail('E_NOT_FINITE', i, 'a number within the range of a 32-bit float');
    labels[i] = x;
  }
  return labels;
}

function encodeClasses(column: Column, classes: number): Float32Array<ArrayBuffer> {
  const { values, rows } = column;
  const labels = new Float32Array(rows);
  for (let i = 0; i < rows; i++) {
    const x = toNumber(values[i]);
    if (!(Number.isInteger(x) && x >= 0 && x < classes)) {
      column.fail(
        Number.isFinite(x) ? 'E_LABEL_RANGE' : 'E_NOT_FINITE',
        i,
        `a class from 0 to ${classes - 1}`,
        'correct the row, or dataset.label.classes',
      );
    }
    labels[i] = x;
  }
  return labels;
}

function encodeClassNames(column: Column, names: readonly string[]): Float32Array<ArrayBuffer> {
  const { values, rows } = column;
  const codes = new Map(names.map((name, code) => [name, code]));
  const labels = new Float32Array(rows);
  for (let i = 0; i < rows; i++) {
    const value = values[i];
    const code = value === null || value === undefined ? undefined : codes.get(String(value));
    if (code === undefined) {
      const shown = names.slice(0, 8).join(', ') + (names.length > 8 ? ', …' : '');
      column.fail('E_LABEL_RANGE', i, `one of the classes ${shown}`, 'correct the row, or dataset.label.classes');
    }
    labels[i] = code;
  }
  return labels;
}

function encodeColumn(column: Column, type: ColumnType, dictionaries: Dictionaries): Batch['columns'][number] {
  if (type === 'f32') return encodeFloats(column);
  if (type === 'i32') return encodeIntegers(column);
  const dictionary = dictionaries.get(column.name);
  if (dictionary === undefined) throw new SluiceError('E_INTERNAL', `column '${column.name}' has no dictionary`);
  return encodeCategories(column, dictionary);
}

function encodeFloats(column: Column): Float32Array<ArrayBuffer> {
  const { values, rows } = column;
  const floats = new Float32Array(rows);
  for (let i = 0; i < rows; i++) {
    const x = Math.fround(toNumber(values[i]));
    if (!Number.isFinite(x)) column.fail('E_NOT_FINITE', i, 'a finite number of 32 bits');
    floats[i] = x;
  }
  return floats;
}

function encodeIntegers(column: Column): Int32Array<ArrayBuffer> {
  const { values, rows } = column;
  const integers = new Int32Array(rows);
  for (let i = 0; i < rows; i++) {
    const x = toNumber(values[i]);
    if (x !== (x | 0)) column.fail(Number.isFinite(x) ? 'E_SOURCE' : 'E_NOT_FINITE', i, 'an integer of 32 bits');
    integers[i] = x;
  }
  return integers;
}

function encodeCategories(column: Column, dictionary: Dictionary): Int32Array<ArrayBuffer> {
  const { values, rows } = column;
  const codes = new Int32Array(rows);
  let last: unknown;
  let code = -1;
  for (let i = 0; i < rows; i++) {
    const value = values[i];
    if (value !== last || code < 0) {
      const text = typeof value === 'string' ? value : categoryText(value);
      code = dictionary.find(text) ?? addCategory(column, i, dictionary, text);
      last = value;
    }
    codes[i] = code;
  }
  return codes;
}

function addCategory(column: Column, row: number, dictionary: Dictionary, text: string): number {
  const advice = 'a category has few different, short values: store the column as i32 or f32, or leave it out';
  if (dictionary.size === maxCategories) column.fail('E_SOURCE', row, `at most ${maxCategories} different values`, advice);
  if (text.length > maxCategoryLength) column.fail('E_SOURCE', row, `a category of at most ${maxCategoryLength} characters`, advice);
  return dictionary.add(text);
}

function categoryText(value: Exclude<ColumnValues[number], string>): string {
  if (value === null || value === undefined) return missingCategory;
  return value instanceof Date ? value.toISOString() : String(value);
}
