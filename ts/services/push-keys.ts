// Idempotency keys of pushed requests: the newest ones are kept beside the samples, committed with them, in a ring of state entries.
import { SluiceError } from '../errors.js';
import type { LateAnswer } from './late.js';

/** A request that was answered: the hash of its body, and where its samples lie; `late`: in the log of those that wait for labels. */
export type Answered = { hash: string; first: number; count: number; late?: LateAnswer };

type Stored = Answered & { n: number; key: string };

/** Keys that are kept; what a client retries lies far less back. */
const maxKeys = 16_384;

const slotKey = (n: number) => `push-key:${n % maxKeys}`;

export class PushKeys {
  readonly #answered = new Map<string, Answered>();
  readonly #slots: string[] = [];
  #next = 0;

  /** Reads what `state` has of an earlier time. E_CORRUPT. */
  constructor(state: (key: string) => string | null) {
    for (let slot = 0; slot < maxKeys; slot++) {
      const text = state(slotKey(slot));
      if (text === null) break;
      const { n, key, ...answered } = parse(text);
      this.#answered.set(key, answered);
      this.#slots[slot] = key;
      this.#next = Math.max(this.#next, n + 1);
    }
  }

  find(key: string): Answered | undefined {
    return this.#answered.get(key);
  }

  /** The state entries that keep these requests, to be committed with their samples; committed() says that they were. */
  entries(requests: readonly (Answered & { key: string })[]): Record<string, string> {
    return Object.fromEntries(
      requests.map((request, i): [string, string] => [
        slotKey(this.#next + i),
        JSON.stringify({ n: this.#next + i, ...request } satisfies Stored),
      ]),
    );
  }

  committed(requests: readonly (Answered & { key: string })[]): void {
    for (const { key, ...answered } of requests) {
      const slot = this.#next++ % maxKeys;
      const forgotten = this.#slots[slot];
      if (forgotten !== undefined) this.#answered.delete(forgotten);
      this.#slots[slot] = key;
      this.#answered.set(key, answered);
    }
  }
}

function parse(text: string): Stored {
  try {
    const stored = JSON.parse(text) as Stored;
    if (
      typeof stored.key === 'string' &&
      typeof stored.hash === 'string' &&
      [stored.n, stored.first, stored.count].every(Number.isSafeInteger)
    )
      return stored;
  } catch {
    // Told below.
  }
  throw new SluiceError('E_CORRUPT', "the dataset's record of pushed requests cannot be read");
}
