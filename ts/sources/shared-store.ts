// One dataset, several writers in one process: files that are ingested while samples are pushed. Appends go in one after the other, and all
// writers share the dictionaries, whose growth is committed in the transaction of the samples that need it.
import { SluiceError } from '../errors.js';
import type { Batch, FileBatch } from '../native/types.js';
import type { IngestStore } from './appender.js';
import { dictionaryEntries, openCoders } from './coders.js';
import type { Coders } from './encode.js';
import type { DatasetSpec } from './spec.js';
import { placeable } from './in-place.js';
import { openTokenizers, type Tokenizer } from './tokens.js';

/** A batch, or what makes it once the key of its first sample is known. */
type Appended = Batch | ((first: number) => Batch);

/** What one writer uses. After an append that failed its rows are coded by dictionaries that nobody stored: take a new one then. */
export type Writer = { coders: Coders; store: IngestStore; append(batch: Appended): Promise<number> };

export class SharedStore {
  readonly #store: IngestStore;
  readonly #spec: DatasetSpec;
  readonly #tokenizers: ReadonlyMap<string, Tokenizer>;
  readonly #onAppended: (first: number, count: number) => void;
  #turn: Promise<unknown> = Promise.resolve();
  #writer: Writer;

  private constructor(
    store: IngestStore,
    spec: DatasetSpec,
    tokenizers: ReadonlyMap<string, Tokenizer>,
    onAppended: (first: number, count: number) => void,
  ) {
    this.#store = store;
    this.#spec = spec;
    this.#tokenizers = tokenizers;
    this.#onAppended = onAppended;
    this.#writer = this.#newWriter();
  }

  /** `onAppended` is called after each append, before its promise resolves. E_NOT_FOUND, E_SOURCE for tokenizers, E_CORRUPT. */
  static async open(
    store: IngestStore,
    spec: DatasetSpec,
    folder: string,
    onAppended: (first: number, count: number) => void,
  ): Promise<SharedStore> {
    return new SharedStore(store, spec, await openTokenizers(spec.columns, folder), onAppended);
  }

  /** What to encode and append with now. */
  get writer(): Writer {
    return this.#writer;
  }

  /** Waits until nothing is being appended. */
  async settled(): Promise<void> {
    await this.#turn;
  }

  #newWriter(): Writer {
    const store = this.#store;
    const append = (batch: Appended) => this.#append(writer, batch);
    const writer: Writer = {
      coders: openCoders(store, this.#spec, this.#tokenizers),
      store: {
        size: () => store.size(),
        state: (key) => store.state(key),
        append,
        appendFiles: (batch, signal) => this.#inTurn(() => this.#appendFiles(batch, signal)),
        moveFiles: (...move) => this.#inTurn(() => placeable(store).moveFiles(...move)),
        fileSpans: () => placeable(store).fileSpans(),
      },
      append,
    };
    return writer;
  }

  #append(writer: Writer, batch: Appended): Promise<number> {
    return this.#inTurn(() => this.#appendNow(writer, batch));
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }

  /** Rows that stay in their files have no codes that a dictionary gives. */
  async #appendFiles(batch: FileBatch, signal: AbortSignal | undefined): Promise<number> {
    const first = await placeable(this.#store).appendFiles(batch, signal);
    this.#onAppended(first, batch.rows);
    return first;
  }

  async #appendNow(writer: Writer, given: Appended): Promise<number> {
    if (writer !== this.#writer) throw new SluiceError('E_CLOSED', 'an append before this one failed', { hint: 'send the samples again' });
    try {
      const batch = typeof given === 'function' ? given(this.#store.size()) : given;
      const first = await this.#store.append({ ...batch, state: { ...dictionaryEntries(writer.coders), ...batch.state } });
      this.#onAppended(first, batch.labels.length);
      return first;
    } catch (error) {
      this.#writer = this.#newWriter();
      throw error;
    }
  }
}
