// Rows of a batch by range or by number.
import type { Column } from '../native/types.js';
import { cellLength, recordBytes } from './cells.js';
import { isFlat } from './column.js';
import { schemaOf, storedColumn } from './forms.js';
import type { DatasetSpec } from './spec.js';
import type { ColumnValue, ColumnValues, RecordBatch } from './types.js';

/** Encoded rows of a slice stay below this, so that memory does not grow with the size of a sample. */
const maxSliceBytes = 2 ** 24;

const maxSliceRows = 65_536;

/** Rows of a slice, at least one. */
export function rowsWithin(columns: readonly Column[]): number {
  return Math.max(1, Math.min(maxSliceRows, Math.floor(maxSliceBytes / Math.max(1, recordBytes(columns)))));
}

/** The batch in pieces that are small when encoded. */
export function* slices(batch: RecordBatch, spec: DatasetSpec): Generator<RecordBatch> {
  const most = rowsWithin(schemaOf(spec).columns);
  if (batch.rows <= most) return yield batch;
  for (let first = 0; first < batch.rows; first += most) {
    const rows = Math.min(most, batch.rows - first);
    yield { rows, columns: mapColumns(batch, spec, (values, width) => part(values, first * width, (first + rows) * width)) };
  }
}

/** Memory that the values of a batch take, roughly. */
export function bytesOf(batch: RecordBatch): number {
  const size = (value: ColumnValue) =>
    typeof value === 'string'
      ? 2 * value.length
      : ArrayBuffer.isView(value)
        ? value.byteLength
        : Array.isArray(value)
          ? 8 * value.length
          : 8;
  let bytes = 0;
  for (const values of Object.values(batch.columns)) {
    if (ArrayBuffer.isView(values)) bytes += values.byteLength;
    else for (let i = 0; i < batch.rows; i++) bytes += size(values[i]);
  }
  return bytes;
}

/** All rows of some batches as one, each of which has the columns `names`. */
export function joinBatches(batches: readonly RecordBatch[], names: readonly string[], spec: DatasetSpec): RecordBatch {
  const rows = batches.reduce((sum, batch) => sum + batch.rows, 0);
  const columns = Object.fromEntries(names.map((name) => [name, new Array<ColumnValue>(rows)]));
  let first = 0;
  for (const batch of batches) {
    const values = mapColumns(batch, spec, (given, width) => (width === 1 ? given : perRow(given, width, batch.rows)));
    for (const name of names) for (let i = 0; i < batch.rows; i++) columns[name]![first + i] = values[name]![i];
    first += batch.rows;
  }
  return { rows, columns };
}

/** The rows with these numbers, of a batch of joinBatches(). */
export function pickRows(batch: RecordBatch, rows: Uint32Array): RecordBatch {
  const columns = Object.entries(batch.columns).map(([name, values]) => [name, Array.from(rows, (row) => values[row])] as const);
  return { rows: rows.length, columns: Object.fromEntries(columns) };
}

/** Calls `change` with each column and the number of its values for a row: 1 unless a typed array holds tensors. */
function mapColumns(
  batch: RecordBatch,
  spec: DatasetSpec,
  change: (values: ColumnValues, width: number) => ColumnValues,
): Record<string, ColumnValues> {
  const widthOf = (name: string, values: ColumnValues) => {
    const form = spec.columns[name];
    const width = form === undefined ? 1 : cellLength(storedColumn(name, form));
    return width > 1 && isFlat(values, batch.rows * width) ? width : 1;
  };
  return Object.fromEntries(Object.entries(batch.columns).map(([name, values]) => [name, change(values, widthOf(name, values))]));
}

function part(values: ColumnValues, first: number, end: number): ColumnValues {
  if (ArrayBuffer.isView(values)) return (values as Float32Array).subarray(first, end);
  return Array.isArray(values) ? values.slice(first, end) : Array.prototype.slice.call(values, first, end);
}

function perRow(values: ColumnValues, width: number, rows: number): ColumnValues {
  return Array.from({ length: rows }, (_, i) => part(values, i * width, (i + 1) * width) as ArrayLike<number>);
}
