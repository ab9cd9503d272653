// What a triggering policy saw in production, in order: the borders of arrival batches, and the trainings that it was told of. Replayed, it
// leads the policy to the same decisions.
import type { Journal } from './journal.js';

/** A batch ends before the key `end`; or the policy was told of the training of the trigger `trained`. */
export type TraceEntry = { end: number } | { trained: number };

/** Entries of a page: what is written again with each entry stays small. */
const pageEntries = 512;

/** A whole number: `end`, or -1 - `trained`. */
type Stored = number;

/** The recorded trace of a pipeline; empty when there is none. */
export function* readTrace(journal: Journal, pipeline: string): Generator<TraceEntry> {
  for (let page = 0; ; page++) {
    const entries = journal.tracePage(pipeline, page);
    if (entries === undefined) return;
    for (const entry of entries) yield entry >= 0 ? { end: entry } : { trained: -1 - entry };
  }
}

/** The key behind the last sample of a trace. */
export function traceEnd(journal: Journal, pipeline: string): number {
  for (let page = journal.lastTracePage(pipeline); page >= 0; page--) {
    const end = journal.tracePage(pipeline, page)?.findLast((entry) => entry >= 0);
    if (end !== undefined) return end;
  }
  return 0;
}

/** Adds entries at the end of a trace. What pages() returns must be journalled before anything that follows from the entries counts. */
export class TraceWriter {
  #page: number;
  #entries: Stored[];
  readonly #full: [page: number, entries: Stored[]][] = [];

  constructor(journal: Journal, pipeline: string) {
    this.#page = Math.max(0, journal.lastTracePage(pipeline));
    this.#entries = [...(journal.tracePage(pipeline, this.#page) ?? [])];
  }

  push(entry: TraceEntry): void {
    if (this.#entries.length === pageEntries) {
      this.#full.push([this.#page, this.#entries]);
      this.#page++;
      this.#entries = [];
    }
    this.#entries.push('end' in entry ? entry.end : -1 - entry.trained);
  }

  /** The pages that changed since the last call. */
  pages(): [page: number, entries: Stored[]][] {
    return [...this.#full.splice(0), [this.#page, [...this.#entries]]];
  }
}
