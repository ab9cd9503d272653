// What is committed about a part in the transaction of its rows, and how a later run compares the part with it.
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { SluiceError } from '../errors.js';
import type { SourcePart } from './types.js';

const partState = z.strictObject({
  fingerprint: z.string(),
  /** See SourcePart.contentHash(); null where the source has none. */
  content: z.string().nullable(),
  /** Rows that are in the dataset or were left out, in the order in which they are appended. */
  rows: z.int().min(0),
  /** Those of them that were left out: see IngestResult. */
  skipped: z.int().min(0).default(0),
  complete: z.boolean(),
  /** Sizes of the dictionaries of frequent values when the part was begun, by column. */
  sizes: z.record(z.string(), z.int().min(0)).default({}),
  /** See PartOrder; found once, when the part is begun. */
  order: z.strictObject({ rows: z.int().min(0), sorted: z.boolean(), firstMs: z.number().nullable(), lastMs: z.number().nullable() }),
});

export type PartState = z.output<typeof partState>;

export type StateReader = { state(key: string): string | null };

const maxPlainKey = 400;
const lastMsKey = 'last-ms';
/** In place of the state of a part whose files have another name now. */
export const movedAway = '';

/** Keys have at most 500 bytes: of a longer name its end and its hash are used. */
export function partKey(name: string): string {
  if (Buffer.byteLength(name) <= maxPlainKey) return `part:${name}`;
  return `part:${createHash('sha256').update(name).digest('hex')}:${name.slice(-50)}`;
}

/** What is stored of a part; undefined before its first rows are in. E_CORRUPT. */
export function readPartState(store: StateReader, name: string): PartState | undefined {
  const stored = store.state(partKey(name));
  if (stored === null || stored === movedAway) return undefined;
  try {
    return partState.parse(JSON.parse(stored));
  } catch (error) {
    const hint = 'remove the dataset and ingest it again';
    throw new SluiceError('E_CORRUPT', `the dataset's record of ${name} cannot be read`, { hint, cause: error });
  }
}

/** Time of the newest sample, milliseconds; undefined while the dataset is empty. */
export function readLastMs(store: StateReader): number | undefined {
  const stored = store.state(lastMsKey);
  return stored === null ? undefined : Number(stored);
}

export function lastMsEntry(lastMs: number): Record<string, string> {
  return { [lastMsKey]: String(lastMs) };
}

/** E_CHANGED where the part is not what it was when it was begun. A file that was copied or touched only is the same. */
export async function checkUnchanged(part: SourcePart, state: PartState): Promise<void> {
  if (state.fingerprint === part.fingerprint) return;
  if (state.content !== null && state.content === (await part.contentHash?.())) return;
  const message = `${part.name} has changed since it was ingested (${state.rows} of its ${state.order.rows} rows are in the dataset)`;
  const hint =
    'bring the earlier file back and put new rows into a file of their own; or remove the dataset, or name another one, to ingest it anew';
  throw new SluiceError('E_CHANGED', message, { hint });
}
