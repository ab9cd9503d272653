// Labels that come without their samples: rows with an id (or the number of a sample), a label, and perhaps a time.
import { SluiceError } from '../errors.js';
import { Column, type Place } from '../sources/column.js';
import { encodeLabels } from '../sources/encode.js';
import type { DatasetSpec } from '../sources/spec.js';
import { timeReader } from '../sources/time-format.js';
import type { ColumnValues, RecordBatch } from '../sources/types.js';

/** `timesMs`: when each label was given; NaN: when it arrived. */
export type LabelRows = { ids: string[]; labels: Float32Array; timesMs: Float64Array };

/** Bytes of an id. */
const maxIdBytes = 256;
/** Names a sample where it has no id. */
export const keyField = 'key';

/** Fields of a row that are not columns to be stored. */
export function labelColumns({ time, label }: DatasetSpec): string[] {
  return [label.late?.id ?? keyField, label.column, ...('column' in time ? [time.column] : [])];
}

/** Tells whether a row is the label of a sample that is elsewhere: it has none of the columns that are stored, but for those of every label. */
export function labelRowTest(spec: DatasetSpec): (row: Record<string, unknown>) => boolean {
  const { late, column } = spec.label;
  if (late === undefined) return () => false;
  const name = late.id ?? keyField;
  const own = labelColumns(spec);
  const others = Object.keys(spec.columns).filter((other) => !own.includes(other));
  return (row) =>
    Object.hasOwn(row, name) && Object.hasOwn(row, column) && row[column] !== null && !others.some((other) => Object.hasOwn(row, other));
}

/** E_SOURCE, E_LABEL_RANGE and E_NOT_FINITE name column, row and value. */
export function toLabels(batch: RecordBatch, spec: DatasetSpec, place: Place): LabelRows {
  const { label, time } = spec;
  const ids = label.late?.id === undefined ? numbersOf(new Column(keyField, batch, place)) : idsOf(new Column(label.late.id, batch, place));
  const labels = encodeLabels(new Column(label.column, batch, place), label);
  const times = 'column' in time && Object.hasOwn(batch.columns, time.column) ? new Column(time.column, batch, place) : undefined;
  const read = 'column' in time ? timeReader(time) : undefined;
  const timesMs = new Float64Array(batch.rows).fill(Number.NaN);
  if (times !== undefined && read !== undefined) {
    for (let i = 0; i < batch.rows; i++) {
      const value = times.values[i];
      if (value === null || value === undefined) continue;
      timesMs[i] = read(value);
      if (Number.isNaN(timesMs[i])) times.fail('E_SOURCE', i, 'a time of the years 0 to 9999');
    }
  }
  return { ids, labels, timesMs };
}

/** Texts, or whole numbers by their digits. */
export function idsOf(column: Column): string[] {
  const { values, rows } = column;
  const ids = new Array<string>(rows);
  for (let i = 0; i < rows; i++) {
    const value = values[i];
    const id = typeof value === 'string' ? value : isWhole(value) ? String(value) : undefined;
    if (id === undefined || id === '' || (id.length > maxIdBytes / 3 && Buffer.byteLength(id) > maxIdBytes) || /\p{Surrogate}/u.test(id))
      return column.fail('E_SOURCE', i, `an id: a text of 1 to ${maxIdBytes} bytes or a whole number`, 'write numbers beyond 2^53 as text');
    ids[i] = id;
  }
  return ids;
}

function numbersOf(column: Column): string[] {
  return Array.from({ length: column.rows }, (_, i) => {
    const value = column.values[i];
    const number = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value;
    if (!isWhole(number) || Number(number) < 0)
      return column.fail('E_SOURCE', i, 'the number that the push of the sample answered', 'correct the row');
    return String(number);
  });
}

const isWhole = (value: unknown): boolean => (typeof value === 'number' ? Number.isSafeInteger(value) : typeof value === 'bigint');

/** The columns of rows of JSON that labels have. */
export function labelBatch(rows: readonly Record<string, unknown>[], spec: DatasetSpec): RecordBatch {
  const names = labelColumns(spec);
  const column = (name: string) => rows.map((row) => (Object.hasOwn(row, name) ? row[name] : undefined)) as ColumnValues;
  return { rows: rows.length, columns: Object.fromEntries(names.map((name) => [name, column(name)])) };
}

export function requireLate(spec: DatasetSpec): void {
  if (spec.label.late !== undefined) return;
  throw new SluiceError('E_NOT_FOUND', 'the labels of this dataset come with their samples', {
    hint: 'dataset.label.late says how they come later',
  });
}
