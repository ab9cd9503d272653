// The order of arrival: rows go in by time, or by that of their labels. Most parts are in that order already; the others are sorted in memory.
import { SluiceError } from '../errors.js';
import type { Column } from '../native/types.js';
import { type Cells, cellLength, emptyCells, recordBytes } from './cells.js';
import { type Coders, type Encoded, arrivalTimes, encode, neededColumns, type Place } from './encode.js';
import { isImage, isTokens, schemaOf } from './forms.js';
import { decodeImages } from './images.js';
import { readPart } from './read.js';
import { bytesOf, joinBatches, pickRows, rowsWithin, slices } from './rows.js';
import type { DatasetSpec } from './spec.js';
import type { RecordBatch, SourcePart } from './types.js';

/** A part of more rows is not sorted: they are in memory, encoded, 20 to 40 bytes each with a few columns. */
const maxSortedRows = 50_000_000;
const maxSortedBytes = 2 ** 32;
/** Rows with pictures or texts are sorted before they are encoded: as paths and texts, some hundred bytes each; pictures of a module may come as bytes. */
const maxSortedTexts = 5_000_000;
const digitBits = 16;

/** Times in milliseconds; null where the part has no rows. */
export type PartOrder = { rows: number; sorted: boolean; firstMs: number | null; lastMs: number | null };

/**
 * One pass over the time column alone; where times are made none, if the part knows its rows. `rowsBefore`: of the
 * source's parts before this one. `check` is called after each batch; what it throws ends the pass.
 */
export async function orderOf(part: SourcePart, spec: DatasetSpec, rowsBefore: number, check: () => void): Promise<PartOrder> {
  if ('step' in spec.time) return madeOrder(part, await countRows(part, spec, check), spec.time, rowsBefore);
  let rows = 0;
  let sorted = true;
  let [first, last, previous] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for await (const batch of readPart(part, [spec.label.time?.column ?? spec.time.column], 0)) {
    for (const ms of arrivalTimes(batch, spec, { part: part.name, firstRow: rows })) {
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

async function countRows(part: SourcePart, spec: DatasetSpec, check: () => void): Promise<number> {
  if (part.rows !== undefined) return part.rows;
  let rows = 0;
  for await (const batch of readPart(part, [spec.label.column], 0)) {
    rows += batch.rows;
    check();
  }
  return rows;
}

/** The end of the year 9999, as for times that a source has. */
const endMs = 253_402_300_800_000;

export function madeOrder(part: SourcePart, rows: number, { start, step }: { start: number; step: number }, rowsBefore: number): PartOrder {
  if (rows === 0) return { rows, sorted: true, firstMs: null, lastMs: null };
  const firstMs = start + rowsBefore * step;
  const lastMs = firstMs + (rows - 1) * step;
  if (lastMs < endMs) return { rows, sorted: true, firstMs, lastMs };
  const hint = 'choose a shorter dataset.time.step';
  throw new SluiceError('E_SOURCE', `${part.name}: the time of its last sample (of ${rowsBefore + rows}) would lie beyond the year 9999`, {
    hint,
  });
}

/** A part, the order that orderOf() found it in, and what its rows become. */
export type OrderedPart = { part: SourcePart; order: PartOrder; spec: DatasetSpec; coders: Coders };

/** The part's rows, encoded, by (time, row), from `startRow` of that order on. */
export async function* encodedInOrder(ordered: OrderedPart, startRow: number): AsyncGenerator<Encoded> {
  const { order, spec } = ordered;
  if (order.sorted) yield* encodedRows(ordered, startRow);
  else if (Object.values(spec.columns).some((form) => isImage(form) || isTokens(form))) yield* sortedFirst(ordered, startRow);
  else yield* sortedEncoded(ordered, startRow);
}

/** Batches from `startRow` of the part on. E_CHANGED where they are not as many as there were. */
async function* rowsOf({ part, order, spec }: OrderedPart, startRow: number): AsyncGenerator<RecordBatch> {
  let read = startRow;
  for await (const batch of readPart(part, neededColumns(spec), startRow)) {
    read += batch.rows;
    if (read > order.rows) throw changed(part, read, order.rows);
    yield batch;
  }
  if (read !== order.rows) throw changed(part, read, order.rows);
}

/** In the order of the part. */
async function* encodedRows(ordered: OrderedPart, startRow: number): AsyncGenerator<Encoded> {
  const { part, order, spec, coders } = ordered;
  const place: Place = { part: part.name, firstRow: startRow, firstMs: order.firstMs ?? 0 };
  for await (const batch of rowsOf(ordered, startRow)) {
    for (const piece of slices(batch, spec)) {
      yield encode(await decodeImages(piece, spec, place, part.folder), spec, coders, place);
      place.firstRow += piece.rows;
    }
  }
}

async function* sortedEncoded(ordered: OrderedPart, startRow: number): AsyncGenerator<Encoded> {
  const { part, order, spec } = ordered;
  const { columns } = schemaOf(spec);
  const most = Math.min(maxSortedRows, Math.floor(maxSortedBytes / Math.max(1, recordBytes(columns))));
  if (order.rows > most) throw tooMany(part, order.rows, most);
  const batches: Encoded[] = [];
  for await (const encoded of encodedRows(ordered, 0)) batches.push(encoded);
  yield* sortedByTime(batches, columns, order.rows, startRow);
}

/** Sorts what the source gives, so that pictures are decoded a few at a time. */
async function* sortedFirst(ordered: OrderedPart, startRow: number): AsyncGenerator<Encoded> {
  const { part, order, spec, coders } = ordered;
  if (order.rows > maxSortedTexts) throw tooMany(part, order.rows, maxSortedTexts);
  const batches: RecordBatch[] = [];
  let bytes = 0;
  for await (const batch of rowsOf(ordered, 0)) {
    bytes += bytesOf(batch);
    if (bytes > maxSortedBytes) throw tooMany(part, order.rows, `${maxSortedBytes / 2 ** 30} GiB`);
    batches.push(batch);
  }
  const all = joinBatches(batches, neededColumns(spec), spec);
  batches.length = 0;
  const byTime = stableOrder(BigInt64Array.from(arrivalTimes(all, spec, { part: part.name, firstRow: 0 }), BigInt));
  const sliceRows = rowsWithin(schemaOf(spec).columns);
  for (let at = startRow; at < order.rows; at += sliceRows) {
    const rows = byTime.subarray(at, at + sliceRows);
    const place: Place = { part: part.name, firstRow: 0, rows };
    yield encode(await decodeImages(pickRows(all, rows), spec, place, part.folder), spec, coders, place);
  }
}

function tooMany(part: SourcePart, rows: number, most: number | string): SluiceError {
  const hint = 'sort the file by its time column, or split it into smaller ones by time';
  return new SluiceError('E_SOURCE', `${part.name}: its ${rows} rows are not in order of time, and only up to ${most} are sorted`, {
    hint,
  });
}

function changed(part: SourcePart, read: number, rows: number): SluiceError {
  const hint = 'let nothing write to the files of a source while they are ingested, and run the command again';
  return new SluiceError('E_CHANGED', `${part.name}: ${read} rows were read where a moment ago there were ${rows}`, { hint });
}

function* sortedByTime(batches: Encoded[], columns: readonly Column[], rows: number, startRow: number): Generator<Encoded> {
  const timestamps = joined(
    batches.map((batch) => batch.timestamps),
    new BigInt64Array(rows),
  );
  const labels = joined(
    batches.map((batch) => batch.labels),
    new Float32Array(rows),
  );
  const cells = columns.map((column, c) =>
    joined(
      batches.map((batch) => batch.columns[c]!),
      emptyCells(column, rows),
    ),
  );
  const labelled = batches.every((batch) => batch.labelledMs !== undefined)
    ? joined(
        batches.map((batch) => batch.labelledMs!),
        new BigInt64Array(rows),
      )
    : undefined;
  batches.length = 0;
  const order = stableOrder(labelled ?? timestamps);
  const sliceRows = rowsWithin(columns);
  for (let at = startRow; at < rows; at += sliceRows) {
    const picked = order.subarray(at, at + sliceRows);
    yield {
      timestamps: pick(timestamps, picked, new BigInt64Array(picked.length), 1),
      labels: pick(labels, picked, new Float32Array(picked.length), 1),
      columns: columns.map((column, c) => pick(cells[c]!, picked, emptyCells(column, picked.length), cellLength(column))),
      labelledMs: labelled && pick(labelled, picked, new BigInt64Array(picked.length), 1),
    };
  }
}

type Values = BigInt64Array | Cells;

function joined<T extends Values>(pieces: T[], into: T): T {
  let at = 0;
  for (const piece of pieces) {
    into.set(piece as never, at);
    at += piece.length;
  }
  return into;
}

/** `width`: values of a row. */
function pick<T extends Values>(values: T, rows: Uint32Array, into: T, width: number): T {
  if (width === 1) for (let i = 0; i < rows.length; i++) into[i] = values[rows[i]!]!;
  else for (let i = 0; i < rows.length; i++) into.set(values.subarray(rows[i]! * width, (rows[i]! + 1) * width) as never, i * width);
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
