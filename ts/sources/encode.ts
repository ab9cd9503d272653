// From a source's columns to the typed arrays that the index takes. Every value is checked; an error names its place.
import { SluiceError } from '../errors.js';
import type { Batch } from '../native/types.js';
import { cellLength } from './cells.js';
import { Column, type Place, toNumber } from './column.js';
import { type Dictionary, maxCategories, maxCategoryLength } from './dictionary.js';
import { encodeBytes, encodeTensor, encodeTokens } from './encode-large.js';
import { isBytes, isCodes, isFrequent, isHash, isTensor, isTokens, storedColumn } from './forms.js';
import type { Frequency } from './frequency.js';
import { murmur3 } from './murmur3.js';
import { type ColumnTime, type ColumnType, type DatasetSpec, delayColumns, type LabelSpec } from './spec.js';
import { timeReader } from './time-format.js';
import type { Tokenizer } from './tokens.js';
import type { RecordBatch } from './types.js';

export type { Place } from './column.js';

/** What gives values their codes, by column. */
export type Coders = {
  dictionaries: ReadonlyMap<string, Dictionary>;
  /** Of the columns whose values need to be frequent to get a code. */
  frequencies: ReadonlyMap<string, Frequency>;
  tokenizers: ReadonlyMap<string, Tokenizer>;
};

/**
 * Encoded rows; `columns` in the order of the spec. `dropped`: 1 for rows that are not to be stored. `labelledMs`: when labels became
 * known, where the rows tell.
 */
export type Encoded = Omit<Batch, 'state'> & { dropped?: Uint8Array | undefined; labelledMs?: BigInt64Array<ArrayBuffer> | undefined };

/** What a category that is null is stored as. */
export const missingCategory = '(missing)';
/** What a category that is not frequent is stored as: code 0 of such a column's dictionary. */
export const rareCategory = '(rare)';

/** Columns of the source that a dataset needs. */
export function neededColumns({ time, label, columns }: DatasetSpec): string[] {
  const made = delayColumns(label);
  const own = Object.keys(columns).filter((name) => !made.includes(name));
  const others = ['column' in time ? time.column : undefined, label.column, label.time?.column, label.late?.id];
  return [...new Set([...others.filter((name) => name !== undefined), ...own])];
}

/**
 * Encodes a batch whose pictures are decoded; dictionaries grow by what is new. Where labels may come later, those that are not there are NaN.
 * E_NOT_FINITE, E_LABEL_RANGE, E_SOURCE name part, column, row and value.
 */
export function encode(batch: RecordBatch, spec: DatasetSpec, coders: Coders, place: Place): Encoded {
  const times = encodeTimes(batch, spec, place);
  const labelled = spec.label.time === undefined ? undefined : arrivalTimes(batch, spec, place);
  const made = delayColumns(spec.label);
  return {
    timestamps: toBigInts(times),
    labels:
      spec.label.late === undefined
        ? encodeLabels(new Column(spec.label.column, batch, place), spec.label)
        : encodeSomeLabels(batch, spec, place),
    columns: Object.entries(spec.columns).map(([name, form]) => {
      if (made.includes(name)) return delaysOf(times, labelled ?? place.arrivedMs ?? 0);
      const column = new Column(name, batch, place, cellLength(storedColumn(name, form)));
      return encodeColumn(column, form, coders);
    }),
    dropped: batch.dropped,
    labelledMs: labelled && toBigInts(labelled),
  };
}

/** Seconds from the samples' times to others. */
function delaysOf(times: Float64Array, until: Float64Array | number): Float32Array<ArrayBuffer> {
  return Float32Array.from(times, (ms, i) => ((typeof until === 'number' ? until : until[i]!) - ms) / 1000);
}

/** Labels of the rows that have one, NaN for the others. */
function encodeSomeLabels(batch: RecordBatch, spec: DatasetSpec, place: Place): Float32Array<ArrayBuffer> {
  const { column } = spec.label;
  const values = Object.hasOwn(batch.columns, column) ? batch.columns[column] : undefined;
  const labels = new Float32Array(batch.rows).fill(Number.NaN);
  if (values === undefined) return labels;
  const rows = Uint32Array.from(
    Array.from({ length: batch.rows }, (_, i) => i).filter((i) => values[i] !== null && values[i] !== undefined),
  );
  const some = { rows: rows.length, columns: { [column]: Array.from(rows, (row) => values[row]) } };
  const numbers = rows.map((row) => place.rows?.[row] ?? place.firstRow + row);
  const encoded = encodeLabels(new Column(column, some, { ...place, rows: numbers }), spec.label);
  for (const [i, row] of rows.entries()) labels[row] = encoded[i]!;
  return labels;
}

/** Times at which samples arrive: their own, or those of their labels, where the rows tell. E_SOURCE as encode(). */
export function arrivalTimes(batch: RecordBatch, spec: DatasetSpec, place: Place): Float64Array {
  const { time } = spec.label;
  return time === undefined
    ? encodeTimes(batch, spec, place)
    : columnTimes(new Column(time.column, batch, place), time, 'dataset.label.time');
}

/** The batch's times, whole milliseconds since 1970-01-01 UTC. E_SOURCE as encode(). */
export function encodeTimes(batch: RecordBatch, spec: DatasetSpec, place: Place): Float64Array {
  const { time } = spec;
  if ('step' in time) {
    const first = (place.firstMs ?? time.start) + place.firstRow * time.step;
    return Float64Array.from({ length: batch.rows }, (_, i) => first + i * time.step);
  }
  return columnTimes(new Column(time.column, batch, place), time, 'dataset.time');
}

/** `field`: of the pipeline, for messages. */
function columnTimes(column: Column, time: ColumnTime, field: string): Float64Array {
  const { values, rows } = column;
  const times = new Float64Array(rows);
  const read = timeReader(time);
  for (let i = 0; i < rows; i++) {
    const ms = read(values[i]);
    if (Number.isNaN(ms)) {
      if ('format' in time) return column.fail('E_SOURCE', i, `a time written as ${time.format}`);
      const hint = `numbers count units of ${field}.unit, here ${time.unit}; text is ISO 8601, like 2024-05-01T12:30:00Z`;
      column.fail('E_SOURCE', i, 'a time of the years 0 to 9999', hint);
    }
    times[i] = ms;
  }
  return times;
}

/** Through halves of 32 bits: making a bigint for each row costs ten times as much. */
export function toBigInts(times: Float64Array): BigInt64Array<ArrayBuffer> {
  const result = new BigInt64Array(times.length);
  const halves = new Int32Array(result.buffer);
  for (let i = 0; i < times.length; i++) {
    const high = Math.floor(times[i]! / 4_294_967_296);
    halves[2 * i] = (times[i]! - high * 4_294_967_296) | 0;
    halves[2 * i + 1] = high;
  }
  return result;
}

export function encodeLabels(column: Column, label: LabelSpec): Float32Array<ArrayBuffer> {
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

function encodeColumn(column: Column, form: ColumnType, coders: Coders): Batch['columns'][number] {
  if (form === 'f32') return encodeFloats(column);
  if (form === 'i32') return encodeIntegers(column);
  if (form === 'category') return encodeCategories(column, coderOf(column, coders.dictionaries));
  if (isTensor(form)) return encodeTensor(column, form);
  if (isTokens(form)) return encodeTokens(column, form.tokens, coderOf(column, coders.tokenizers).tokenize);
  if (isBytes(form)) return encodeBytes(column, form);
  if (isCodes(form)) return encodeCodes(column, form.category);
  if (isHash(form)) return encodeHashes(column, form.hash);
  if (isFrequent(form)) return encodeFrequent(column, coderOf(column, coders.dictionaries), coderOf(column, coders.frequencies));
  return decoded(column);
}

function coderOf<T>(column: Column, coders: ReadonlyMap<string, T>): T {
  const coder = coders.get(column.name);
  if (coder === undefined) throw new SluiceError('E_INTERNAL', `column '${column.name}' has no dictionary, counts or tokenizer`);
  return coder;
}

/** Pixels, as decodeImages() left them. */
function decoded(column: Column): Uint8Array {
  if (column.values instanceof Uint8Array) return column.values;
  throw new SluiceError('E_INTERNAL', `the pictures of column '${column.name}' are not decoded`);
}

function encodeCodes(column: Column, codes: number): Int32Array<ArrayBuffer> {
  const { values, rows } = column;
  const encoded = new Int32Array(rows);
  for (let i = 0; i < rows; i++) {
    const x = toNumber(values[i]);
    if (x !== (x | 0) || x < 0 || x >= codes)
      column.fail('E_SOURCE', i, `a code from 0 to ${codes - 1}`, 'correct the row, or the size of the category');
    encoded[i] = x;
  }
  return encoded;
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
      const text = categoryText(column, i);
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

function encodeHashes(column: Column, codes: number): Int32Array<ArrayBuffer> {
  const encoded = new Int32Array(column.rows);
  for (let i = 0; i < column.rows; i++) encoded[i] = murmur3(categoryText(column, i)) % codes;
  return encoded;
}

/** A value's own code from the occurrence on that makes it frequent. */
function encodeFrequent(column: Column, dictionary: Dictionary, frequency: Frequency): Int32Array<ArrayBuffer> {
  const codes = new Int32Array(column.rows);
  for (let i = 0; i < column.rows; i++) {
    const text = categoryText(column, i);
    const code = dictionary.find(text);
    if (code !== undefined) codes[i] = code;
    else if (frequency.add(murmur3(text))) codes[i] = addCategory(column, i, dictionary, text);
  }
  return codes;
}

function categoryText(column: Column, row: number): string {
  const value = column.values[row];
  if (typeof value === 'string') return value;
  if (value === null || value === undefined) return missingCategory;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? column.fail('E_SOURCE', row, 'a time') : value.toISOString();
  if (typeof value === 'object') column.fail('E_SOURCE', row, 'a text or a number');
  return String(value);
}
