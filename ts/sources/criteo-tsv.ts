// Criteo's click logs as they are published: tab-separated lines without a header, a file for each day (or for several).
// Columns: label; I1 … I13, numbers; C1 … C26, categories of eight hexadecimal digits; time, which is made from the day.
import { SluiceError } from '../errors.js';
import { batchRowsFor } from './batch-size.js';
import type { SourceFile } from './files.js';
import { countLines, lineBlocks } from './lines.js';
import type { CriteoTsvSource } from './spec.js';
import type { ColumnValues, RecordBatch, SourcePart } from './types.js';

const numbers = 13;
const categories = 26;
const fields = 1 + numbers + categories;
const batchRows = batchRowsFor(fields);
const dayMs = 86_400_000;

const names = [
  'label',
  ...Array.from({ length: numbers }, (_, i) => `I${i + 1}`),
  ...Array.from({ length: categories }, (_, i) => `C${i + 1}`),
];

/**
 * The parts that the files are, by day: the number in names like day_7.gz, or else their place in the list. The n-th of a file's rows lies
 * n / rows of its days behind their beginning. E_SOURCE where two files are of one day; read() throws E_SOURCE with file,
 * line, column and value for lines of another layout.
 */
export function criteoTsvParts(files: readonly SourceFile[], source: CriteoTsvSource): SourcePart[] {
  return inOrderOfDays(files, source.days).map(({ file, day }) => {
    const span = { firstMs: source.start + day * dayMs, ms: source.days * dayMs };
    const place = `${span.firstMs}-${span.ms}`;
    let rows: Promise<number> | undefined;
    const counted = () => (rows ??= countRows(file));
    return {
      name: file.name,
      fingerprint: `${file.fingerprint} ${place}`,
      contentHash: async () => `${await file.contentHash()} ${place}`,
      read: (columns, startRow) => readRows(file, columns, startRow, { missing: source.missing, span, counted }),
    };
  });
}

function inOrderOfDays(files: readonly SourceFile[], days: number): { file: SourceFile; day: number }[] {
  const numbered = files.map((file) => ({ file, day: Number(/day[_-]?(\d{1,6})[^/]*$/i.exec(file.path)?.[1] ?? Number.NaN) }));
  if (numbered.some(({ day }) => Number.isNaN(day))) return files.map((file, i) => ({ file, day: i * days }));
  numbered.sort((a, b) => a.day - b.day);
  const second = numbered.findIndex(({ day }, i) => numbered[i - 1]?.day === day);
  if (second < 0) return numbered;
  throw new SluiceError(
    'E_SOURCE',
    `${numbered[second]!.file.name} is of day ${numbered[second]!.day} as ${numbered[second - 1]!.file.name} is`,
    {
      hint: 'the number behind day_ in the name of a file tells its day: name each day once',
    },
  );
}

async function countRows(file: SourceFile): Promise<number> {
  let [lines, open] = [0, false];
  for await (const { bytes } of lineBlocks(file)) {
    lines += countLines(bytes);
    open = bytes[bytes.length - 1] !== newline;
  }
  return lines + (open ? 1 : 0);
}

type Span = { firstMs: number; ms: number };
type ReadOptions = { missing: number; span: Span; counted: () => Promise<number> };

async function* readRows(file: SourceFile, columns: string[], startRow: number, options: ReadOptions): AsyncGenerator<RecordBatch> {
  const places = columns.map((column) => placeOf(column, file.name));
  const total = columns.includes('time') ? await options.counted() : 0;
  if (columns.every((column) => column === 'time')) return yield* times(startRow, total, options.span);
  const parser = new RowParser(file.name, places, options.missing);
  let row = startRow;
  const batch = (): RecordBatch => {
    const taken = parser.take();
    const values = columns.map((column, i): [string, ColumnValues] => [
      column,
      taken.columns[i] ?? timesOf(row, taken.rows, total, options.span),
    ]);
    row += taken.rows;
    return { rows: taken.rows, columns: Object.fromEntries(values) };
  };
  let toSkip = startRow;
  for await (const { bytes, line } of lineBlocks(file)) {
    let [at, number] = [0, line];
    for (; toSkip > 0 && at < bytes.length; toSkip--, number++) at = lineEnd(bytes, at) + 1;
    while (at < bytes.length) {
      at = parser.parse(bytes, at, number);
      number = parser.line;
      if (parser.full) yield batch();
    }
  }
  if (parser.rows > 0) yield batch();
}

/** Index of the field, or -1 for the time. */
function placeOf(column: string, file: string): number {
  const place = names.indexOf(column);
  if (place >= 0 || column === 'time') return place;
  throw new SluiceError('E_SOURCE', `${file}: there is no column '${column}'`, {
    hint: `the columns of this format are label, I1 to I${numbers}, C1 to C${categories} and time`,
  });
}

function* times(startRow: number, total: number, span: Span): Generator<RecordBatch> {
  for (let row = startRow; row < total; row += batchRows) {
    const rows = Math.min(batchRows, total - row);
    yield { rows, columns: { time: timesOf(row, rows, total, span) } };
  }
}

function timesOf(firstRow: number, rows: number, total: number, { firstMs, ms }: Span): Date[] {
  return Array.from({ length: rows }, (_, i) => new Date(firstMs + Math.floor(((firstRow + i) / total) * ms)));
}

const [tab, newline, carriageReturn, minus, zero, nine] = [9, 10, 13, 45, 48, 57];

function lineEnd(bytes: Buffer, at: number): number {
  const end = bytes.indexOf(newline, at);
  return end < 0 ? bytes.length : end;
}

/** Value of a lower-case hexadecimal digit, else -1. */
const hexDigits = Int32Array.from({ length: 256 }, (_, byte) => '0123456789abcdef'.indexOf(String.fromCharCode(byte)));

/** Texts that were made before, by column: most values occur again soon, and then nothing has to be made or hashed anew. */
const knownTexts = 2 ** 15;
type KnownTexts = { codes: Uint32Array; texts: (string | undefined)[] };

/** Parses rows into columns of at most batchRows values. */
class RowParser {
  rows = 0;
  /** Number of the line behind the last one that was parsed. */
  line = 0;
  /** By field: where its values go. */
  #numbers: (Float64Array | undefined)[];
  #texts: ((string | null)[] | undefined)[];
  readonly #known: (KnownTexts | undefined)[];

  constructor(
    private readonly file: string,
    /** By column: the index of its field, -1 for a column that is not parsed. */
    private readonly places: readonly number[],
    private readonly missing: number,
  ) {
    this.#numbers = this.#newNumbers();
    this.#texts = this.#newTexts();
    this.#known = names.map((_, field) =>
      this.#texts[field] ? { codes: new Uint32Array(knownTexts), texts: new Array(knownTexts) } : undefined,
    );
  }

  get full(): boolean {
    return this.rows === batchRows;
  }

  take(): { rows: number; columns: (ColumnValues | undefined)[] } {
    const rows = this.rows;
    const columns = this.places.map((place) => this.#numbers[place]?.subarray(0, rows) ?? this.#texts[place]);
    this.#numbers = this.#newNumbers();
    this.#texts = this.#newTexts();
    this.rows = 0;
    return { rows, columns };
  }

  /** Parses lines from `at` on, until the bytes end or the batch is full; returns where it stopped. `line`: number of the first. */
  parse(bytes: Buffer, at: number, line: number): number {
    this.line = line;
    while (at < bytes.length && this.rows < batchRows) {
      at = this.#row(bytes, at);
      this.rows++;
      this.line++;
    }
    return at;
  }

  #row(bytes: Buffer, start: number): number {
    let at = start;
    for (let field = 0; field <= numbers; field++) at = this.#number(bytes, at, field, start) + 1;
    for (let field = numbers + 1; field < fields - 1; field++) at = this.#category(bytes, at, field, start, tab) + 1;
    at = this.#category(bytes, at, fields - 1, start, newline);
    return at + 1;
  }

  /** A whole number, which may be missing, and the tab behind it. Returns where that is. */
  #number(bytes: Buffer, first: number, field: number, start: number): number {
    const negative = bytes[first] === minus;
    let at = negative ? first + 1 : first;
    let value = 0;
    let byte = bytes[at]!;
    const digits = at;
    for (; byte >= zero && byte <= nine; byte = bytes[++at]!) value = value * 10 + (byte - zero);
    const count = at - digits;
    if (byte !== tab || count > 15 || (count === 0 && (negative || field === 0))) this.#fail(bytes, start, field, 'a whole number');
    const into = this.#numbers[field];
    if (into !== undefined) into[this.rows] = count === 0 ? this.missing : negative ? -value : value;
    return at;
  }

  /** Eight hexadecimal digits or nothing, and `end` behind them. Returns where that is. */
  #category(bytes: Buffer, first: number, field: number, start: number, end: number): number {
    const into = this.#texts[field];
    if (isEnd(bytes, first, end)) {
      if (into !== undefined) into[this.rows] = null;
      return endAt(bytes, first);
    }
    if (first + 8 > bytes.length) this.#fail(bytes, start, field, 'eight hexadecimal digits or nothing');
    let code = 0;
    let bad = 0;
    for (let at = first; at < first + 8; at++) {
      const digit = hexDigits[bytes[at]!]!;
      code = (code << 4) | digit;
      bad |= digit;
    }
    if (bad < 0 || !isEnd(bytes, first + 8, end)) this.#fail(bytes, start, field, 'eight hexadecimal digits or nothing');
    if (into !== undefined) into[this.rows] = this.#text(bytes, first, field, code >>> 0);
    return endAt(bytes, first + 8);
  }

  #text(bytes: Buffer, first: number, field: number, code: number): string {
    const { codes, texts } = this.#known[field]!;
    const slot = (Math.imul(code, 0x9e3779b1) >>> 17) & (knownTexts - 1);
    const known = texts[slot];
    if (known !== undefined && codes[slot] === code) return known;
    const text = bytes.toString('latin1', first, first + 8);
    codes[slot] = code;
    texts[slot] = text;
    return text;
  }

  #newNumbers(): (Float64Array | undefined)[] {
    return names.map((_, field) => (field <= numbers && this.places.includes(field) ? new Float64Array(batchRows) : undefined));
  }

  #newTexts(): ((string | null)[] | undefined)[] {
    return names.map((_, field) => (field > numbers && this.places.includes(field) ? [] : undefined));
  }

  #fail(bytes: Buffer, start: number, field: number, expected: string): never {
    const line = bytes.toString('utf8', start, lineEnd(bytes, start)).replace(/\r$/, '');
    const found = line.split('\t');
    const place = `${this.file}:${this.line}`;
    const hint = `a line of Criteo's logs has a label, ${numbers} whole numbers and ${categories} categories of eight hexadecimal digits, with tabs between`;
    if (found.length !== fields) throw new SluiceError('E_SOURCE', `${place}: expected ${fields} fields, got ${found.length}`, { hint });
    const got = JSON.stringify(found[field]!.slice(0, 60));
    throw new SluiceError('E_SOURCE', `${place}: column '${names[field]}': expected ${expected}, got ${got}`, { hint });
  }
}

/** Whether a field ends at `at`: before a tab, or (of a line's last one) before the line end or the end of the bytes. */
function isEnd(bytes: Buffer, at: number, end: number): boolean {
  const byte = bytes[at];
  if (byte === end) return true;
  return end === newline && (byte === undefined || (byte === carriageReturn && (bytes[at + 1] === newline || at + 1 === bytes.length)));
}

function endAt(bytes: Buffer, at: number): number {
  return bytes[at] === carriageReturn ? at + 1 : at;
}
