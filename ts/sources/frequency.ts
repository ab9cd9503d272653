// How often values were seen that have no code of their own yet: columns of the form { category, atLeast }. Kept as counts by
// a hash of 32 bits, bounded in memory; and stored, in the transaction of the rows, when a part is complete.
import { z } from 'zod';
import { SluiceError } from '../errors.js';

const firstSlots = 2 ** 12;
/** 24 MiB for a column. */
const mostSlots = 2 ** 22;
/** Hashes that were counted since the last snapshot are stored in pages; when there are more than this, a snapshot is. */
const maxLog = 2 ** 18;
const logPage = 2 ** 14;
/** Entries of a page of the snapshot, of 6 bytes. */
const snapshotPage = 2 ** 20;

const header = z.strictObject({ slots: z.int().min(firstSlots).max(mostSlots), entries: z.int().min(0), log: z.int().min(0).max(maxLog) });

/**
 * Counts by hash, at most `atLeast`. Two values of one hash count together: of n rare values each does with probability
 * n / 2^32. Where 3 million values wait, those that were seen least are forgotten.
 */
export class Frequency {
  #keys = new Uint32Array(firstSlots);
  #counts = new Uint16Array(firstSlots);
  #used = 0;
  /** Hashes since the snapshot, in order; undefined when there are too many. */
  #log: number[] | undefined = [];
  #stored = 0;
  /** Of the last snapshot: with the log behind it, it gives the same table again. */
  #snapshotOf = { slots: firstSlots, entries: 0 };

  /** `state` gives what entries() returned before, by key, or null. E_CORRUPT when it is not that. */
  constructor(
    readonly column: string,
    private readonly atLeast: number,
    state: (key: string) => string | null,
    private readonly slots = mostSlots,
  ) {
    const stored = state(this.#key());
    if (stored === null) return;
    try {
      this.#load(header.parse(JSON.parse(stored)), state);
    } catch (error) {
      throw new SluiceError('E_CORRUPT', `the counts of column '${column}' cannot be read`, {
        hint: 'remove the dataset and ingest it again',
        cause: error,
      });
    }
  }

  /** Counts a value once more; whether it is frequent now. */
  add(hash: number): boolean {
    if (this.#log !== undefined && this.#log.push(hash) > maxLog) this.#log = undefined;
    return this.#count(hash) >= this.atLeast;
  }

  /** The state entries that changed since the last call: none when nothing was counted. */
  entries(): Record<string, string> {
    if (this.#log === undefined) return this.#snapshot();
    if (this.#log.length === this.#stored) return {};
    const changed: Record<string, string> = {};
    for (let first = this.#stored - (this.#stored % logPage); first < this.#log.length; first += logPage)
      changed[this.#key(`log${first / logPage}`)] = packed(Uint32Array.from(this.#log.slice(first, first + logPage)));
    this.#stored = this.#log.length;
    changed[this.#key()] = JSON.stringify({ ...this.#snapshotOf, log: this.#stored });
    return changed;
  }

  #count(hash: number): number {
    const key = hash === 0 ? 1 : hash;
    const slot = this.#find(key);
    if (this.#keys[slot] === 0) {
      this.#keys[slot] = key;
      this.#counts[slot] = 1;
      if (++this.#used > 0.75 * this.#keys.length) this.#grow();
      return 1;
    }
    if (this.#counts[slot]! < this.atLeast) this.#counts[slot]!++;
    return this.#counts[slot]!;
  }

  /** Of the key, or the free one where it belongs. Linear probing (Knuth, TAOCP 3, 6.4, algorithm L). */
  #find(key: number): number {
    const mask = this.#keys.length - 1;
    let slot = (Math.imul(key, 0x9e3779b1) >>> 8) & mask;
    while (this.#keys[slot] !== 0 && this.#keys[slot] !== key) slot = (slot + 1) & mask;
    return slot;
  }

  /** Twice as many slots; at the bound those who were seen least go, and those who have a code by now. */
  #grow(): void {
    const [keys, counts] = [this.#keys, this.#counts];
    const bounded = keys.length >= this.slots;
    const least = bounded ? this.#leastKept() : 0;
    const slots = bounded ? keys.length : 2 * keys.length;
    this.#keys = new Uint32Array(slots);
    this.#counts = new Uint16Array(slots);
    this.#used = 0;
    for (let i = 0; i < keys.length; i++)
      if (keys[i] !== 0 && counts[i]! >= least && counts[i]! < this.atLeast) this.#set(keys[i]!, counts[i]!);
  }

  /** The smallest count such that at most half of the slots hold that or more. */
  #leastKept(): number {
    const of = new Float64Array(this.atLeast + 1);
    for (let i = 0; i < this.#keys.length; i++) if (this.#keys[i] !== 0) of[this.#counts[i]!]!++;
    let least = this.atLeast;
    for (let kept = 0; least > 1 && kept + of[least - 1]! <= this.#keys.length / 2; least--) kept += of[least - 1]!;
    return least;
  }

  #set(key: number, count: number): void {
    const slot = this.#find(key);
    if (key === 0 || this.#keys[slot] === key) throw new Error('it has an entry twice');
    this.#keys[slot] = key;
    this.#counts[slot] = count;
    this.#used++;
  }

  #snapshot(): Record<string, string> {
    const changed: Record<string, string> = {};
    let [page, at] = [0, 0];
    const bytes = Buffer.alloc(6 * Math.min(this.#used, snapshotPage));
    const turn = () => {
      changed[this.#key(String(page++))] = bytes.toString('base64', 0, at);
      at = 0;
    };
    for (let i = 0; i < this.#keys.length; i++) {
      if (this.#keys[i] === 0) continue;
      bytes.writeUInt32LE(this.#keys[i]!, at);
      bytes.writeUInt16LE(this.#counts[i]!, at + 4);
      at += 6;
      if (at === bytes.length) turn();
    }
    if (at > 0) turn();
    this.#snapshotOf = { slots: this.#keys.length, entries: this.#used };
    this.#log = [];
    this.#stored = 0;
    changed[this.#key()] = JSON.stringify({ ...this.#snapshotOf, log: 0 });
    return changed;
  }

  #load({ slots, entries, log }: z.output<typeof header>, state: (key: string) => string | null): void {
    if (entries > 0.75 * slots || !Number.isInteger(Math.log2(slots))) throw new Error('its sizes do not fit each other');
    this.#keys = new Uint32Array(slots);
    this.#counts = new Uint16Array(slots);
    for (let page = 0; page * snapshotPage < entries; page++) {
      const bytes = unpacked(state(this.#key(String(page))), 6 * Math.min(snapshotPage, entries - page * snapshotPage));
      for (let at = 0; at < bytes.length; at += 6) this.#set(bytes.readUInt32LE(at), bytes.readUInt16LE(at + 4));
    }
    this.#snapshotOf = { slots, entries };
    for (let first = 0; first < log; first += logPage) {
      const bytes = unpacked(state(this.#key(`log${first / logPage}`)), 4 * Math.min(logPage, log - first));
      for (let at = 0; at < bytes.length; at += 4) this.add(bytes.readUInt32LE(at));
    }
    this.#stored = log;
  }

  #key(page = ''): string {
    return `seen${page}:${this.column}`;
  }
}

function packed(hashes: Uint32Array): string {
  return Buffer.from(hashes.buffer, hashes.byteOffset, hashes.byteLength).toString('base64');
}

function unpacked(stored: string | null, length: number): Buffer {
  const bytes = Buffer.from(stored ?? '', 'base64');
  if (bytes.length < length) throw new Error('a page is missing or cut off');
  return bytes.subarray(0, length);
}
