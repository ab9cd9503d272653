// Gathers rows column by column, for sources that have no header: what columns there are shows in the rows.
import { SluiceError } from '../errors.js';
import type { ColumnValue, RecordBatch } from './types.js';

/** So many rows are looked at before a column that none of them has counts as a mistake. */
const checkedRows = 65_536;

export class Collector {
  /** Of the batch that is being gathered. */
  rows = 0;
  #before = 0;
  #values: ColumnValue[][];
  readonly #found: boolean[];
  #checked: boolean;

  /** `whole`: the rows begin with the part's first one, so that a column that nowhere occurs is a mistake. */
  constructor(
    private readonly file: string,
    private readonly columns: readonly string[],
    whole: boolean,
  ) {
    this.#values = columns.map(() => []);
    this.#found = columns.map(() => false);
    this.#checked = !whole;
  }

  /** `valueAt(c)`: the row's value of the column at `c`; undefined where the row does not have it. */
  add(valueAt: (c: number) => ColumnValue): void {
    for (let c = 0; c < this.columns.length; c++) {
      const value = valueAt(c);
      if (value !== undefined) this.#found[c] = true;
      this.#values[c]!.push(value ?? null);
    }
    this.rows++;
  }

  /**
   * `known`: names that rows have, for the message; `last`: no batch follows. E_SOURCE where none of the first rows has a
   * column.
   */
  batch(known: readonly string[], last = false): RecordBatch {
    this.#before += this.rows;
    if (!this.#checked && (last || this.#before >= checkedRows)) this.#check(known);
    const batch = { rows: this.rows, columns: Object.fromEntries(this.columns.map((column, c) => [column, this.#values[c]!])) };
    this.#values = this.columns.map(() => []);
    this.rows = 0;
    return batch;
  }

  #check(known: readonly string[]): void {
    this.#checked = true;
    const c = this.#found.indexOf(false);
    if (c < 0) return;
    const shown = known.slice(0, 30).join(', ') + (known.length > 30 ? ', …' : '');
    throw new SluiceError('E_SOURCE', `${this.file}: none of its first ${this.#before} rows has a '${this.columns[c]}'`, {
      hint: `the first one has ${shown}`,
    });
  }
}
