// The order of arrival: rows must go in by time. Most files are sorted; the others are sorted here.
import { neededColumns, timesMs } from './encode.js';
import { SluiceError } from '../errors.js';
import type { DatasetSpec } from './spec.js';
import type { RecordBatch, SourcePart } from './types.js';

/** Rows of a part that has to be sorted in memory. */
const maxSortedRows = 50_000_000;
const batchRows = 65_536;

export type PartOrder = { part: SourcePart; firstMs: number; rows: number; sorted: boolean };

/** One pass over the time column alone. */
export async function orderOf(part: SourcePart, spec: DatasetSpec, signal: AbortSignal | undefined): Promise<PartOrder> {
  let rows = 0;
  let firstMs = Number.POSITIVE_INFINITY;
  let last = Number.NEGATIVE_INFINITY;
  let sorted = true;
  for await (const batch of part.read([spec.time.column], 0)) {
    if (signal?.aborted) throw new SluiceError('E_ABORTED', 'stopped on request');
    for (const ms of timesMs(batch.columns[spec.time.column] as never, batch.rows, spec.time, placeOf(part, spec, rows))) {
      if (ms < last) sorted = false;
      if (ms < firstMs) firstMs = ms;
      last = ms;
    }
    rows += batch.rows;
  }
  return { part, firstMs, rows, sorted };
}

/** The part's rows by (time, row), from `startRow` of that order on. */
export async function* inOrder(order: PartOrder, spec: DatasetSpec, startRow: number): AsyncIterable<RecordBatch> {
  const columns = neededColumns(spec);
  if (order.sorted) return yield* order.part.read(columns, startRow);
  if (order.rows > maxSortedRows) {
    throw new SluiceError('E_SOURCE', `${order.part.name}: its ${order.rows} rows are not in order of time; up to ${maxSortedRows} can be sorted here`, { hint: 'sort the file by its time column, or split it' });
  }
  const whole: Record<string, unknown[]> = Object.fromEntries(columns.map((column) => [column, []]));
  for await (const batch of order.part.read(columns, 0)) {
    for (const column of columns) {
      const values = batch.columns[column] as ArrayLike<unknown>;
      const into = whole[column] as unknown[];
      for (let i = 0; i < batch.rows; i++) into.push(values[i]);
    }
  }
  const times = timesMs(whole[spec.time.column] as never, order.rows, spec.time, placeOf(order.part, spec, 0));
  // Equal times keep the order of their rows.
  const permutation = Uint32Array.from({ length: order.rows }, (_, i) => i).sort((a, b) => (times[a] as number) - (times[b] as number) || a - b);
  for (let at = startRow; at < order.rows; at += batchRows) {
    const rows = permutation.subarray(at, Math.min(order.rows, at + batchRows));
    const picked = columns.map((column) => [column, Array.from(rows, (row) => (whole[column] as unknown[])[row])] as const);
    yield { rows: rows.length, columns: Object.fromEntries(picked) as RecordBatch['columns'] };
  }
}

export function placeOf(part: SourcePart, spec: DatasetSpec, firstRow: number) {
  return { part: part.name, firstRow, timesAreMs: part.timesAreMs?.(spec.time.column) ?? false };
}
