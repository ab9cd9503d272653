// Samples that are pushed: checked and encoded request by request, appended together. Requests that wait while one append is under way go into
// the next one, so that many small requests share one transaction.
import { createHash } from 'node:crypto';
import { SluiceError } from '../errors.js';
import type { Batch, Column } from '../native/types.js';
import { cellLength, emptyCells, recordBytes } from '../sources/cells.js';
import { Column as SourceColumn } from '../sources/column.js';
import { type Coders, type Encoded, encode, type Place } from '../sources/encode.js';
import { isImage, schemaOf } from '../sources/forms.js';
import { decodeImages } from '../sources/images.js';
import { lastMsEntry, readLastMs } from '../sources/progress.js';
import { slices } from '../sources/rows.js';
import type { SharedStore, Writer } from '../sources/shared-store.js';
import type { DatasetSpec } from '../sources/spec.js';
import type { RecordBatch } from '../sources/types.js';
import { idsOf, type LabelRows, requireLate, toLabels } from './label-rows.js';
import type { Late, LateAnswer } from './late.js';
import type { Answered, PushKeys } from './push-keys.js';
import { requestName } from './rows.js';

/** Where a request's samples lie: in the dataset, or with those that wait for their labels. */
export type Pushed = { first: number; count: number } | LateAnswer;
/** `repeated`: the request had come before. */
export type Taken = { pushed: Pushed; repeated: boolean };

/** What a request holds: samples, or labels of samples that were pushed before, or both. */
export type Arrived = { samples?: RecordBatch | undefined; labels?: RecordBatch | undefined };

/** Told of each append. */
export type OnCommit = (commit: { requests: number; samples: number; seconds: number }) => void;

/** A request is refused when its samples are larger once they are stored. */
const maxEncodedBytes = 2 ** 28;
/** Requests are appended together up to about this many bytes and rows. */
const maxCommitBytes = 2 ** 25;
const maxCommitRows = 262_144;

type Waiting = {
  rows: Encoded[];
  count: number;
  bytes: number;
  writer: Writer;
  key: string | undefined;
  hash: string;
  state: Record<string, string>;
  done(first: number): void;
  failed(error: unknown): void;
};

export class Inlet {
  readonly #shared: SharedStore;
  readonly #spec: DatasetSpec;
  readonly #columns: readonly Column[];
  readonly #images: boolean;
  readonly #keys: PushKeys;
  readonly #late: Late | undefined;
  readonly #underWay = new Map<string, { hash: string; answer: Promise<Pushed> }>();
  readonly #onCommit: OnCommit;
  #waiting: Waiting[] = [];
  #committing = false;
  #lastMs: number;
  #bytes = 0;

  /** `late`: where labels may come later. */
  constructor(shared: SharedStore, spec: DatasetSpec, keys: PushKeys, onCommit: OnCommit = () => {}, late?: Late) {
    this.#shared = shared;
    this.#spec = spec;
    this.#columns = schemaOf(spec).columns;
    this.#images = Object.values(spec.columns).some(isImage);
    const { store } = shared.writer;
    this.#keys = keys;
    this.#late = late;
    this.#lastMs = readLastMs(store) ?? Number.NEGATIVE_INFINITY;
    this.#onCommit = onCommit;
  }

  /** Bytes of samples and labels that wait to be appended. */
  get bytes(): number {
    return this.#bytes + (this.#late?.bytes ?? 0);
  }

  /**
   * Takes the rows of one request, all or none, and resolves once they are durable. With a key that was used before it resolves with what it
   * did then. `body`: what the key stands for; `rows` is called when it is new. E_EXISTS for a key that came with another body; E_ARGUMENT for
   * too many samples; E_SOURCE, E_NOT_FINITE, E_LABEL_RANGE as encode(); the errors of append() and Late.push().
   */
  async push(body: Buffer, rows: () => Arrived, key?: string): Promise<Taken> {
    if (key === undefined) return { pushed: await this.#push(rows(), undefined, ''), repeated: false };
    const hash = createHash('sha256').update(body).digest('base64');
    const stored = this.#keys.find(key) ?? this.#late?.find(key);
    const known = this.#underWay.get(key) ?? (stored && { hash: stored.hash, answer: Promise.resolve(answerOf(stored)) });
    if (known !== undefined) {
      if (known.hash === hash) return { pushed: await known.answer, repeated: true };
      throw new SluiceError('E_EXISTS', `the Idempotency-Key ${JSON.stringify(key)} came with another content before`);
    }
    const answer = this.#pushLater(rows, key, hash);
    this.#underWay.set(key, { hash, answer });
    return { pushed: await answer.finally(() => this.#underWay.delete(key)), repeated: false };
  }

  async #pushLater(rows: () => Arrived, key: string, hash: string): Promise<Pushed> {
    return await this.#push(rows(), key, hash);
  }

  async #push(arrived: Arrived, key: string | undefined, hash: string): Promise<Pushed> {
    if ((arrived.samples?.rows ?? 0) + (arrived.labels?.rows ?? 0) > 0) return await this.append(arrived, {}, key, hash);
    throw new SluiceError('E_SOURCE', `${requestName}: there are no ${arrived.samples === undefined ? 'labels' : 'samples'} in it`);
  }

  /** Takes rows together with state entries, like push(), and resolves once the dataset has both; there may be no rows. */
  async append({ samples, labels }: Arrived, state: Record<string, string>, key?: string, hash = ''): Promise<Pushed> {
    const count = samples?.rows ?? 0;
    const bytes = count * Math.max(12, recordBytes(this.#columns));
    if (bytes > maxEncodedBytes) {
      const most = Math.floor(maxEncodedBytes / (bytes / count));
      throw new SluiceError('E_ARGUMENT', `${requestName}: at most ${most} samples of this dataset, got ${count}`);
    }
    if (labels !== undefined) requireLate(this.#spec);
    const { writer } = this.#shared;
    const labelRows = labels && toLabels(labels, this.#spec, { part: requestName, firstRow: 0 });
    const rows = samples === undefined || count === 0 ? [] : await this.#encode(samples, writer.coders);
    const waits = labelRows !== undefined || rows.some((piece) => piece.labels.some(Number.isNaN));
    if (this.#late !== undefined && waits)
      return await this.#pushLate(this.#late, samples, rows, writer, labelRows, { state, key, hash, bytes });
    const first = await new Promise<number>((done, failed) => {
      this.#bytes += bytes;
      this.#waiting.push({ rows, count, bytes, writer, key, hash, state, done, failed });
      void this.#commit();
    });
    return { first, count };
  }

  async #pushLate(
    late: Late,
    samples: RecordBatch | undefined,
    rows: Encoded[],
    writer: Writer,
    labels: LabelRows | undefined,
    rest: { state: Record<string, string>; key: string | undefined; hash: string; bytes: number },
  ): Promise<LateAnswer> {
    const { id } = this.#spec.label.late ?? {};
    const ids =
      id === undefined || samples === undefined ? undefined : idsOf(new SourceColumn(id, samples, { part: requestName, firstRow: 0 }));
    const bytes = rest.bytes + 64 * (ids?.length ?? 0) + 96 * (labels?.labels.length ?? 0);
    return await late.push({ ...rest, bytes, samples: { rows, ids, writer }, labels });
  }

  /** A batch that is refused leaves no categories behind. */
  async #encode(batch: RecordBatch, coders: Coders): Promise<Encoded[]> {
    const place: Place = { part: requestName, firstRow: 0, arrivedMs: Date.now() };
    const encoded: Encoded[] = [];
    for (const piece of this.#images ? slices(batch, this.#spec) : [batch]) {
      const ready = this.#images ? await decodeImages(piece, this.#spec, place, undefined) : piece;
      const sizes = [...coders.dictionaries.values()].map((dictionary) => [dictionary, dictionary.size] as const);
      const undecoded = ready.dropped?.indexOf(1) ?? -1;
      try {
        if (undecoded >= 0)
          throw new SluiceError('E_SOURCE', `${requestName}: row ${place.firstRow + undecoded + 1}: a picture cannot be decoded`);
        encoded.push(encode(ready, this.#spec, coders, place));
      } catch (error) {
        for (const [dictionary, size] of sizes) dictionary.truncate(size);
        throw error;
      }
      place.firstRow += piece.rows;
    }
    return encoded;
  }

  async #commit(): Promise<void> {
    if (this.#committing) return;
    this.#committing = true;
    // Requests that arrived in this turn of the event loop go in together.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0) await this.#commitSome(this.#take());
    this.#committing = false;
  }

  #take(): Waiting[] {
    let [bytes, rows, n] = [0, 0, 0];
    const writer = this.#waiting[0]?.writer;
    for (; n < this.#waiting.length && bytes < maxCommitBytes && rows < maxCommitRows && this.#waiting[n]!.writer === writer; n++) {
      bytes += this.#waiting[n]!.bytes;
      rows += this.#waiting[n]!.count;
    }
    return this.#waiting.splice(0, n);
  }

  async #commitSome(requests: Waiting[]): Promise<void> {
    const started = performance.now();
    let keyed: (Answered & { key: string })[] = [];
    try {
      const { timestamps, labels, columns } = joined(
        requests.flatMap((request) => request.rows),
        this.#columns,
      );
      this.#lastMs = Math.max(this.#lastMs, Number(timestamps.at(-1) ?? this.#lastMs));
      const first = await requests[0]!.writer.append((firstKey): Batch => {
        keyed = keyedOf(requests, firstKey);
        const state = Object.assign({}, ...requests.map((request) => request.state)) as Record<string, string>;
        const last = Number.isFinite(this.#lastMs) ? lastMsEntry(this.#lastMs) : {};
        return { timestamps, labels, columns, state: { ...state, ...this.#keys.entries(keyed), ...last } };
      });
      this.#keys.committed(keyed);
      this.#onCommit({ requests: requests.length, samples: labels.length, seconds: (performance.now() - started) / 1000 });
      let at = first;
      for (const { count, done } of requests) {
        done(at);
        at += count;
      }
    } catch (error) {
      for (const { failed } of requests) failed(error);
    } finally {
      for (const { bytes } of requests) this.#bytes -= bytes;
    }
  }
}

const answerOf = ({ first, count, late }: Answered): Pushed => late ?? { first, count };

function keyedOf(requests: readonly Waiting[], first: number): (Answered & { key: string })[] {
  const keyed: (Answered & { key: string })[] = [];
  for (const { key, hash, count } of requests) {
    if (key !== undefined) keyed.push({ key, hash, first, count });
    first += count;
  }
  return keyed;
}

/** The rows of several batches as one. */
function joined(all: readonly Encoded[], columns: readonly Column[]): Omit<Batch, 'state'> {
  if (all.length === 1) return all[0]!;
  const rows = all.reduce((sum, { labels }) => sum + labels.length, 0);
  const result = {
    timestamps: new BigInt64Array(rows),
    labels: new Float32Array(rows),
    columns: columns.map((column) => emptyCells(column, rows)),
  };
  let at = 0;
  for (const { timestamps, labels, columns: cells } of all) {
    result.timestamps.set(timestamps, at);
    result.labels.set(labels, at);
    for (const [c, values] of cells.entries()) result.columns[c]!.set(values, at * cellLength(columns[c]!));
    at += labels.length;
  }
  return result;
}
