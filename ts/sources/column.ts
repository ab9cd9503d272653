// One column of a source's batch, and what is said about a value in it that cannot be taken.
import { type ErrorCode, SluiceError } from '../errors.js';
import type { ColumnValues, RecordBatch } from './types.js';

/**
 * Where a batch's rows come from, for messages. `firstRow` counts from 0; `rows`: numbers of the rows where they do not
 * follow each other. `firstMs`: time of the part's first row, where times are made. `arrivedMs`: when samples arrived whose labels may
 * come later.
 */
export type Place = { part: string; firstRow: number; rows?: Uint32Array; firstMs?: number; arrivedMs?: number };

export class Column {
  readonly values: ColumnValues;
  readonly rows: number;

  /** `elements`: values of a row in a typed array that holds all rows' values one after the other. */
  constructor(
    readonly name: string,
    batch: RecordBatch,
    readonly place: Place,
    elements = 1,
  ) {
    this.values = valuesOf(name, batch, place.part, elements);
    this.rows = batch.rows;
  }

  /** `row` is the row in the batch; `got` says what is there where the value alone does not. */
  fail(code: ErrorCode, row: number, expected: string, advice = 'correct or remove the row', got = show(this.values[row])): never {
    const number = this.place.rows?.[row] ?? this.place.firstRow + row;
    const message = `${this.place.part}: column '${this.name}', row ${number + 1}: expected ${expected}, got ${got}`;
    throw new SluiceError(code, message, { hint: `${advice} (rows are counted from 1, a header line not included)` });
  }
}

/** The values of a column that a batch must have. E_SOURCE where there are not enough for its rows. */
export function valuesOf(name: string, batch: RecordBatch, part: string, elements = 1): ColumnValues {
  const values = Object.hasOwn(batch.columns, name) ? batch.columns[name] : undefined;
  const needed = batch.rows * (elements > 1 && isFlat(values, batch.rows) ? elements : 1);
  if (values !== undefined && values !== null && values.length >= needed) return values;
  const got = values === undefined ? 'no such column' : `${values?.length ?? 0} of them`;
  throw new SluiceError('E_SOURCE', `${part}: column '${name}': expected ${needed} values, the source gave ${got}`);
}

/** Whether the values of all rows lie in one typed array. */
export function isFlat(values: unknown, rows: number): values is NodeJS.TypedArray {
  return ArrayBuffer.isView(values) && !(values instanceof DataView) && (values as NodeJS.TypedArray).length >= rows;
}

export function show(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'an invalid date' : value.toISOString();
  if (ArrayBuffer.isView(value) || Array.isArray(value)) return `${(value as ArrayLike<unknown>).length} values`;
  return typeof value === 'object' ? 'an object' : String(value);
}

const decimal = /^\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*$/;

/** A value as a number; NaN for what is none. */
export function toNumber(value: unknown): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint' || typeof value === 'boolean') return Number(value);
  return typeof value === 'string' && decimal.test(value) ? Number(value) : Number.NaN;
}
