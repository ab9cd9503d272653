// CSV files: a header row, then records. Streamed; compressed files are decompressed on the way.
import { CsvError, type Parser, parse } from 'csv-parse';
import { SluiceError } from '../errors.js';
import { batchRowsFor } from './batch-size.js';
import { bytesOf, checkUtf8, unreadable } from './bytes.js';
import { otherLength, PlainLines, type RowSink } from './csv-plain.js';
import { identityOf, localFolderOf, type SourceFile } from './files.js';
import type { RecordBatch, SourcePart } from './types.js';

const maxRecordBytes = 2 ** 24;
const delimiters = [',', ';', '\t'];

/**
 * The part that a CSV file is. Values are text; an empty field is null. Without `delimiter` it is the one of comma,
 * semicolon and tab that the header row has most of. read() throws E_SOURCE with file and line for
 * records of another length than the header, open quotes, bytes that are not UTF-8, and columns that are not there.
 * Starting at a later row still parses the rows before it.
 */
export function csvPart(file: SourceFile, delimiter?: string): SourcePart {
  return {
    ...identityOf(file),
    ...localFolderOf(file),
    read: (columns, startRow) => readRows(file, delimiter, columns, startRow),
  };
}

/** The names of a file's columns. E_SOURCE as read(). */
export async function csvHeader(file: SourceFile): Promise<string[]> {
  try {
    for await (const chunk of utf8Chunks(bytesOf(file), file.name)) {
      const parser = parse({ delimiter: detectDelimiter(chunk), bom: true, skip_empty_lines: true, to: 1, relax_column_count: true });
      parser.end(chunk);
      for await (const record of parser) return record as string[];
    }
  } catch (error) {
    throw badRecord(file.name, error);
  }
  throw emptyFile(file.name);
}

function emptyFile(name: string): SluiceError {
  const hint = 'a CSV file begins with a header row that names its columns';
  return new SluiceError('E_SOURCE', `${name}: the file is empty`, { hint });
}

async function* readRows(
  file: SourceFile,
  delimiter: string | undefined,
  columns: string[],
  startRow: number,
): AsyncGenerator<RecordBatch> {
  const chunks = utf8Chunks(bytesOf(file), file.name);
  const collector = new Collector(file.name, columns, startRow);
  const batchRows = batchRowsFor(columns.length);
  let plain: PlainLines | undefined;
  let parser: Parser | undefined;
  try {
    for await (const chunk of chunks) {
      const between: string = plain?.delimiter ?? delimiter ?? detectDelimiter(chunk);
      plain ??= new PlainLines(file.name, between, maxRecordBytes, collector);
      if (parser !== undefined || !plain.take(chunk)) {
        parser ??= await createParser(plain, collector);
        await write(parser, chunk);
      }
      collector.check();
      if (collector.rows >= batchRows) yield collector.batch();
    }
    if (parser) await end(parser);
    else plain?.finish();
    collector.check();
  } catch (error) {
    throw badRecord(file.name, error, plain);
  }
  if (!collector.begun) throw emptyFile(file.name);
  if (collector.rows > 0) yield collector.batch();
}

/** Gathers records column by column. */
class Collector implements RowSink {
  rows = 0;
  #values: (string | null)[][];
  #positions: number[] | undefined;
  #toSkip: number;
  #error: unknown;

  constructor(
    private readonly name: string,
    private readonly columns: string[],
    startRow: number,
  ) {
    this.#toSkip = startRow;
    this.#values = columns.map(() => []);
  }

  /** Called by the parser at moments of its own: it must not throw. */
  add(record: string[]): void {
    if (this.#positions === undefined) this.#begin(record);
    else if (this.#toSkip > 0) this.#toSkip--;
    else {
      for (let c = 0; c < this.#positions.length; c++) {
        const text = record[this.#positions[c]!]!;
        this.#values[c]!.push(text === '' ? null : text);
      }
      this.rows++;
    }
  }

  open(header: readonly string[]): Int32Array {
    this.#begin(header);
    this.check();
    return Int32Array.from(header, (_, field) => this.#positions!.indexOf(field));
  }

  skips(): boolean {
    return this.#toSkip > 0 && this.#toSkip-- > 0;
  }

  put(place: number, text: string | null): void {
    this.#values[place]!.push(text);
  }

  endRow(): void {
    this.rows++;
  }

  batch(): RecordBatch {
    const batch = { rows: this.rows, columns: Object.fromEntries(this.columns.map((column, c) => [column, this.#values[c]!])) };
    this.#values = this.columns.map(() => []);
    this.rows = 0;
    return batch;
  }

  /** Throws what was wrong with the header row. */
  check(): void {
    if (this.#error !== undefined) throw this.#error;
  }

  get begun(): boolean {
    return this.#positions !== undefined;
  }

  #begin(header: readonly string[]): void {
    try {
      this.#positions = this.columns.map((column) => findColumn(this.name, header, column));
    } catch (error) {
      this.#error = error;
      this.#positions = [];
    }
  }
}

function findColumn(name: string, header: readonly string[], column: string): number {
  const position = header.indexOf(column);
  const shown = header.slice(0, 30).join(', ') + (header.length > 30 ? ', …' : '');
  const hint = `the header row has the columns ${shown}`;
  if (position < 0) throw new SluiceError('E_SOURCE', `${name}:1: there is no column '${column}'`, { hint });
  if (header.indexOf(column, position + 1) >= 0)
    throw new SluiceError('E_SOURCE', `${name}:1: two columns are named '${column}'`, { hint });
  return position;
}

/** A parser of what follows the lines that were read plainly. */
async function createParser({ delimiter, header, rest }: PlainLines, collector: Collector): Promise<Parser> {
  const parser = parse({
    delimiter,
    bom: true,
    skip_empty_lines: true,
    max_record_size: maxRecordBytes,
  });
  // The option on_record would cost as much as all the parsing.
  let known = header !== undefined;
  parser.on('data', (record: string[]) => {
    if (!known) collector.add(record);
    known = false;
  });
  // write() and end() hand errors over; without a listener the event would end the process.
  parser.on('error', () => {});
  // It counts the fields of the header row, and has it as its first line.
  if (header !== undefined) await write(parser, Buffer.from(`${header.join(delimiter)}\n`));
  if (rest.length > 0) await write(parser, rest);
  return parser;
}

function write(parser: Parser, chunk: Buffer): Promise<void> {
  return new Promise((resolve, reject) => parser.write(chunk, (error) => (error ? reject(error) : resolve())));
}

function end(parser: Parser): Promise<void> {
  return new Promise((resolve, reject) => {
    parser.once('error', reject);
    parser.once('end', resolve);
    parser.end();
  });
}

/** Chunks that end between characters. Throws at the first line that is not UTF-8. */
async function* utf8Chunks(chunks: AsyncIterable<Buffer>, name: string): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  let line = 1;
  for await (const chunk of chunks) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const whole = bytes.subarray(0, bytes.length - unfinished(bytes));
    rest = bytes.subarray(whole.length);
    line = checkUtf8(whole, line, name);
    if (whole.length > 0) yield whole;
  }
  checkUtf8(rest, line, name);
}

/** Bytes at the end that begin a character but do not finish it. */
function unfinished(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!;
    if (byte < 0x80) return 0;
    if (byte >= 0xc0) return back < (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) ? back : 0;
  }
  return 0;
}

/** Looks at the header row, outside of quotes. */
function detectDelimiter(head: Buffer): string {
  const [line = ''] = head
    .toString('utf8')
    .replace(/"[^"]*"/g, '')
    .trimStart()
    .split(/[\r\n]/, 1);
  const count = (delimiter: string) => line.split(delimiter).length;
  return delimiters.reduce((best, delimiter) => (count(delimiter) > count(best) ? delimiter : best));
}

/** `before`: lines that the parser did not see. */
function badRecord(name: string, error: unknown, before?: PlainLines): SluiceError {
  const seen = error instanceof CsvError && typeof error['lines'] === 'number' ? error['lines'] : undefined;
  if (seen === undefined) return unreadable(name, error);
  const { message, code } = error as CsvError;
  const line = seen + (before?.header === undefined ? 0 : before.lines - 1);
  const text = message.replace(`line ${seen}`, `line ${line}`);
  return new SluiceError('E_SOURCE', `${name}:${line}: ${text}`, { hint: advice(code), cause: error });
}

function advice(code: string): string {
  if (code === 'CSV_RECORD_INCONSISTENT_FIELDS_LENGTH') return otherLength;
  if (code === 'CSV_QUOTE_NOT_CLOSED' || code === 'CSV_MAX_RECORD_SIZE')
    return 'a quote is open: close it, or write a quote inside of a quoted field as two';
  return 'write quotes at the beginning and the end of a field only, and those inside of a quoted field as two';
}
