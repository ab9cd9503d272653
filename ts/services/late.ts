// Labels that come later than their samples. What waits lies in a log beside the dataset (native/src/waiting); a sample is appended to the dataset
// when it is labelled. Requests that wait while one turn is under way go into the next one. A turn:
//
//   1. what dictionaries gained is committed, so that no sample in the log has a code whose word is lost
//   2. the requests are decided on and appended to the log; they are durable then
//   3. what follows from the log is appended to the dataset, with how far the log was gone through
import { SluiceError } from '../errors.js';
import type { Batch, Column, SettledRows, WaitingAnswer, WaitingBatch, WaitingCounts } from '../native/types.js';
import { Waiting } from '../native/waiting.js';
import { lateStateKey, type WhatWaits } from '../pipeline/delete-waiting.js';
import { emptyCells } from '../sources/cells.js';
import { type Encoded, encodeLabels, toBigInts } from '../sources/encode.js';
import { Column as SourceColumn } from '../sources/column.js';
import { schemaOf } from '../sources/forms.js';
import type { SharedStore, Writer } from '../sources/shared-store.js';
import type { DatasetSpec } from '../sources/spec.js';
import type { LabelRows } from './label-rows.js';
import type { Answered, PushKeys } from './push-keys.js';
import { requestName } from './rows.js';

/** What became of a request: where its samples wait, from which number on, and what its labels found. */
export type LateAnswer = { waiting: number; count: number; joined: number; early: number; known: number; late: number };

/** A request whose values are checked. `state`: entries for the dataset's transaction; the request is answered after it. */
export type LateRequest = {
  samples: { rows: readonly Encoded[]; ids: readonly string[] | undefined; writer: Writer };
  labels: LabelRows | undefined;
  key: string | undefined;
  hash: string;
  state: Record<string, string>;
  bytes: number;
};

export type LateOptions = {
  shared: SharedStore;
  spec: DatasetSpec;
  keys: PushKeys;
  folder: string;
  /** First pause before what failed is tried again, ms; it doubles up to a minute. */
  retryMs: number;
  /** What waited too long. */
  onExpired(expired: { samples: number; labels: number }): void;
  onTurn(turn: { requests: number; samples: number; seconds: number; late: number }): void;
  onProblem(error: SluiceError): void;
};

type Pending = LateRequest & { done(answer: LateAnswer): void; failed(error: unknown): void };
/** What the log keeps of a request until the dataset has it. */
type Notes = { key?: string; hash?: string; state?: Record<string, string> };

const maxTurnRows = 262_144;
const maxTurnBytes = 2 ** 26;
const maxRequestRows = 2 ** 20;
const maxRetryMs = 60_000;

export class Late {
  readonly #options: LateOptions;
  readonly #waiting: Waiting;
  readonly #columns: readonly Column[];
  /** Place of the column with the delay of the label. */
  readonly #labelled: number;
  readonly #missing: number | null;
  readonly #within: number;
  readonly #logged = new Map<string, Answered>();
  readonly #timer: NodeJS.Timeout;
  #pending: Pending[] = [];
  #turn: Promise<void> = Promise.resolve();
  #running = false;
  #owed: SettledRows | undefined;
  #behind: unknown; // why the dataset lacks rows of the log
  #closing = false;
  #retry: NodeJS.Timeout | undefined;
  #nowMs = 0;
  /** Bytes of requests that wait for their turn. */
  bytes = 0;

  private constructor(options: LateOptions, waiting: Waiting) {
    const { late } = options.spec.label;
    if (late === undefined) throw new SluiceError('E_INTERNAL', 'labels do not come later');
    this.#options = options;
    this.#waiting = waiting;
    this.#columns = schemaOf(options.spec).columns;
    this.#labelled = this.#columns.findIndex(({ name }) => name === 'labelled');
    this.#missing = labelOfMissing(options.spec, late.missing);
    this.#within = late.within;
    const everyMs = Math.min(60_000, Math.max(1000, this.#within / 20));
    this.#timer = setInterval(() => void this.#serially(() => this.#expire()), everyMs).unref();
  }

  /** Opens the log and brings the dataset up to it. E_ARGUMENT for a `missing` that is no label; the errors of Waiting.open() and append(). */
  static async open(options: LateOptions): Promise<Late> {
    const { shared, spec, folder } = options;
    const applied = Number(shared.writer.store.state(lateStateKey) ?? 0);
    const waiting = await Waiting.open(folder, schemaOf(spec), applied);
    try {
      const late = new Late(options, waiting);
      await late.#apply([]);
      return late;
    } catch (error) {
      waiting.close();
      throw error;
    }
  }

  counts(): WaitingCounts {
    return this.#waiting.counts();
  }

  /** The answer to a request that is durable, but not in the dataset yet. */
  find(key: string): Answered | undefined {
    return this.#logged.get(key);
  }

  /**
   * Resolves once the request is durable. E_EXISTS for a sample whose id is there, or a label that differs from an earlier one; E_NOT_FOUND for a
   * number that no sample has; E_ARGUMENT for too many rows; and the errors of append().
   */
  async push(request: LateRequest): Promise<LateAnswer> {
    if (this.#closing) throw new SluiceError('E_CLOSED', 'the server is stopping');
    const rows = sampleRows(request) + (request.labels?.labels.length ?? 0);
    if (rows > maxRequestRows)
      throw new SluiceError('E_ARGUMENT', `${requestName}: at most ${maxRequestRows} samples and labels, got ${rows}`);
    this.bytes += request.bytes;
    try {
      return await new Promise<LateAnswer>((done, failed) => {
        this.#pending.push({ ...request, done, failed });
        void this.#run();
      });
    } finally {
      this.bytes -= request.bytes;
    }
  }

  /** Deletes samples that wait, and resolves with how many there were. E_CLOSED; the error for which the dataset lacks labelled samples. */
  async remove({ times, ids }: WhatWaits): Promise<number> {
    let removed = 0;
    let failure: { error: unknown } | undefined;
    const removeNow = async (work: (nowMs: number) => Promise<unknown>) => {
      if (this.#closing) throw new SluiceError('E_CLOSED', 'the server is stopping');
      if (this.#behind !== undefined) throw this.#behind;
      await work(this.#now());
      await this.#apply([]);
    };
    await this.#serially(async () => {
      const before = this.#waiting.counts().removed;
      try {
        for (const id of ids) await removeNow((nowMs) => this.#waiting.removeId(nowMs, id));
        if (times !== undefined && times.fromMs < times.untilMs)
          await removeNow((nowMs) => this.#waiting.removeTimes(nowMs, times.fromMs, times.untilMs));
      } catch (error) {
        failure = { error };
      }
      removed = this.#waiting.counts().removed - before;
    });
    if (failure !== undefined) throw failure.error;
    return removed;
  }

  /** Ends what is under way and saves the state. */
  async close(): Promise<void> {
    this.#closing = true;
    clearInterval(this.#timer);
    clearTimeout(this.#retry);
    await this.#turn;
    try {
      if (this.#behind === undefined) await this.#waiting.checkpoint();
    } finally {
      this.#waiting.close();
    }
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    // Requests that arrived in this turn of the event loop go in together.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#pending.length > 0) {
      const requests = this.#take();
      await this.#serially(() => this.#append(requests));
    }
    this.#running = false;
  }

  #take(): Pending[] {
    let [n, rows, bytes] = [0, 0, 0];
    for (; n < this.#pending.length && rows < maxTurnRows && bytes < maxTurnBytes; n++) {
      rows += sampleRows(this.#pending[n]!) + (this.#pending[n]!.labels?.labels.length ?? 0);
      bytes += this.#pending[n]!.bytes;
    }
    return this.#pending.splice(0, n);
  }

  /** One thing at a time touches the log. Never rejects. */
  #serially(work: () => Promise<void>): Promise<void> {
    this.#turn = this.#turn.then(work).catch((error: unknown) => this.#options.onProblem(asProblem(error)));
    return this.#turn;
  }

  async #append(given: Pending[]): Promise<void> {
    const started = performance.now();
    let requests = given;
    let answers: WaitingAnswer[];
    try {
      if (this.#behind !== undefined) throw this.#behind;
      requests = this.#current(requests);
      await this.#commitWords();
      answers = await this.#waiting.append(this.#batch(requests));
    } catch (error) {
      for (const { failed } of requests) failed(error);
      return;
    }
    const unanswered: (() => void)[] = [];
    let [samples, late] = [0, 0];
    for (const [i, answer] of answers.entries()) {
      const { key, hash, state, done, failed } = requests[i]!;
      const refusal = refusalOf(answer, requests[i]!, this.#options.spec);
      if (refusal !== null) {
        failed(refusal);
        continue;
      }
      const told = answerOf(answer);
      samples += told.count;
      late += told.late;
      if (key !== undefined) this.#logged.set(key, { hash, first: told.waiting, count: told.count, late: told });
      if (Object.keys(state).length === 0) done(told);
      else unanswered.push(() => done(told));
    }
    await this.#apply(unanswered);
    this.#options.onTurn({ requests: requests.length, samples, seconds: (performance.now() - started) / 1000, late });
  }

  /** Requests that were coded by dictionaries that nobody stored are refused. */
  #current(requests: Pending[]): Pending[] {
    const { writer } = this.#options.shared;
    return requests.filter(({ samples, failed }) => {
      if (samples.writer === writer || samples.rows.length === 0) return true;
      failed(new SluiceError('E_CLOSED', 'an append before this one failed', { hint: 'send the samples again' }));
      return false;
    });
  }

  async #commitWords(): Promise<void> {
    const { writer } = this.#options.shared;
    if (![...writer.coders.dictionaries.values()].some((dictionary) => dictionary.grew)) return;
    await writer.append(this.#emptyBatch());
  }

  #emptyBatch(): Batch {
    const columns = this.#columns.map((column) => emptyCells(column, 0));
    return { timestamps: new BigInt64Array(), labels: new Float32Array(), columns, state: {} };
  }

  /** Appends what follows from the log. What fails is tried again until it is in; `unanswered` are told then. */
  async #apply(unanswered: (() => void)[], pauseMs = this.#options.retryMs): Promise<void> {
    try {
      for (let more = true; more; ) {
        this.#owed ??= await this.#waiting.take();
        await this.#appendRows(this.#owed);
        const { through, more: further } = this.#owed;
        this.#owed = undefined;
        await this.#waiting.applied(through);
        more = further;
      }
      this.#behind = undefined;
      for (const done of unanswered) done();
    } catch (error) {
      this.#behind = error;
      this.#options.onProblem(asProblem(error));
      if (this.#closing) return;
      this.#retry = setTimeout(() => void this.#serially(() => this.#apply(unanswered, Math.min(maxRetryMs, 2 * pauseMs))), pauseMs);
    }
  }

  async #appendRows(settled: SettledRows): Promise<void> {
    const { shared, keys } = this.#options;
    const { timestamps, labels, labelledMs, columns, answers, through } = settled;
    // The dataset may have it already: after a restart, or where what failed was done all the same.
    if (Number(shared.writer.store.state(lateStateKey) ?? 0) >= through) return;
    const delays = columns[this.#labelled] as Float32Array;
    for (let i = 0; i < labels.length; i++) delays[i] = Number(labelledMs[i]! - timestamps[i]!) / 1000;
    const notes = answers.map((answer) => ({ answer, notes: JSON.parse(answer.notes === '' ? '{}' : answer.notes) as Notes }));
    const keyed = notes.flatMap(({ answer, notes: { key, hash = '' } }) => {
      if (key === undefined) return [];
      const late = answerOf(answer);
      return [{ key, hash, first: late.waiting, count: late.count, late }];
    });
    const state: Record<string, string> = Object.assign({}, ...notes.map((note) => note.notes.state ?? {}));
    await shared.writer.append(() => ({
      timestamps,
      labels,
      columns,
      state: { ...state, ...keys.entries(keyed), [lateStateKey]: String(through) },
    }));
    keys.committed(keyed);
    for (const { key } of keyed) this.#logged.delete(key);
  }

  async #expire(): Promise<void> {
    if (this.#closing || this.#behind !== undefined) return;
    const before = this.#waiting.counts();
    const now = this.#now();
    while (!this.#closing && this.#behind === undefined && (await this.#waiting.expire(now, now - this.#within, this.#missing)))
      await this.#apply([]);
    const after = this.#waiting.counts();
    const expired = { samples: after.expired - before.expired, labels: after.unmatched - before.unmatched };
    if (expired.samples + expired.labels > 0) this.#options.onExpired(expired);
  }

  /** By the clock, but it never goes back. */
  #now(): number {
    this.#nowMs = Math.max(this.#nowMs, Date.now());
    return this.#nowMs;
  }

  #batch(requests: readonly Pending[]): WaitingBatch {
    const arrivedMs = this.#now();
    const withIds = this.#options.spec.label.late?.id !== undefined;
    const pieces = requests.flatMap(({ samples }) => samples.rows);
    const rows = pieces.reduce((sum, { labels }) => sum + labels.length, 0);
    const labels = requests.flatMap((request) => (request.labels === undefined ? [] : [request.labels]));
    const count = labels.reduce((sum, given) => sum + given.labels.length, 0);
    const times = joined(labels, ({ timesMs }) => timesMs, new Float64Array(count));
    const sampleIds = texts(withIds ? requests.flatMap(({ samples }) => samples.ids ?? []) : []);
    const labelIds = texts(withIds ? labels.flatMap(({ ids }) => ids) : []);
    return {
      arrivedMs,
      withIds,
      timestamps: joined(pieces, ({ timestamps }) => timestamps, new BigInt64Array(rows)),
      labels: joined(pieces, (piece) => piece.labels, new Float32Array(rows)),
      columns: this.#columns.map((column, c) => joined(pieces, ({ columns }) => columns[c]!, emptyCells(column, rows))),
      sampleIdBytes: sampleIds.bytes,
      sampleIdEnds: sampleIds.ends,
      labelTimes: toBigInts(times.map((ms) => (Number.isNaN(ms) ? arrivedMs : ms))),
      labelValues: joined(labels, (given) => given.labels, new Float32Array(count)),
      labelNumbers: BigUint64Array.from(withIds ? [] : labels.flatMap(({ ids }) => ids.map(BigInt))),
      labelIdBytes: labelIds.bytes,
      labelIdEnds: labelIds.ends,
      requests: requests.map((request) => ({
        samples: sampleRows(request),
        labels: request.labels?.labels.length ?? 0,
        notes: notesOf(request),
      })),
    };
  }
}

const sampleRows = ({ samples }: LateRequest): number => samples.rows.reduce((sum, { labels }) => sum + labels.length, 0);

function notesOf({ key, hash, state }: LateRequest): string {
  const notes: Notes = { ...(key === undefined ? {} : { key, hash }), ...(Object.keys(state).length === 0 ? {} : { state }) };
  return Object.keys(notes).length === 0 ? '' : JSON.stringify(notes);
}

function answerOf({ first, samples, joined: found, early, known, late }: WaitingAnswer): LateAnswer {
  return { waiting: first, count: samples, joined: found, early, known, late };
}

/** Why a request is not taken, or null. */
function refusalOf(answer: WaitingAnswer, { samples, labels }: LateRequest, { label }: DatasetSpec): SluiceError | null {
  const { refusal, row, earlier } = answer;
  if (refusal === null) return null;
  const name = label.late?.id ?? 'key';
  const shown = JSON.stringify(refusal === 'duplicate' ? samples.ids?.[row] : labels?.ids[row]);
  const place = `${requestName}: row ${row + 1}: ${name} ${shown}`;
  if (refusal === 'duplicate') {
    const hint = `each sample needs a ${name} of its own for as long as dataset.label.late.within`;
    return new SluiceError('E_EXISTS', `${place}: there is a sample with it already`, { hint });
  }
  if (refusal === 'unknown')
    return new SluiceError('E_NOT_FOUND', `${place}: no sample has this number`, {
      hint: 'the push of a sample without its label answers it',
    });
  const hint = 'a label cannot be changed; nothing of the request was taken';
  return new SluiceError('E_EXISTS', `${place}: its label is ${nameOfLabel(earlier, label)} already`, { hint });
}

function nameOfLabel(value: number, label: DatasetSpec['label']): string {
  const classes = 'classes' in label ? label.classes : undefined;
  return Array.isArray(classes) ? JSON.stringify(classes[value] ?? value) : String(value);
}

function labelOfMissing(spec: DatasetSpec, missing: number | string): number | null {
  if (missing === 'drop') return null;
  const { column } = spec.label;
  const place = { part: 'dataset.label.late.missing', firstRow: 0 };
  return encodeLabels(new SourceColumn(column, { rows: 1, columns: { [column]: [missing] } }, place), spec.label)[0]!;
}

function texts(all: readonly string[]): { bytes: Uint8Array; ends: Int32Array } {
  const ends = new Int32Array(all.length);
  let [end, i] = [0, 0];
  for (const text of all) {
    end += Buffer.byteLength(text);
    ends[i++] = end;
  }
  return { bytes: Buffer.from(all.join('')), ends };
}

function joined<P, T extends Float32Array | Float64Array | Int32Array | Uint8Array | BigInt64Array>(
  pieces: readonly P[],
  of: (piece: P) => ArrayLike<number> | ArrayLike<bigint>,
  into: T,
): T {
  let at = 0;
  for (const piece of pieces) {
    const values = of(piece);
    into.set(values as never, at);
    at += values.length;
  }
  return into;
}

function asProblem(error: unknown): SluiceError {
  if (error instanceof SluiceError) return error;
  return new SluiceError('E_INTERNAL', `late labels: ${(error as Error).message}`, { cause: error });
}
