// Cuts encoded rows into batches that end where the index's chunks end, and appends one while the next is filled.
import type { Batch, Column, FileBatch, FileMove, FileSpan } from '../native/types.js';
import { cellLength, emptyCells, recordBytes } from './cells.js';
import type { Encoded } from './encode.js';
import { schemaOf } from './forms.js';
import { lastMsEntry } from './progress.js';
import type { DatasetSpec } from './spec.js';

/** What ingestion needs of a dataset; Dataset of ts/native has it. */
export type IngestStore = {
  /** Number of samples. */
  size(): number;
  /** An entry stored beside the samples, or null. */
  state(key: string): string | null;
  /** Appends rows and entries durably, or nothing. The arrays are not changed afterwards. */
  append(batch: Batch): Promise<number>;
  /** Those of Dataset; a store that lacks them takes no rows that stay in their files. */
  appendFiles?(batch: FileBatch, signal?: AbortSignal): Promise<number>;
  moveFiles?(moves: readonly FileMove[], whole: boolean, signal?: AbortSignal): Promise<FileMove | undefined>;
  fileSpans?(): FileSpan[];
};

/** Rows of a chunk of the index. */
const chunkRows = 65_536;
/** Large samples fill a batch sooner: two batches are in memory at a time, and once more in the core. */
const maxBatchBytes = 2 ** 25;

export class Appender {
  /** Samples in the store and on their way into it. */
  samples: number;
  readonly #columns: readonly Column[];
  /** A power of two, so that the last batch of a chunk ends with it. */
  readonly #rowsPerBatch: number;
  #rows: Encoded;
  #filled = 0;
  /** Arrival of the newest row that was taken. */
  #lastMs = 0;
  #state: Record<string, string> = {};
  #appending: Promise<unknown> = Promise.resolve();

  /** `dictionaryEntries` gives what the dictionaries gained since it was last called. */
  constructor(
    private readonly store: IngestStore,
    spec: DatasetSpec,
    private readonly dictionaryEntries: () => Record<string, string>,
  ) {
    this.samples = store.size();
    this.#columns = schemaOf(spec).columns;
    this.#rowsPerBatch = chunkRows;
    while (this.#rowsPerBatch > 1 && this.#rowsPerBatch * recordBytes(this.#columns) > maxBatchBytes) this.#rowsPerBatch /= 2;
    this.#rows = this.#emptyBatch();
  }

  /** Adds rows of `encoded` from `first` on until the batch is full, and returns how many it used up: dropped ones, too. */
  take(encoded: Encoded, first: number): number {
    const rows = encoded.labels.length;
    const { dropped } = encoded;
    let at = first;
    while (at < rows && !this.full) {
      if (dropped?.[at] === 1) {
        at++;
        continue;
      }
      const next = dropped?.indexOf(1, at) ?? -1;
      const end = Math.min(next < 0 ? rows : next, at + this.#rows.labels.length - this.#filled);
      this.#copy(encoded, at, end);
      at = end;
    }
    return at - first;
  }

  #copy(encoded: Encoded, first: number, end: number): void {
    this.#rows.timestamps.set(encoded.timestamps.subarray(first, end), this.#filled);
    this.#rows.labels.set(encoded.labels.subarray(first, end), this.#filled);
    for (const [c, cells] of encoded.columns.entries()) {
      const length = cellLength(this.#columns[c]!);
      this.#rows.columns[c]!.set(cells.subarray(first * length, end * length), this.#filled * length);
    }
    this.#lastMs = Number((encoded.labelledMs ?? encoded.timestamps)[end - 1]);
    this.#filled += end - first;
    this.samples += end - first;
  }

  /** An entry that is true once the rows taken so far are in. */
  note(key: string, value: string): void {
    this.#state[key] = value;
  }

  get full(): boolean {
    return this.#filled === this.#rows.labels.length;
  }

  /** Begins to append what was taken; waits for the append before it only. */
  async flush(): Promise<void> {
    await this.#appending;
    if (this.#filled === 0 && Object.keys(this.#state).length === 0) return;
    const { timestamps, labels, columns } = this.#rows;
    const [filled, noted] = [this.#filled, this.#state];
    const last = filled === 0 ? {} : lastMsEntry(this.#lastMs);
    const batch: Batch = {
      timestamps: timestamps.subarray(0, filled),
      labels: labels.subarray(0, filled),
      columns: columns.map((cells, c) => cells.subarray(0, filled * cellLength(this.#columns[c]!))),
      state: { ...noted, ...last, ...this.dictionaryEntries() },
    };
    this.#rows = this.#emptyBatch();
    this.#filled = 0;
    this.#state = {};
    this.#appending = this.store.append(batch);
    // It is awaited later; a rejection in between must not count as unhandled.
    this.#appending.catch(() => {});
  }

  /** Waits until all that was flushed is in. */
  async settled(): Promise<void> {
    await this.#appending;
  }

  #emptyBatch(): Encoded {
    const rows = this.#rowsPerBatch - (this.samples % this.#rowsPerBatch);
    const columns = this.#columns.map((column) => emptyCells(column, rows));
    return { timestamps: new BigInt64Array(rows), labels: new Float32Array(rows), columns };
  }
}
