// Deletion of samples that wait for their labels. They have no keys yet: they are named by time, or by their ids.
import { existsSync } from 'node:fs';
import { SluiceError } from '../errors.js';
import type { Dataset } from '../native/dataset.js';
import type { Comparison, SampleFilter } from '../native/types.js';
import { Waiting } from '../native/waiting.js';

/** State entry of a dataset: the last event of the log whose rows it has. */
export const lateStateKey = 'late-labels';

/** Times from `fromMs` up to, without, `untilMs`. */
export type TimeRange = { fromMs: number; untilMs: number };

/** Samples that wait: all of these times, and those with these ids. */
export type WhatWaits = { times: TimeRange | undefined; ids: readonly string[] };

const anyTime = { fromMs: -8.64e15, untilMs: 8.64e15 };

/** The times that a filter names where it names nothing else: samples without label and key can only fulfil such a one. */
export function timesOf({ keys, labels, where: all = [] }: SampleFilter): TimeRange | undefined {
  if (
    keys !== undefined ||
    labels !== undefined ||
    all.length === 0 ||
    all.some(({ field, operator }) => field !== 'time' || operator === '!=')
  )
    return undefined;
  return all.reduce((range, comparison) => narrowed(range, comparison), anyTime);
}

function narrowed({ fromMs, untilMs }: TimeRange, { operator, value }: Comparison): TimeRange {
  const [least, beyond] = [Math.ceil(value), Math.floor(value) + 1];
  const from = operator === '>' ? beyond : operator === '>=' || operator === '=' ? least : fromMs;
  const until = operator === '<' ? least : operator === '<=' || operator === '=' ? beyond : untilMs;
  return { fromMs: Math.max(fromMs, from), untilMs: Math.min(untilMs, until) };
}

/**
 * Deletes waiting samples of the dataset, which is open for writing, and resolves with how many there were; 0 where none can wait. E_CHANGED while
 * production has to go on first: it was killed, and labels that arrived are not in the dataset yet.
 */
export async function deleteWaiting(dataset: Dataset, folder: string, what: WhatWaits): Promise<number> {
  if (!existsSync(folder)) return 0;
  const waiting = await Waiting.open(folder, dataset.info().schema, Number(dataset.state(lateStateKey) ?? 0));
  try {
    await settle(waiting, dataset);
    const before = waiting.counts().removed;
    const now = Date.now();
    for (const id of what.ids) {
      await waiting.removeId(now, id);
      await settle(waiting, dataset);
    }
    if (what.times !== undefined && what.times.fromMs < what.times.untilMs) {
      await waiting.removeTimes(now, what.times.fromMs, what.times.untilMs);
      await settle(waiting, dataset);
    }
    await waiting.checkpoint();
    return waiting.counts().removed - before;
  } finally {
    waiting.close();
  }
}

async function settle(waiting: Waiting, dataset: Dataset): Promise<void> {
  for (let more = true; more; ) {
    const settled = await waiting.take();
    if (settled.labels.length > 0 || settled.answers.length > 0) {
      const hint = 'start it and stop it by Ctrl-C, then delete';
      throw new SluiceError('E_CHANGED', 'production was killed, and has labels that are not in the dataset yet', { hint });
    }
    if (settled.through > Number(dataset.state(lateStateKey) ?? 0)) dataset.setState(lateStateKey, String(settled.through));
    await waiting.applied(settled.through);
    more = settled.more;
  }
}
