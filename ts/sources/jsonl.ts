// JSON lines: a JSON object on each line. Streamed.
import { dirname } from 'node:path';
import { SluiceError } from '../errors.js';
import { checkUtf8 } from './bytes.js';
import { contentHash, type SourceFile } from './files.js';
import { lineBlocks } from './lines.js';
import type { ColumnValue, RecordBatch, SourcePart } from './types.js';

const batchRows = 65_536;
/** Of lines: a batch of long ones ends earlier. */
const batchBytes = 2 ** 25;
/** Nested lists are tensors, which have at most 8 dimensions. */
const maxDepth = 8;

type Json = { [name: string]: unknown };

/**
 * The part that a file of JSON lines is. A column is a field of the objects, or by a path such as `user.name` or
 * `versions.0.created` what lies deeper; a field that is null or not there is null. Lists, also nested ones, are tensors.
 * Blank lines are no rows. read() throws E_SOURCE with file and line for what is not JSON, not an object or not
 * UTF-8, for objects as values, and for columns that no line of the first batch has.
 */
export function jsonlPart(file: SourceFile): SourcePart {
  return {
    name: file.name,
    fingerprint: file.fingerprint,
    folder: dirname(file.path),
    contentHash: () => contentHash(file),
    read: (columns, startRow) => readRows(file, columns, startRow),
  };
}

async function* readRows(file: SourceFile, columns: string[], startRow: number): AsyncGenerator<RecordBatch> {
  const collector = new Collector(file.name, columns);
  let toSkip = startRow;
  let bytes = 0;
  for await (const block of lineBlocks(file)) {
    checkUtf8(block.bytes, block.line, file.name);
    for (const { text, line } of linesOf(block.bytes, block.line)) {
      if (toSkip > 0) toSkip--;
      else collector.add(text.toString(), line);
    }
    bytes += block.bytes.length;
    if (collector.rows < batchRows && bytes < batchBytes) continue;
    if (collector.rows > 0) yield collector.batch(startRow === 0);
    bytes = 0;
  }
  if (collector.rows > 0) yield collector.batch(startRow === 0);
}

const [tab, newline, carriageReturn, blank] = [9, 10, 13, 32];

/** The lines that are not blank, without blanks before them and without a byte order mark. */
function* linesOf(bytes: Buffer, firstLine: number): Generator<{ text: Buffer; line: number }> {
  let at = firstLine === 1 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  for (let line = firstLine; at < bytes.length; line++) {
    const found = bytes.indexOf(newline, at);
    const end = found < 0 ? bytes.length : found;
    while (at < end && (bytes[at] === blank || bytes[at] === tab || bytes[at] === carriageReturn)) at++;
    if (at < end) yield { text: bytes.subarray(at, end), line };
    at = end + 1;
  }
}

/** Gathers objects column by column. */
class Collector {
  rows = 0;
  #values: ColumnValue[][];
  readonly #paths: { name: string; keys: string[] }[];
  readonly #found: boolean[];
  #firstFields: string[] | undefined;
  #checked = false;

  constructor(
    private readonly file: string,
    private readonly columns: string[],
  ) {
    this.#values = columns.map(() => []);
    this.#paths = columns.map((name) => ({ name, keys: name.split('.') }));
    this.#found = columns.map(() => false);
  }

  add(text: string, line: number): void {
    const object = this.#parse(text, line);
    this.#firstFields ??= Object.keys(object);
    for (let c = 0; c < this.#paths.length; c++) {
      const value = fieldOf(object, this.#paths[c]!);
      if (value !== undefined) this.#found[c] = true;
      this.#values[c]!.push(typeof value === 'object' && value !== null ? this.#list(value, c, line) : (value as ColumnValue));
    }
    this.rows++;
  }

  /** `complete`: the batch begins with the file's first row, so that a name that nowhere occurs is a mistake. */
  batch(complete: boolean): RecordBatch {
    if (complete && !this.#checked) this.#checkFound();
    this.#checked = true;
    const batch = { rows: this.rows, columns: Object.fromEntries(this.columns.map((column, c) => [column, this.#values[c]!])) };
    this.#values = this.columns.map(() => []);
    this.rows = 0;
    return batch;
  }

  #parse(text: string, line: number): Json {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      throw new SluiceError('E_SOURCE', `${this.file}:${line}: the line is not JSON: ${(error as Error).message}`, {
        hint: 'every line holds one whole JSON object; the file may be cut off',
        cause: error,
      });
    }
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
    const hint = 'every line holds one JSON object; a file that is one list is not of this format: jq -c ".[]" splits it';
    throw new SluiceError('E_SOURCE', `${this.file}:${line}: expected a JSON object, got ${kindOf(value)}`, { hint });
  }

  /** The numbers of a list, row-major where lists lie in it. */
  #list(value: object, c: number, line: number): ColumnValue {
    const fail = (got: string): never => {
      const place = `${this.file}:${line}: column '${this.columns[c]}'`;
      const hint = `the path of a field in an object has dots, e.g. ${this.columns[c]}.name`;
      throw new SluiceError('E_SOURCE', `${place}: expected a text, a number or a list of numbers, got ${got}`, { hint });
    };
    let list = Array.isArray(value) ? (value as unknown[]) : fail('an object');
    for (let depth = 1; list.some(Array.isArray); depth++) {
      const length = (list[0] as unknown[]).length;
      if (depth === maxDepth || !list.every((inner) => Array.isArray(inner) && inner.length === length))
        fail('lists of different lengths or depths');
      list = list.flat();
    }
    if (list.some((item) => typeof item === 'object' && item !== null)) fail('a list of objects');
    return list as ArrayLike<number>;
  }

  #checkFound(): void {
    const c = this.#found.indexOf(false);
    if (c < 0) return;
    const fields = this.#firstFields!;
    const shown = fields.slice(0, 30).join(', ') + (fields.length > 30 ? ', …' : '');
    throw new SluiceError('E_SOURCE', `${this.file}: none of its first ${this.rows} rows has a field '${this.columns[c]}'`, {
      hint: `the first one has the fields ${shown}; a field that is null counts as being there`,
    });
  }
}

/** Undefined where it is not there. A field whose name has dots itself comes first. */
function fieldOf(object: Json, { name, keys }: { name: string; keys: readonly string[] }): unknown {
  if (Object.hasOwn(object, name)) return object[name];
  if (keys.length === 1) return undefined;
  let value: unknown = object;
  for (const key of keys) {
    if (value === null) return null;
    if (typeof value !== 'object' || !Object.hasOwn(value as Json, key)) return undefined;
    value = (value as Json)[key];
  }
  return value;
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'a list' : `a ${typeof value}`;
}
