// A dataset on disk and consistent read views of it.
import { SluiceError } from '../errors.js';
import { native, stoppable } from './call.js';
import type { Addon, DatasetHandle, RawSampleFilter, SnapshotHandle, StopHandle } from './raw.js';
import { flatRanges, rangesOf } from './ranges.js';
import type {
  Batch,
  CheckProgress,
  CheckReport,
  CompactProgress,
  CompactReport,
  DatasetInfo,
  Deletion,
  FileBatch,
  FileMove,
  FileSpan,
  KeyRange,
  LabelStatistics,
  SampleFilter,
  Schema,
} from './types.js';

export type SnapshotOptions = {
  /**
   * A snapshot that was not asked for anything for so long is closed, ms: a forgotten one would keep the index from
   * ever reusing a page. Reading from a view does not count. 0: never. Default 60,000.
   */
  leaseMs?: number;
};

export type CheckOptions = {
  /** Mend what can be mended. Default: only look. */
  repair?: boolean;
  signal?: AbortSignal | undefined;
  /** Called at most 20 times a second. */
  onProgress?: ((progress: CheckProgress) => void) | undefined;
};

export type CompactOptions = {
  /**
   * Take records that lie in files in place into segments of our own where samples among them were deleted: so that the files can be
   * removed, or changed. Default: they stay where they are.
   */
  copy?: boolean;
  signal?: AbortSignal | undefined;
  /** Called at most 20 times a second. */
  onProgress?: ((progress: CompactProgress) => void) | undefined;
};

const defaultLeaseMs = 60_000;
/** setTimeout's largest delay; beyond it fires at once. */
const maxLeaseMs = 2 ** 31 - 1;

/** Samples in the order of their arrival: sample k is the k-th that was appended. One process writes at a time. */
export class Dataset {
  /** For ts/native only. */
  readonly handle: DatasetHandle;

  private constructor(handle: DatasetHandle) {
    this.handle = handle;
  }

  /** Creates an empty dataset in the folder `path`. E_EXISTS if it holds one, E_ARGUMENT, E_IO, E_NO_SPACE, E_READ_ONLY. */
  static create(path: string, schema: Schema): Dataset {
    return new Dataset(native((addon) => addon.dataset_create(path, schema)));
  }

  /** Opens the dataset in the folder `path`. E_NOT_FOUND, E_CORRUPT, E_LOCKED when another process writes to it. */
  static open(path: string, options: { readOnly?: boolean } = {}): Dataset {
    return new Dataset(native((addon) => addon.dataset_open(path, options.readOnly ?? false)));
  }

  /**
   * Reads every byte of the dataset in the folder `path`, whatever its state, on a thread of its own, and resolves with what
   * is damaged. With `repair` the index is made anew from the segments, and heads, columns and the state log from the
   * index, where they can be; what cannot be repaired stays as it is. E_NOT_FOUND, E_LOCKED (a repair, while another process
   * writes), E_ABORTED, E_IO, E_NO_SPACE, E_READ_ONLY; E_CORRUPT only for a dataset of another version.
   */
  static check(path: string, options: CheckOptions = {}): Promise<CheckReport> {
    const onProgress = options.onProgress ?? (() => {});
    return stoppable(options.signal, (addon, stop) => addon.dataset_check(path, options.repair ?? false, stop, onProgress));
  }

  /**
   * Takes deleted samples out of the bytes in the folder `path`: segments that hold some are written anew with zeros in their
   * place, the index and the values of samples without their free pages (values that somebody has open stay: valuesInUse). Readers that are open go on; a kill at any moment leaves the old files or the
   * new ones. E_NOT_FOUND, E_LOCKED (while another process writes), E_CORRUPT (check and repair first), E_ABORTED (between
   * segments), E_IO, E_NO_SPACE, E_READ_ONLY; with `copy` E_NOT_FOUND and E_CORRUPT for the files.
   */
  static compact(path: string, options: CompactOptions = {}): Promise<CompactReport> {
    const onProgress = options.onProgress ?? (() => {});
    return stoppable(options.signal, (addon, stop) => addon.dataset_compact(path, options.copy ?? false, stop, onProgress));
  }

  /**
   * Dataset.compact() of this dataset, which is open for writing. Others append and delete meanwhile: they wait until a segment is written, or the
   * index is copied, at most. E_READ_ONLY, E_ABORTED, E_NO_SPACE.
   */
  compact(options: CompactOptions = {}): Promise<CompactReport> {
    const onProgress = options.onProgress ?? (() => {});
    return stoppable(options.signal, (addon, stop) => addon.dataset_compact_open(this.handle, stop, onProgress));
  }

  info(): DatasetInfo {
    return native((addon) => addon.dataset_info(this.handle));
  }

  /**
   * Copies what the dataset in a folder keeps in LMDB (its index, or a pipeline's values in metadata/<pipeline>), as its last commit left it, to a folder that
   * holds none: others may write meanwhile. E_NOT_FOUND, E_CORRUPT, E_NO_SPACE, E_IO.
   */
  static copyEnvironment(folder: string, to: string): Promise<void> {
    return native((addon) => addon.copy_environment(folder, to));
  }

  /** Number of samples. */
  size(): number {
    return this.info().size;
  }

  /**
   * Appends all rows of a batch durably, or none, and resolves with the key of the first. The arrays are copied before
   * append() returns. E_ARGUMENT, E_NOT_FINITE and E_LABEL_RANGE name column, row and value; E_NO_SPACE, E_READ_ONLY.
   */
  append(batch: Batch): Promise<number> {
    return native((addon) => addon.dataset_append(this.handle, batch));
  }

  /**
   * Appends rows of files that stay where they are, durably and all or none: times, labels and checksums are written, records are
   * read from the files from then on. E_SOURCE, E_NOT_FINITE and E_LABEL_RANGE name part, column, row and value; E_NOT_FOUND,
   * E_ARGUMENT, E_ABORTED, E_NO_SPACE, E_READ_ONLY.
   */
  appendFiles(batch: FileBatch, signal?: AbortSignal): Promise<number> {
    return stoppable(signal, (addon, stop) => addon.dataset_append_files(this.handle, batch, stop));
  }

  /**
   * Notes where the files of rows are now, if the bytes there are the same; else notes nothing and resolves with the first move whose
   * bytes are others. `whole`: all bytes are compared, else some; each block is checked when it is read anyway. E_NOT_FOUND, E_SOURCE
   * where a file is too short, E_ARGUMENT, E_ABORTED.
   */
  async moveFiles(moves: readonly FileMove[], whole: boolean, signal?: AbortSignal): Promise<FileMove | undefined> {
    const other = await stoppable(signal, (addon, stop) => addon.dataset_move_files(this.handle, [...moves], whole, stop));
    return moves[other];
  }

  /** Which samples lie in files, by their first key. */
  fileSpans(): FileSpan[] {
    return native((addon) => addon.dataset_file_spans(this.handle));
  }

  /** An entry that was stored beside the samples, or null. */
  state(key: string): string | null {
    return native((addon) => addon.dataset_state(this.handle, key));
  }

  /** Stores an entry durably; Batch.state stores entries together with samples. */
  setState(key: string, value: string): void {
    native((addon) => addon.dataset_set_state(this.handle, key, value));
  }

  /**
   * Deletes samples durably and resolves with how many of them were there. Their keys stay, everything else of them vanishes:
   * from scans, selections, evaluations and recorded values at once, from the bytes on disk with compact(). `reason` (at most
   * 1,000 bytes) stands in the audit log. E_ARGUMENT for a key that does not exist, E_READ_ONLY, E_NO_SPACE.
   */
  delete(keys: BigUint64Array | readonly KeyRange[], reason = ''): Promise<number> {
    const ranges =
      keys instanceof BigUint64Array
        ? flatRanges(Array.from(keys, (key) => ({ first: Number(key), end: Number(key) + 1 })))
        : flatRanges(keys);
    return native((addon) => addon.dataset_remove(this.handle, ranges, reason, Date.now()));
  }

  /** The audit log: all deletions, in order. */
  async deletions(): Promise<Deletion[]> {
    const all = await native((addon) => addon.dataset_deletions(this.handle));
    return all.map(({ ranges, ...deletion }) => ({ ...deletion, keys: rangesOf(ranges) }));
  }

  /** How many entries the audit log has. */
  deletionCount(): number {
    return native((addon) => addon.dataset_deletion_count(this.handle));
  }

  /** Counts or mean and deviation of the labels, off the main thread. E_ABORTED, E_CORRUPT. */
  labelStatistics(signal?: AbortSignal): Promise<LabelStatistics> {
    return stoppable(signal, (addon, stop) => addon.dataset_label_statistics(this.handle, stop));
  }

  /** A view of the samples that are there now; later ones do not appear in it. */
  snapshot(options: SnapshotOptions = {}): Snapshot {
    const leaseMs = options.leaseMs ?? defaultLeaseMs;
    if (!(leaseMs >= 0 && leaseMs <= maxLeaseMs))
      throw new SluiceError('E_ARGUMENT', `leaseMs: expected a number from 0 to ${maxLeaseMs}, got ${leaseMs}`);
    return new Snapshot(
      native((addon) => addon.snapshot_open(this.handle)),
      leaseMs,
    );
  }

  /** Closes its snapshots, waits for appends under way and releases the files; trainings under way go on. Idempotent. */
  close(): void {
    native((addon) => addon.dataset_close(this.handle));
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** A consistent view of a dataset. Close it soon: while it is open the index grows with every append. */
export class Snapshot {
  /** For ts/native only. */
  readonly handle: SnapshotHandle;
  /** Number of samples. */
  readonly size: number;
  readonly #leaseMs: number;
  readonly #lease: NodeJS.Timeout | undefined;
  #expired = false;

  /** Use Dataset.snapshot(). */
  constructor(handle: SnapshotHandle, leaseMs: number) {
    this.handle = handle;
    this.size = native((addon) => addon.snapshot_size(handle));
    this.#leaseMs = leaseMs;
    if (leaseMs > 0) this.#lease = setTimeout(() => this.#expire(), leaseMs).unref();
  }

  /**
   * Timestamps of [first, first + rows), milliseconds. A view of the index where the rows lie in one chunk of 65,536,
   * else a copy. Writing into it changes nothing but the array; after close() a view's elements read as undefined, and
   * its methods throw a TypeError.
   */
  timestamps(first = 0, rows = this.size - first): BigInt64Array {
    this.renew();
    return native((addon) => addon.snapshot_timestamps(this.handle, first, rows));
  }

  /** Labels of [first, first + rows), like timestamps(). */
  labels(first = 0, rows = this.size - first): Float32Array {
    this.renew();
    return native((addon) => addon.snapshot_labels(this.handle, first, rows));
  }

  /** How many samples of [first, end) were deleted. */
  deleted(first = 0, end = this.size): number {
    this.renew();
    return native((addon) => addon.snapshot_deleted(this.handle, first, end));
  }

  /**
   * The samples of [first, end) that were not deleted, as ranges of keys: what a scan goes through. Times of deleted ones
   * are in order with the others' or equal the one before; their labels mean nothing.
   */
  living(first = 0, end = this.size): KeyRange[] {
    this.renew();
    return rangesOf(native((addon) => addon.snapshot_living(this.handle, first, end)));
  }

  /**
   * Keys of the samples that fit, in increasing order, found off the main thread in one pass over the labels (and over the times
   * where they are not in order). E_ARGUMENT for keys that do not exist or more than one array holds (536,870,911; ask
   * for fewer keys at a time), E_ABORTED, E_CORRUPT.
   */
  find(filter: SampleFilter, signal?: AbortSignal): Promise<BigUint64Array> {
    return this.#search(filter, signal, (addon, raw, stop) => addon.snapshot_find(this.handle, raw, stop));
  }

  /** The same as ranges of keys. */
  async findRanges(filter: SampleFilter, signal?: AbortSignal): Promise<KeyRange[]> {
    return rangesOf(await this.#search(filter, signal, (addon, raw, stop) => addon.snapshot_find_ranges(this.handle, raw, stop)));
  }

  /** How many samples fit. */
  count(filter: SampleFilter, signal?: AbortSignal): Promise<number> {
    return this.#search(filter, signal, (addon, raw, stop) => addon.snapshot_count(this.handle, raw, stop));
  }

  #search<T>(
    { keys, labels, where = [] }: SampleFilter,
    signal: AbortSignal | undefined,
    search: (addon: Addon, filter: RawSampleFilter, stop: StopHandle) => Promise<T>,
  ): Promise<T> {
    this.renew();
    const filter = {
      keys: keys === undefined ? null : flatRanges(keys),
      labels: labels === undefined ? null : Float32Array.from(labels),
      where,
    };
    return stoppable(signal, (addon, stop) => search(addon, filter, stop));
  }

  /** First key in [first, end) whose timestamp is at least t (ms), or end. Timestamps must not decrease. */
  lowerBoundTime(t: number, first = 0, end = this.size): number {
    this.renew();
    return native((addon) => addon.snapshot_lower_bound_time(this.handle, t, first, end));
  }

  /** Starts the lease anew. E_CLOSED once it ran out. */
  renew(): void {
    if (this.#expired) {
      const hint = 'open another one, or ask for a longer lease: dataset.snapshot({ leaseMs })';
      throw new SluiceError('E_CLOSED', `the snapshot was closed after ${this.#leaseMs} ms without use`, { hint });
    }
    this.#lease?.refresh();
  }

  /** Detaches its views and ends the read transaction. Idempotent. */
  close(): void {
    clearTimeout(this.#lease);
    native((addon) => addon.snapshot_close(this.handle));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #expire(): void {
    this.#expired = true;
    this.close();
  }
}
