// The order of arrival: rows go in by time. Most parts are in that order already; the others are sorted in memory.
import { SluiceError } from '../errors.js';
import { type Dictionaries, type Encoded, encode, encodeTimes, neededColumns, type Place } from './encode.js';
import { readPart } from './read.js';
import type { DatasetSpec } from './spec.js';
import type { SourcePart } from './types.js';

/** A part of more rows is not sorted: they are in memory, encoded, 20 to 40 bytes each with a few columns. */
const maxSortedRows = 50_000_000;
const batchRows = 65_536;
const digitBits = 16;

/** Times in milliseconds; null where the part has no rows. */
export type PartOrder = { rows: number; sorted: boolean; firstMs: number | null; lastMs: number | null };

/** One pass over the time column alone. `check` is called after each batch; what it throws ends the pass. */
export async function orderOf(part: SourcePart, spec: DatasetSpec, check: () => void): Promise<PartOrder> {
  let rows = 0;
  let sorted = true;
  let [first, last, previous] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for await (const batch of readPart(part, [spec.time.column], 0)) {
    for (const ms of encodeTimes(batch, spec, { part: part.name, firstRow: rows })) {
      if (ms < previous) sorted = false;
      if (ms < first) first = ms;
      if (ms > last) last = ms;
      previous = ms;
    }
    rows += batch.rows;
    check();
  }
  return rows === 0 ? { rows, sorted, firstMs: null, lastMs: null } : { rows, sorted, firstMs: first, lastMs: last };
}

/** The part's rows, encoded, by (time, row), from `startRow` of that order on. */
export async function* encodedInOrder(
  part: SourcePart,
  order: PartOrder,
  startRow: number,
  spec: DatasetSpec,
  dictionaries: Dictionaries,
): AsyncGenerator<Encoded> {
  const place: Place = { part: part.name, firstRow: order.sorted ? startRow : 0 };
  if (!order.sorted && order.rows > maxSortedRows) {
    const hint = 'sort the file by its time column, or split it into smaller ones by time';
    throw new SluiceError(
      'E_SOURCE',
      `${part.name}: its ${order.rows} rows are not in order of time, and only up to ${maxSortedRows} are sorted`,
      { hint },
    );
  }
  const batches: Encoded[] = [];
  for await (const batch of readPart(part, neededColumns(spec), place.firstRow)) {
    const encoded = encode(batch, spec, dictionaries, place);
    place.firstRow += batch.rows;
    if (place.firstRow > order.rows) throw changed(part, place.firstRow, order.rows);
    if (order.sorted) yield encoded;
    else batches.push(encoded);
  }
  if (place.firstRow !== order.rows) throw changed(part, place.firstRow, order.rows);
  if (!order.sorted) yield* sortedByTime(batches, order.rows, startRow);
}

function changed(part: SourcePart, read: number, rows: number): SluiceError {
  const hint = 'let nothing write to the files of a source while they are ingested, and run the command again';
  return new SluiceError('E_CHANGED', `${part.name}: ${read} rows were read where a moment ago there were ${rows}`, { hint });
}

function* sortedByTime(batches: Encoded[], rows: number, startRow: number): Generator<Encoded> {
  const timestamps = joined(
    batches.map((batch) => batch.timestamps),
    new BigInt64Array(rows),
  );
  const labels = joined(
    batches.map((batch) => batch.labels),
    new Float32Array(rows),
  );
  const columns = (batches[0]?.columns ?? []).map((first, c) =>
    joined(
      batches.map((batch) => batch.columns[c]!),
      sameType(first, rows),
    ),
  );
  batches.length = 0;
  const order = stableOrder(timestamps);
  for (let at = startRow; at < rows; at += batchRows) {
    const picked = order.subarray(at, at + batchRows);
    yield {
      timestamps: pick(timestamps, picked, new BigInt64Array(picked.length)),
      labels: pick(labels, picked, new Float32Array(picked.length)),
      columns: columns.map((column) => pick(column, picked, sameType(column, picked.length))),
    };
  }
}

type ColumnArray = Float32Array | Int32Array | Uint8Array;
type Values = BigInt64Array | ColumnArray;

function sameType(values: ColumnArray, rows: number): ColumnArray {
  if (values instanceof Uint8Array) return new Uint8Array(rows);
  return values instanceof Float32Array ? new Float32Array(rows) : new Int32Array(rows);
}

function joined<T extends Values>(pieces: T[], into: T): T {
  let at = 0;
  for (const piece of pieces) {
    into.set(piece as never, at);
    at += piece.length;
  }
  return into;
}

function pick<T extends Values>(values: T, rows: Uint32Array, into: T): T {
  for (let i = 0; i < rows.length; i++) into[i] = values[rows[i]!]!;
  return into;
}

/** Rows by (time, row). Radix sort by digits of 16 bits, least significant first (Knuth, TAOCP 3, 5.2.5, algorithm R). */
export function stableOrder(timestamps: BigInt64Array): Uint32Array<ArrayBuffer> {
  const rows = timestamps.length;
  let [least, most] = [timestamps[0] ?? 0n, timestamps[0] ?? 0n];
  for (const t of timestamps) {
    if (t < least) least = t;
    if (t > most) most = t;
  }
  const keys = new Float64Array(rows);
  for (let i = 0; i < rows; i++) keys[i] = Number(timestamps[i]! - least);
  let order = Uint32Array.from({ length: rows }, (_, i) => i);
  let next = new Uint32Array(rows);
  const radix = 2 ** digitBits;
  for (let unit = 1; unit <= Number(most - least); unit *= radix) {
    const starts = new Uint32Array(radix + 1);
    for (let i = 0; i < rows; i++) starts[(Math.floor(keys[i]! / unit) % radix) + 1]!++;
    for (let d = 0; d < radix; d++) starts[d + 1]! += starts[d]!;
    for (let i = 0; i < rows; i++) {
      const row = order[i]!;
      next[starts[Math.floor(keys[row]! / unit) % radix]!++] = row;
    }
    [order, next] = [next, order];
  }
  return order;
}
