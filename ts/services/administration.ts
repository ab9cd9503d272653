// What an operator asks of a dataset: samples to be deleted, and their bytes to be taken off the disk. A process in production answers it by HTTP,
// with a token of its own, and through a socket in the data folder (control.ts).
import { rm } from 'node:fs/promises';
import { z } from 'zod';
import { SluiceError } from '../errors.js';
import type { Dataset } from '../native/dataset.js';
import type { CompactReport } from '../native/types.js';
import { affectedModels } from '../pipeline/affected.js';
import { filterOf } from '../pipeline/condition.js';
import { timesOf, type WhatWaits } from '../pipeline/delete-waiting.js';
import type { OnEvent } from '../pipeline/events.js';
import { asSluiceError, type Folders } from '../pipeline/folders.js';
import type { Journal } from '../pipeline/journal.js';

const wanted = z.strictObject({
  keys: z.string().optional().describe('Keys and ranges, both ends included: 5,10-20.'),
  where: z.string().optional().describe('Comparisons of time, label and key: time < 2020-01-01 and label = 1.'),
  label: z.union([z.string(), z.number()]).optional().describe('Samples of this label.'),
  ids: z.string().optional().describe('Ids of samples that wait for their labels, a-17,a-18; nothing else goes with it.'),
  reason: z.string().default('').describe('Stands in the audit log; at most 1,000 bytes.'),
});

/** Which samples to delete; all that is given must hold. */
export type Wanted = z.input<typeof wanted>;
/** `models`: those that were trained on one of the samples, or began from one that was. */
export type Deleted = {
  dataset: string;
  samples: number;
  models: string[];
  /** Samples that waited for their labels; they are in no dataset. */
  waiting: number;
};
/** Deletes samples that wait for their labels, and resolves with how many there were. */
export type RemoveWaiting = (what: WhatWaits) => Promise<number>;
export type Compacted = CompactReport & { dataset: string };

export const administrationPaths = ['/v1/delete', '/v1/compact'] as const;
export type AdministrationPath = (typeof administrationPaths)[number];
export const isAdministration = (path: string): path is AdministrationPath => administrationPaths.some((known) => known === path);

const maxIdBytes = 256;

/** E_USAGE for what cannot be asked for. */
export function checkWanted({ ids, keys, where, label }: Wanted): void {
  if (ids === undefined) return void filterOf({ keys, where, label });
  if (keys !== undefined || where !== undefined || label !== undefined)
    throw new SluiceError('E_USAGE', 'ids name samples that wait for their labels; keys, where and label do not go with them');
  if (idsOf(ids).some((id) => id === '' || Buffer.byteLength(id) > maxIdBytes))
    throw new SluiceError('E_USAGE', `ids: expected ids of 1 to ${maxIdBytes} bytes`);
}

const idsOf = (text: string) => text.split(',').map((id) => id.trim());

/** Deletes samples of an open dataset; durable when it resolves. `journal`: of its data folder. E_USAGE, E_ARGUMENT, E_READ_ONLY, E_NO_SPACE. */
export async function deleteWanted(
  dataset: Dataset,
  place: { id: string; folders: Folders; journal: Journal | undefined; removeWaiting: RemoveWaiting },
  wanted: Wanted,
  signal: AbortSignal | undefined,
): Promise<Deleted> {
  const { id, folders, journal, removeWaiting } = place;
  const { reason = '', ids, ...given } = wanted;
  checkWanted(wanted);
  if (ids !== undefined)
    return { dataset: id, samples: 0, models: [], waiting: await removeWaiting({ times: undefined, ids: idsOf(ids) }) };
  const filter = filterOf(given);
  // First, since one that gets its label meanwhile is found below.
  const waiting = await removeWaiting({ times: timesOf(filter), ids: [] });
  using snapshot = dataset.snapshot({ leaseMs: 0 });
  const found = await snapshot.findRanges(filter, signal);
  const samples = await dataset.delete(found, reason);
  const models = samples === 0 || journal === undefined ? [] : await affectedModels(journal, folders, id, found);
  return { dataset: id, samples, models: models.map(({ modelId }) => modelId), waiting };
}

/** Blocks of objects that were read may hold samples that are deleted: which, nothing tells. E_IO, E_READ_ONLY. */
export async function forgetReadObjects(folders: Folders): Promise<void> {
  await rm(folders.cache, { recursive: true, force: true }).catch((error: unknown) => {
    throw asSluiceError(error, `remove ${folders.cache}`);
  });
}

type AdministrationOptions = {
  dataset: Dataset;
  id: string;
  folders: Folders;
  journal: Journal;
  removeWaiting: RemoveWaiting;
  onEvent: OnEvent;
  /** Aborts when production mode is to end. */
  signal: AbortSignal;
};

export class Administration {
  readonly #options: AdministrationOptions;
  #compacting: Promise<unknown> = Promise.resolve();
  readonly #underWay = new Set<Promise<object>>();

  constructor(options: AdministrationOptions) {
    this.#options = options;
  }

  /** Does what is asked for. `body`: as it was sent; `gone` aborts when nobody waits for the answer any more. E_ARGUMENT, E_ABORTED, and as above. */
  async answer(path: AdministrationPath, body: Buffer, gone: AbortSignal): Promise<object> {
    const signal = AbortSignal.any([gone, this.#options.signal]);
    const work = path === '/v1/delete' ? this.#delete(body, signal) : this.#compact(signal);
    this.#underWay.add(work);
    return await work.finally(() => this.#underWay.delete(work));
  }

  /** Waits for what is under way. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#underWay);
  }

  async #delete(body: Buffer, signal: AbortSignal): Promise<Deleted> {
    const { dataset, onEvent } = this.#options;
    const request = parseWanted(body);
    const deleted = await deleteWanted(dataset, this.#options, request, signal);
    if (deleted.samples + deleted.waiting > 0) onEvent({ type: 'deleted', ...deleted, reason: request.reason ?? '' });
    return deleted;
  }

  /** One after the other. */
  async #compact(signal: AbortSignal): Promise<Compacted> {
    const { dataset, id, folders, onEvent } = this.#options;
    const compacted = this.#compacting.then(() => dataset.compact({ signal }));
    this.#compacting = compacted.catch(() => {});
    const report = { dataset: id, ...(await compacted) };
    await forgetReadObjects(folders);
    onEvent({ type: 'compacted', ...report });
    return report;
  }
}

function parseWanted(body: Buffer): Wanted {
  const expected = 'expected a JSON object such as {"where": "time < 2020-01-01", "reason": "…"}';
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch (error) {
    throw new SluiceError('E_USAGE', `${expected}: ${(error as Error).message}`);
  }
  const parsed = wanted.safeParse(value);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0] ?? { path: [], message: expected };
  throw new SluiceError('E_USAGE', `${path.join('.')}${path.length > 0 ? ': ' : ''}${message}`, { hint: expected });
}
