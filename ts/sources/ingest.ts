// From a source to the samples of a dataset. Progress and dictionaries are committed in the transaction of the rows
// that they belong to: a stop at any instant loses nothing and doubles nothing.
import { SluiceError } from '../errors.js';
import type { Batch } from '../native/types.js';
import { csvPart } from './csv.js';
import { Dictionary } from './dictionary.js';
import { encode } from './encode.js';
import { inOrder, orderOf, type PartOrder, placeOf } from './order.js';
import { parquetPart } from './parquet.js';
import { resolveFiles } from './paths.js';
import type { DatasetSpec, FileSource } from './spec.js';
import type { Source, SourcePart } from './types.js';

export { schemaOf } from './encode.js';
export type { DatasetSpec } from './spec.js';

/** What ingestion needs of a dataset. */
export type IngestStore = {
  size(): number;
  state(key: string): string | null;
  append(batch: Batch): Promise<number>;
};

export type IngestProgress = { part: string; rowsDone: number; rowsTotal?: number | undefined; samples: number };

export type IngestOptions = {
  store: IngestStore;
  source: Source;
  spec: DatasetSpec;
  signal?: AbortSignal;
  onProgress?: (progress: IngestProgress) => void;
};

export type IngestResult = { appended: number; total: number; parts: number };

/** What is kept of a part, as JSON under `part:<name>`. */
type PartState = { fingerprint: string; rows: number; complete: boolean; sorted: boolean; firstMs: number; total: number };

/** The source that a pipeline's dataset section names by files. */
export async function openSource(config: { id: string; source?: FileSource }, pipelineDir: string): Promise<Source> {
  if (config.source === undefined) throw new SluiceError('E_SOURCE', `dataset ${config.id} names no source`);
  const { format, path } = config.source;
  const files = resolveFiles(path, pipelineDir);
  return { parts: async () => Promise.all(files.map((file) => (format === 'parquet' ? parquetPart(file) : csvPart(file)))) };
}

/**
 * Appends what the store lacks of the source, in order of time: parts by their first sample, rows by (time, row).
 * E_CHANGED when a part that was begun has changed since; E_SOURCE, E_NOT_FINITE, E_LABEL_RANGE name file, row and
 * value; E_ABORTED, and the errors of append().
 */
export async function ingest(options: IngestOptions): Promise<IngestResult> {
  const before = options.store.size();
  const parts = await options.source.parts();
  for (const part of parts) checkUnchanged(options.store, part);
  const open = parts.filter((part) => !stateOf(options.store, part)?.complete);
  const orders: PartOrder[] = [];
  for (const part of open) orders.push(await knownOrder(part, options));
  orders.sort((a, b) => a.firstMs - b.firstMs);
  const dictionaries = openDictionaries(options);
  for (const order of orders) await ingestPart(order, dictionaries, options);
  const total = options.store.size();
  return { appended: total - before, total, parts: parts.length };
}

function stateOf(store: IngestStore, part: SourcePart): PartState | undefined {
  const stored = store.state(stateKey(part));
  return stored === null ? undefined : (JSON.parse(stored) as PartState);
}

/** Keys are short in the store; a long name is kept by its end and its length. */
function stateKey(part: SourcePart): string {
  return `part:${Buffer.byteLength(part.name) <= 400 ? part.name : `${part.name.length}:${part.name.slice(-100)}`}`;
}

function checkUnchanged(store: IngestStore, part: SourcePart): void {
  const state = stateOf(store, part);
  if (state === undefined || state.fingerprint === part.fingerprint) return;
  throw new SluiceError('E_CHANGED', `${part.name} has changed since ${state.rows} of its rows were ingested`, {
    hint: 'give the changed file another name to add it, or remove the dataset to ingest it again',
  });
}

/** The order that was found when the part was begun: finding it again could only cost time. */
async function knownOrder(part: SourcePart, options: IngestOptions): Promise<PartOrder> {
  const state = stateOf(options.store, part);
  if (state !== undefined) return { part, firstMs: state.firstMs, rows: state.total, sorted: state.sorted };
  return orderOf(part, options.spec, options.signal);
}

function openDictionaries({ store, spec }: IngestOptions): Map<string, Dictionary> {
  const categories = Object.entries(spec.columns).filter(([, type]) => type === 'category');
  return new Map(categories.map(([name]) => [name, new Dictionary(name, store.state(`dict:${name}`))]));
}

async function ingestPart(order: PartOrder, dictionaries: Map<string, Dictionary>, options: IngestOptions): Promise<void> {
  const { store, spec } = options;
  const { part } = order;
  let rows = stateOf(store, part)?.rows ?? 0;
  let samples = store.size();
  let appending: Promise<unknown> = Promise.resolve();
  const commit = (batch: Omit<Batch, 'state'>, complete: boolean) => {
    const state: PartState = { fingerprint: part.fingerprint, rows, complete, sorted: order.sorted, firstMs: order.firstMs, total: order.rows };
    return store.append({ ...batch, state: { [stateKey(part)]: JSON.stringify(state), ...grownDictionaries(dictionaries) } });
  };
  try {
    // While one batch is being written the next one is decoded and encoded.
    for await (const records of inOrder(order, spec, rows)) {
      if (options.signal?.aborted) throw new SluiceError('E_ABORTED', `stopped on request after ${rows} rows of ${part.name}; ingesting again goes on there`);
      const batch = encode(records, spec, dictionaries, placeOf(part, spec, rows));
      await appending;
      rows += records.rows;
      samples += records.rows;
      appending = commit(batch, false);
      appending.catch(() => {}); // awaited at the next turn
      options.onProgress?.({ part: part.name, rowsDone: rows, rowsTotal: order.rows, samples });
    }
  } finally {
    await appending;
  }
  // No rows: only the state is committed.
  await commit(encode({ rows: 0, columns: {} }, spec, dictionaries, placeOf(part, spec, rows)), true);
}

function grownDictionaries(dictionaries: Map<string, Dictionary>): Record<string, string> {
  const grown = [...dictionaries.values()].filter((dictionary) => dictionary.grown);
  return Object.fromEntries(grown.map((dictionary) => [`dict:${dictionary.column}`, dictionary.store()]));
}
