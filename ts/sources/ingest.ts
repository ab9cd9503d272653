// From a source to the samples of a dataset. Progress and dictionaries are committed in the transaction of the rows that
// they belong to: a stop at any moment loses nothing and doubles nothing.
import { SluiceError } from '../errors.js';
import { Appender, type IngestStore } from './appender.js';
import { countEntries, dictionaryEntries, openCoders, sizesOf, tokenizerEntries } from './coders.js';
import type { Coders } from './encode.js';
import { appendPlaced, beginPlaced, followFiles, staysInPlace } from './in-place.js';
import { encodedInOrder, orderOf } from './order.js';
import { checkUnchanged, type PartState, partKey, readLastMs, readPartState } from './progress.js';
import { partsOf } from './read.js';
import type { DatasetSpec } from './spec.js';
import { openTokenizers } from './tokens.js';
import type { Source, SourcePart } from './types.js';

export type { IngestStore } from './appender.js';
export { definitionOf, schemaOf } from './forms.js';
export { openSource } from './open.js';
export type { DatasetSpec, SourceSpec } from './spec.js';

/** `rowsDone` of `rowsTotal` rows of the part are read; `samples`: of the dataset, on their way included. */
export type IngestProgress = { part: string; rowsDone: number; rowsTotal?: number; samples: number };

export type IngestOptions = {
  store: IngestStore;
  source: Source;
  spec: DatasetSpec;
  /** What the paths of tokenizers are relative to. Default: the working directory. */
  folder?: string;
  signal?: AbortSignal;
  onProgress?: (progress: IngestProgress) => void;
  /** Those of a SharedStore, which commits their growth itself. Default: the store's own. */
  coders?: Coders;
  /** Takes parts that begin before the newest sample, too: in production samples are in the order in which they arrived. */
  late?: boolean;
};

/** Samples appended now, samples in all, parts of the source, and its samples left out because a picture could not be decoded. */
export type IngestResult = { appended: number; total: number; parts: number; skipped: number };

/** A part that is not complete yet. */
type OpenPart = { part: SourcePart; state: PartState };

/**
 * Appends what the store lacks of the source, in order of time: parts by their first sample, the rows of a part by
 * (time, row). Running it again goes on at the next row. E_CHANGED where a part that was begun is another one now;
 * E_SOURCE, E_NOT_FINITE and E_LABEL_RANGE name part, column, row and value, and the batches before it stay appended;
 * E_ABORTED between batches; and the errors of append().
 */
export async function ingest(options: IngestOptions): Promise<IngestResult> {
  const { store, source, spec } = options;
  const before = store.size();
  const parts = await partsOf(source);
  const open = await openParts(parts, options);
  if (!options.late) checkOrder(open, store);
  const coders =
    options.coders ?? openCoders(store, spec, await openTokenizers(spec.columns, options.folder ?? process.cwd()), open[0]?.state);
  const appender = new Appender(store, spec, () => (options.coders === undefined ? dictionaryEntries(coders) : {}));
  for (const [key, value] of Object.entries(tokenizerEntries(coders, store))) appender.note(key, value);
  try {
    for (const { part, state } of open) {
      if (!staysInPlace(part, state)) await appendPart({ part, state }, coders, appender, options);
      else {
        await appender.flush();
        await appender.settled();
        await appendPlaced(part, state, options);
      }
    }
    await appender.flush();
    await appender.settled();
  } finally {
    // After an error, too, nothing must be under way any more; the first error is the one to tell.
    await appender.settled().catch(() => {});
  }
  const total = store.size();
  const skipped = parts.reduce((sum, part) => sum + (readPartState(store, part.name)?.skipped ?? 0), 0);
  return { appended: total - before, total, parts: parts.length, skipped };
}

/** The parts that are not complete, in the order in which they are appended. */
async function openParts(parts: SourcePart[], options: IngestOptions): Promise<OpenPart[]> {
  const open: OpenPart[] = [];
  let rowsBefore = 0;
  await followFiles(parts, options);
  for (const part of parts) {
    checkStopped(options, part.name);
    const stored = readPartState(options.store, part.name);
    if (stored) await checkUnchanged(part, stored);
    const state = stored ?? (await begin(part, rowsBefore, options));
    if (!state.complete) open.push({ part, state });
    rowsBefore += state.order.rows;
  }
  // A part that was begun comes first, then those without rows, then by time.
  const rank = ({ state }: OpenPart) => (state.rows > 0 ? Number.NEGATIVE_INFINITY : (state.order.firstMs ?? Number.MIN_SAFE_INTEGER));
  return open.sort((a, b) => (rank(a) < rank(b) ? -1 : rank(a) > rank(b) ? 1 : 0));
}

async function begin(part: SourcePart, rowsBefore: number, options: IngestOptions): Promise<PartState> {
  if (part.inPlace) return await beginPlaced(part, rowsBefore, options.spec);
  const content = (await part.contentHash?.()) ?? null;
  const order = await orderOf(part, options.spec, rowsBefore, () => checkStopped(options, part.name));
  return { fingerprint: part.fingerprint, content, rows: 0, skipped: 0, complete: false, sizes: {}, order };
}

/** A dataset is in order of time: what comes must not be older than what is there. */
function checkOrder(open: OpenPart[], store: IngestStore): void {
  let last = readLastMs(store) ?? Number.NEGATIVE_INFINITY;
  let lastName = 'the newest sample of the dataset';
  for (const { part, state } of open) {
    const { firstMs, lastMs } = state.order;
    if (firstMs === null || lastMs === null) continue;
    if (state.rows === 0 && firstMs < last) {
      const hint = 'merge files whose times overlap into one, or remove the dataset to ingest all files in their order of time';
      throw new SluiceError('E_SOURCE', `${part.name} begins at ${isoTime(firstMs)}, before ${lastName} at ${isoTime(last)}`, { hint });
    }
    last = lastMs;
    lastName = `the end of ${part.name}`;
  }
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

async function appendPart({ part, state: begun }: OpenPart, coders: Coders, appender: Appender, options: IngestOptions): Promise<void> {
  const key = partKey(part.name);
  let { rows, skipped } = begun;
  const state = rows > 0 ? begun : { ...begun, sizes: sizesOf(coders) };
  // Where values are counted, the rows that are in the dataset already are counted again.
  let counted = coders.frequencies.size > 0 ? rows : 0;
  for await (const encoded of encodedInOrder({ part, order: state.order, spec: options.spec, coders }, rows - counted)) {
    checkStopped(options, part.name);
    let at = Math.min(counted, encoded.labels.length);
    for (counted -= at; at < encoded.labels.length; ) {
      const taken = appender.take(encoded, at);
      for (const dropped of encoded.dropped?.subarray(at, at + taken) ?? []) skipped += dropped;
      at += taken;
      rows += taken;
      if (!appender.full) continue;
      appender.note(key, JSON.stringify({ ...state, rows, skipped }));
      await appender.flush();
    }
    options.onProgress?.({ part: part.name, rowsDone: rows, rowsTotal: state.order.rows, samples: appender.samples });
  }
  appender.note(key, JSON.stringify({ ...state, rows, skipped, complete: true }));
  for (const [entry, value] of Object.entries(countEntries(coders))) appender.note(entry, value);
}

function checkStopped({ signal }: IngestOptions, part: string): void {
  if (!signal?.aborted) return;
  throw new SluiceError('E_ABORTED', `stopped on request at ${part}`, {
    hint: 'run the command again to go on there',
    cause: signal.reason,
  });
}
