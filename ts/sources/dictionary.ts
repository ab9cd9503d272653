// Categories as dense codes, in the order in which they first appeared.
import { SluiceError } from '../errors.js';

const maxEntries = 16_777_216;

export class Dictionary {
  readonly #codes = new Map<string, number>();
  #stored = 0;

  /** `stored`: the JSON that toJSON() gave before, or null. E_CORRUPT when it is not that. */
  constructor(readonly column: string, stored: string | null) {
    if (stored === null) return;
    const values = parseList(column, stored);
    for (const value of values) this.#codes.set(value, this.#codes.size);
    this.#stored = this.#codes.size;
    if (this.#stored !== values.length) throw new SluiceError('E_CORRUPT', `the dictionary of column '${column}' has a value twice`);
  }

  get size(): number {
    return this.#codes.size;
  }

  /** The value's code, a new one if it has none yet. */
  code(value: string): number {
    const known = this.#codes.get(value);
    if (known !== undefined) return known;
    const code = this.#codes.size;
    if (code === maxEntries) throw new SluiceError('E_SOURCE', `column '${this.column}' has more than ${maxEntries} different values; store it as i32 or f32 instead of category`);
    this.#codes.set(value, code);
    return code;
  }

  /** Whether codes were added since they were last stored. */
  get grown(): boolean {
    return this.#codes.size > this.#stored;
  }

  /** Marks what is there as stored and returns it. */
  store(): string {
    this.#stored = this.#codes.size;
    return JSON.stringify([...this.#codes.keys()]);
  }
}

function parseList(column: string, stored: string): string[] {
  try {
    const values: unknown = JSON.parse(stored);
    if (Array.isArray(values) && values.every((value) => typeof value === 'string')) return values;
  } catch {
    // told below
  }
  throw new SluiceError('E_CORRUPT', `the dictionary of column '${column}' cannot be read`);
}
