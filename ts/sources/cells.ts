// The typed arrays that hold a column's cells in a batch; native/src/storage/dataset.h (AppendBatch) says how.
import type { Batch, Column } from '../native/types.js';

export type Cells = Batch['columns'][number];

/** Elements of the typed array for one sample: bytes have their length (4) and their capacity, filled up to a multiple of 4. */
export function cellLength({ type, shape }: Column): number {
  const elements = shape.reduce((product, side) => product * side, 1);
  return type === 'bytes' ? 4 + 4 * Math.ceil(elements / 4) : elements;
}

/** Zeros for `rows` samples. */
export function emptyCells(column: Column, rows: number): Cells {
  const length = rows * cellLength(column);
  if (column.type === 'f32') return new Float32Array(length);
  return column.type === 'u8' || column.type === 'bytes' ? new Uint8Array(length) : new Int32Array(length);
}

/** Bytes that a sample takes in a segment. */
export function recordBytes(columns: readonly Column[]): number {
  const bytes = (column: Column) =>
    column.type === 'u8' ? 4 * Math.ceil(cellLength(column) / 4) : cellLength(column) * (column.type === 'bytes' ? 1 : 4);
  return columns.reduce((sum, column) => sum + bytes(column), 0);
}
