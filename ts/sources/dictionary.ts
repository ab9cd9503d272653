// Categories as dense codes, in the order in which they first appeared. They are stored as JSON arrays: the first values
// under `dict:<column>`, further ones in pages of their own, so that what is written again stays small.
import { SluiceError } from '../errors.js';

export const maxCategories = 16_777_216;
export const maxCategoryLength = 2048;
/** Such that a page of the longest texts stays far below the 64 MiB that an entry may have. */
const pageEntries = 4096;

export class Dictionary {
  readonly #codes = new Map<string, number>();
  #values: string[] = [];
  #stored = 0;

  /** `state` gives what entries() returned before, by key, or null. E_CORRUPT when it is not that. */
  constructor(
    readonly column: string,
    state: (key: string) => string | null,
  ) {
    for (let page = 0; ; page++) {
      const stored = state(this.#key(page));
      if (stored === null) break;
      for (const value of parsePage(column, stored)) {
        if (this.#codes.has(value))
          throw new SluiceError('E_CORRUPT', `the dictionary of column '${column}' has the value ${JSON.stringify(value)} twice`);
        this.add(value);
      }
    }
    this.#stored = this.size;
  }

  get size(): number {
    return this.#values.length;
  }

  /** Whether it has values that entries() did not return yet. */
  get grew(): boolean {
    return this.#stored < this.size;
  }

  /** The value's code, if it has one. */
  find(value: string): number | undefined {
    return this.#codes.get(value);
  }

  /** Gives a new value its code. At most maxCategories values of at most maxCategoryLength characters. */
  add(value: string): number {
    // A copy: the text may be a part of a much larger one, which it would keep in memory.
    const own = JSON.parse(JSON.stringify(value)) as string;
    const code = this.#values.push(own) - 1;
    this.#codes.set(own, code);
    return code;
  }

  /** Forgets the values behind the first `size`; they are stored until others take their codes. */
  truncate(size: number): void {
    for (const value of this.#values.splice(size)) this.#codes.delete(value);
    this.#stored = Math.min(this.#stored, this.size);
  }

  /** The state entries that changed since the last call: none when no value was added. */
  entries(): Record<string, string> {
    const changed: Record<string, string> = {};
    for (let first = this.#stored - (this.#stored % pageEntries); this.#stored < this.size && first < this.size; first += pageEntries) {
      changed[this.#key(first / pageEntries)] = JSON.stringify(this.#values.slice(first, first + pageEntries));
    }
    this.#stored = this.size;
    return changed;
  }

  #key(page: number): string {
    return page === 0 ? `dict:${this.column}` : `dict${page}:${this.column}`;
  }
}

function parsePage(column: string, stored: string): string[] {
  try {
    const values: unknown = JSON.parse(stored);
    if (Array.isArray(values) && values.every((value) => typeof value === 'string')) return values;
  } catch {
    // Told below.
  }
  throw new SluiceError('E_CORRUPT', `the dictionary of column '${column}' cannot be read`, {
    hint: 'remove the dataset and ingest it again',
  });
}
