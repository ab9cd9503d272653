// JSON lines: a JSON object on each line. Streamed.
import { SluiceError } from '../errors.js';
import { batchRowsFor } from './batch-size.js';
import { checkUtf8 } from './bytes.js';
import { Collector } from './collector.js';
import { identityOf, localFolderOf, type SourceFile } from './files.js';
import { columnValue, type FieldPath, fieldOf, fieldPath, isObject, type Json, kindOf } from './json-values.js';
import { lineBlocks } from './lines.js';
import type { RecordBatch, SourcePart } from './types.js';

/** Of lines: a batch of long ones ends earlier. */
const batchBytes = 2 ** 25;
/**
 * The part that a file of JSON lines is. A column is a field of the objects, or by a path such as `user.name` or
 * `versions.0.created` what lies deeper; a field that is null or not there is null. Lists, also nested ones, are tensors.
 * Blank lines are no rows. read() throws E_SOURCE with file and line for what is not JSON, not an object or not
 * UTF-8, for objects as values, and for columns that none of the first 65,536 objects has.
 */
export function jsonlPart(file: SourceFile): SourcePart {
  return {
    ...identityOf(file),
    ...localFolderOf(file),
    read: (columns, startRow) => readRows(file, columns, startRow),
  };
}

async function* readRows(file: SourceFile, columns: string[], startRow: number): AsyncGenerator<RecordBatch> {
  const objects = new Objects(file.name, columns, startRow === 0);
  const batchRows = batchRowsFor(columns.length);
  let toSkip = startRow;
  let bytes = 0;
  for await (const block of lineBlocks(file)) {
    checkUtf8(block.bytes, block.line, file.name);
    for (const { text, line } of linesOf(block.bytes, block.line)) {
      if (toSkip > 0) toSkip--;
      else objects.add(text.toString(), line);
    }
    bytes += block.bytes.length;
    if (objects.rows < batchRows && bytes < batchBytes) continue;
    if (objects.rows > 0) yield objects.batch();
    bytes = 0;
  }
  if (objects.anyRows) yield objects.batch(true);
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

class Objects {
  readonly collector: Collector;
  readonly #paths: FieldPath[];
  /** Of the first object. */
  #fields: string[] | undefined;

  constructor(
    private readonly file: string,
    private readonly columns: string[],
    whole: boolean,
  ) {
    this.collector = new Collector(file, columns, whole);
    this.#paths = columns.map(fieldPath);
  }

  get anyRows(): boolean {
    return this.#fields !== undefined;
  }

  get rows(): number {
    return this.collector.rows;
  }

  add(text: string, line: number): void {
    const object = this.#parse(text, line);
    this.#fields ??= Object.keys(object);
    this.collector.add((c) => columnValue(fieldOf(object, this.#paths[c]!), (got) => this.#fail(c, line, got)));
  }

  batch(last = false): RecordBatch {
    return this.collector.batch(this.#fields ?? [], last);
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
    if (isObject(value)) return value;
    const hint = 'every line holds one JSON object; a file that is one list is not of this format: jq -c ".[]" splits it';
    throw new SluiceError('E_SOURCE', `${this.file}:${line}: expected a JSON object, got ${kindOf(value)}`, { hint });
  }

  #fail(c: number, line: number, got: string): never {
    const place = `${this.file}:${line}: column '${this.columns[c]}'`;
    const hint = `the path of a field in an object has dots, e.g. ${this.columns[c]}.name`;
    throw new SluiceError('E_SOURCE', `${place}: expected a text, a number or a list of numbers, got ${got}`, { hint });
  }
}
