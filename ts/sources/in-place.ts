// Rows that stay in the files of their source: what is appended are times, labels and checksums, and records are read from the files
// whenever they are needed.
import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { SluiceError } from '../errors.js';
import { isS3 } from '../s3/address.js';
import type { Column, FileBatch, FileField, FileMove, FileSpan } from '../native/types.js';
import type { IngestStore } from './appender.js';
import { cellLength, emptyCells } from './cells.js';
import { encodeTimes, neededColumns } from './encode.js';
import { isCodes, isTensor, schemaOf } from './forms.js';
import type { IngestOptions } from './ingest.js';
import { madeOrder, type PartOrder } from './order.js';
import { lastMsEntry, movedAway, type PartState, partKey, readPartState } from './progress.js';
import { readPart } from './read.js';
import type { ColumnType, DatasetSpec } from './spec.js';
import { scales } from './times.js';
import type { Place, PlacedField, SourcePart } from './types.js';

/** Rows of a chunk of the index. */
const chunkRows = 65_536;
/** What one append reads at most: a second's work or less, which a stop loses. */
const maxRows = 64 * chunkRows;
const maxBytes = 2 ** 30;

/** Why values of the form cannot stay where they are, as words after "expected"; undefined where they can. */
export function placementProblem(form: ColumnType): string | undefined {
  if (form === 'f32' || form === 'i32' || isCodes(form) || isTensor(form)) return undefined;
  return 'f32, i32, a tensor or { category: <codes> }, because with inPlace nothing is stored that a value could be replaced by';
}

/** E_ARGUMENT where the spec asks for values that the files do not hold themselves, or the files are objects of a store. */
export function checkPlaceable(spec: DatasetSpec, paths: readonly string[]): void {
  const fail = (field: string, expected: string): never => {
    throw new SluiceError('E_ARGUMENT', `${field}: expected ${expected}`, { hint: 'or leave out dataset.source.inPlace' });
  };
  if (paths.some(isS3)) fail('dataset.source.path', 'files of this machine');
  for (const [name, form] of Object.entries(spec.columns)) {
    const problem = placementProblem(form);
    if (problem !== undefined) fail(`dataset.columns.${name}`, problem);
  }
  if ('classes' in spec.label && Array.isArray(spec.label.classes)) fail('dataset.label.classes', 'a number of classes');
  if ('format' in spec.time) fail('dataset.time', 'a column with a unit, or start and step');
}

export const staysInPlace = (part: SourcePart, state: PartState): boolean =>
  part.inPlace === true && (state.rows === 0 || state.order.sorted);

type PlacingStore = IngestStore & Required<Pick<IngestStore, 'appendFiles' | 'moveFiles' | 'fileSpans'>>;

/** The store, if it can take rows that stay in files. */
export function placeable(store: IngestStore): PlacingStore {
  if (store.appendFiles && store.moveFiles && store.fileSpans) return store as PlacingStore;
  throw new SluiceError('E_INTERNAL', 'this store takes no rows that stay in files');
}

/** The state of a part that begins. Whether its rows are in order of time is found while they are taken up. */
export async function beginPlaced(part: SourcePart, rowsBefore: number, spec: DatasetSpec): Promise<PartState> {
  return {
    fingerprint: part.fingerprint,
    content: null,
    rows: 0,
    skipped: 0,
    complete: false,
    sizes: {},
    order: await placedOrder(part, spec, rowsBefore),
  };
}

async function placedOrder(part: SourcePart, spec: DatasetSpec, rowsBefore: number): Promise<PartOrder> {
  const rows = part.rows ?? 0;
  if ('step' in spec.time) return madeOrder(part, rows, spec.time, rowsBefore);
  if (rows === 0) return { rows, sorted: true, firstMs: null, lastMs: null };
  return { rows, sorted: true, firstMs: await timeAt(part, spec, 0), lastMs: await timeAt(part, spec, rows - 1) };
}

async function timeAt(part: SourcePart, spec: DatasetSpec, row: number): Promise<number> {
  if ('step' in spec.time) throw new SluiceError('E_INTERNAL', 'made times are not read');
  for await (const batch of readPart(part, [spec.time.column], row)) {
    const one = { rows: 1, columns: Object.fromEntries(Object.entries(batch.columns).map(([name, values]) => [name, [values[0]]])) };
    return encodeTimes(one, spec, { part: part.name, firstRow: row })[0]!;
  }
  throw new SluiceError('E_CHANGED', `${part.name} ends before row ${row + 1}, which it had a moment ago`);
}

/** Appends what is missing of the part. Errors of Dataset.appendFiles(), and E_ABORTED between appends. */
export async function appendPlaced(part: SourcePart, begun: PartState, options: IngestOptions): Promise<void> {
  const { spec, signal, onProgress } = options;
  const store = placeable(options.store);
  const { rows, firstMs } = begun.order;
  const key = partKey(part.name);
  const batch = batchOf(part, spec);
  const most = rowsPerAppend(batch.files);
  for (let row = begun.rows; row < rows; ) {
    const count = Math.min(rows - row, most - (store.size() % chunkRows));
    const end = row + count;
    const lastMs = 'step' in spec.time ? (firstMs ?? 0) + (end - 1) * spec.time.step : await timeAt(part, spec, end - 1);
    const start = 'step' in spec.time ? (firstMs ?? 0) + row * spec.time.step : 0;
    const state = { [key]: JSON.stringify({ ...begun, rows: end, complete: end === rows }), ...lastMsEntry(lastMs) };
    await store.appendFiles({ ...batch, row, rows: count, time: { ...batch.time, start }, state }, signal);
    row = end;
    onProgress?.({ part: part.name, rowsDone: row, rowsTotal: rows, samples: store.size() });
  }
  if (rows === 0) await note(store, spec, { [key]: JSON.stringify({ ...begun, complete: true }) });
}

function rowsPerAppend(files: readonly { stride: number }[]): number {
  const rowBytes = files.reduce((sum, { stride }) => sum + stride, 0);
  return Math.max(chunkRows, Math.min(maxRows, Math.floor(maxBytes / rowBytes / chunkRows) * chunkRows));
}

/** Commits entries without samples. */
async function note(store: IngestStore, spec: DatasetSpec, state: Record<string, string>): Promise<void> {
  const columns = schemaOf(spec).columns.map((column) => emptyCells(column, 0));
  await store.append({ timestamps: new BigInt64Array(0), labels: new Float32Array(0), columns, state });
}

/** What all appends of the part share. Only files are named that hold something of use. */
function batchOf(part: SourcePart, spec: DatasetSpec): Omit<FileBatch, 'row' | 'rows' | 'state'> {
  const { files, fields } = part.place!;
  const needed = new Map(neededColumns(spec).map((name) => [name, fieldOf(part, fields, name)]));
  const used = [...new Set([...needed.values()].map(({ file }) => file))].sort((a, b) => a - b);
  const field = (name: string): FileField => {
    const { file, offset, type, shape, axes } = needed.get(name)!;
    return { file: used.indexOf(file), offset, type, shape, axes };
  };
  const { columns } = schemaOf(spec);
  for (const column of columns)
    checkElements(part, column, needed.get(column.name)!, Object.hasOwn(spec.columns, column.name) ? spec.columns[column.name]! : 'f32');
  const { label, time } = spec;
  const made = 'step' in time;
  return {
    part: part.name,
    files: used.map((index) => files[index]!),
    fields: columns.map(({ name }) => field(name)),
    label: { name: label.column, field: field(label.column), atLeast: 'atLeast' in label ? label.atLeast : null },
    time: {
      name: made ? '' : time.column,
      field: made ? null : field(time.column),
      ...(made || 'format' in time ? scales.ms : scales[time.unit]),
      start: 0,
      step: made ? time.step : 0,
    },
    codes: columns.map(({ name }) => codesOf(spec.columns[name]!, needed.get(name)!.cardinality)),
  };
}

function fieldOf(part: SourcePart, fields: Place['fields'], name: string): PlacedField {
  const field = fields.get(name);
  if (field) return field;
  const hint = `its columns are ${[...fields.keys()].slice(0, 50).join(', ')}`;
  throw new SluiceError('E_SOURCE', `${part.name}: there is no column '${name}'`, { hint });
}

/** A value of a column is one of its field, not some of its neighbours, too. */
function checkElements(part: SourcePart, column: Column, field: PlacedField, form: ColumnType): void {
  if (!isTensor(form) || field.axes.length > 0 || field.elements === cellLength(column)) return;
  throw new SluiceError(
    'E_SOURCE',
    `${part.name}: column '${column.name}': expected ${cellLength(column)} numbers, its field has ${field.elements}`,
  );
}

const codesOf = (form: ColumnType, cardinality = 0): number => {
  if (!isCodes(form)) return cardinality;
  return cardinality === 0 ? form.category : Math.min(form.category, cardinality);
};

type KnownPart = { part: SourcePart; state: PartState; move: FileMove; touched: boolean; stays: boolean };

/**
 * Brings what the dataset knows of files in place up to date: where they were moved or renamed with their folder, which their bytes
 * tell, or only touched. E_CHANGED for a file that has the name of a missing one but other bytes; a file that changed in its place is left
 * to checkUnchanged().
 */
export async function followFiles(parts: readonly SourcePart[], options: IngestOptions): Promise<void> {
  const { store, signal } = options;
  if (!parts.some(({ place }) => place) || store.fileSpans === undefined || store.moveFiles === undefined) return;
  const spans = store.fileSpans();
  if (spans.length === 0) return;
  const known = parts.flatMap((part) => knownPart(part, spans, store) ?? []);
  const moved = known.filter(({ stays }) => !stays);
  if (moved.length > 0) {
    const moves = moved.map(({ move }) => move);
    const other = await store.moveFiles(moves, false, signal);
    if (other !== undefined) throw otherBytes(other);
    for (const one of moved) await noteMove(one, options);
  }
  for (const one of known.filter(({ stays, touched }) => stays && touched))
    if ((await store.moveFiles([one.move], true, signal)) === undefined) await noteMove(one, options);
}

/** What is stored of a part with rows in files, under this name or an earlier one. */
function knownPart(part: SourcePart, spans: readonly FileSpan[], store: IngestStore): KnownPart | undefined {
  if (part.place === undefined) return undefined;
  const name = readPartState(store, part.name) === undefined ? earlierName(part, part.place, spans) : part.name;
  const span = spans.find((one) => one.part === name);
  const state = name === undefined ? undefined : readPartState(store, name);
  const paths = span && currentPaths(part.place, span);
  if (name === undefined || span === undefined || state === undefined || paths === undefined || part.rows !== state.order.rows)
    return undefined;
  const stays = name === part.name && span.files.every(({ path }, i) => path === paths[i]);
  return { part, state, move: { part: name, name: part.name, paths }, stays, touched: state.fingerprint !== part.fingerprint };
}

async function noteMove({ part, state, move }: KnownPart, { store, spec }: IngestOptions): Promise<void> {
  const now = JSON.stringify({ ...state, fingerprint: part.fingerprint });
  await note(store, spec, { ...(move.part === part.name ? {} : { [partKey(move.part)]: movedAway }), [partKey(part.name)]: now });
}

function otherBytes({ part, name }: FileMove): SluiceError {
  const hint = `bring the file back as it was; a file of other samples needs another name`;
  return new SluiceError(
    'E_CHANGED',
    `${name} seems to be ${part}, which samples of the dataset lie in and which is missing, but holds other bytes`,
    { hint },
  );
}

/** Where the files of a span are now, in its order: they keep their names. */
function currentPaths({ files }: Place, span: FileSpan): string[] | undefined {
  const paths = span.files.map(({ path }) => files.find((file) => basename(file.path) === basename(path))?.path);
  return paths.every((path) => path !== undefined) ? (paths as string[]) : undefined;
}

/** What a part without a state was called before it got this name: its files are the same, or are where they were no more. */
function earlierName(part: SourcePart, place: Place, spans: readonly FileSpan[]): string | undefined {
  const found = spans.find((span) => {
    const paths = currentPaths(place, span);
    const rows = spans.reduce((sum, other) => sum + (other.part === span.part ? other.rows : 0), 0);
    if (paths === undefined || rows > (part.rows ?? 0)) return false;
    return span.files.every(({ path }, i) => path === paths[i] || !existsSync(path));
  });
  return found?.part;
}
