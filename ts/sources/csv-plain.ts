// The lines of a CSV file as long as no field is quoted: most large files never quote, and then a line ends at a line feed
// and a field at a delimiter. csv-parse, which knows the rest of the format, takes five times as long.
import { isAscii } from 'node:buffer';
import { SluiceError } from '../errors.js';

const [lineFeed, carriageReturn, quote] = [10, 13, 34];
export const otherLength = 'every record needs as many fields as the header row; quote fields that contain the delimiter';
const byteOrderMark = Buffer.from('\ufeff');

/** What gathers the rows. */
export type RowSink = {
  /** Takes the names of the columns, and gives for each the place of its values, or -1 where it is not asked for. */
  open(header: readonly string[]): Int32Array;
  /** Whether the next row is one to leave out. */
  skips(): boolean;
  /** The value of the row at that place. */
  put(place: number, text: string | null): void;
  endRow(): void;
};

export class PlainLines {
  /** Complete lines so far. */
  lines = 0;
  /** What was read behind them. */
  rest: Buffer = Buffer.alloc(0);
  header: string[] | undefined;
  #places: Int32Array = new Int32Array(0);

  constructor(
    private readonly name: string,
    readonly delimiter: string,
    private readonly maxLineBytes: number,
    private readonly sink: RowSink,
  ) {}

  /** Reads the chunk, or says that it cannot: then nothing of it is taken. E_SOURCE for lines of another length than the header. */
  take(chunk: Buffer): boolean {
    if (this.delimiter.charCodeAt(0) >= 128 || chunk.includes(quote) || chunk.includes(carriageReturn)) return false;
    if (this.rest.length + chunk.length > this.maxLineBytes) return false;
    let bytes = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    if (this.lines === 0 && bytes.subarray(0, 3).equals(byteOrderMark)) bytes = bytes.subarray(3);
    const end = bytes.lastIndexOf(lineFeed) + 1;
    this.#read(bytes, end);
    this.rest = bytes.subarray(end);
    return true;
  }

  /** The last line, which has no line feed. */
  finish(): void {
    if (this.rest.length === 0) return;
    const bytes = Buffer.concat([this.rest, Buffer.of(lineFeed)]);
    this.#read(bytes, bytes.length);
  }

  #read(bytes: Buffer, end: number): void {
    // Of ASCII, cutting a text costs a third of decoding each field. Whoever keeps a field must copy it: it may hold the whole text.
    const text = isAscii(bytes) ? bytes.toString('latin1') : undefined;
    for (let at = 0; at < end; this.lines++) {
      if (bytes[at] === lineFeed) at++;
      else if (this.header === undefined) at = this.#open(bytes, at);
      else if (this.sink.skips()) at = bytes.indexOf(lineFeed, at) + 1;
      else at = this.#row(bytes, at, text);
    }
  }

  #open(bytes: Buffer, at: number): number {
    const end = bytes.indexOf(lineFeed, at);
    this.header = bytes.toString('utf8', at, end).split(this.delimiter);
    this.#places = this.sink.open(this.header);
    return end + 1;
  }

  #row(bytes: Buffer, first: number, text: string | undefined): number {
    const delimiter = this.delimiter.charCodeAt(0);
    const places = this.#places;
    let start = first;
    let field = 0;
    for (let at = first; ; at++) {
      const byte = bytes[at];
      if (byte !== delimiter && byte !== lineFeed) continue;
      const place = field < places.length ? places[field]! : -1;
      if (place >= 0) this.sink.put(place, start === at ? null : (text?.substring(start, at) ?? bytes.toString('utf8', start, at)));
      field++;
      start = at + 1;
      if (byte === lineFeed) break;
    }
    if (field !== places.length) this.#fail(field);
    this.sink.endRow();
    return start;
  }

  #fail(fields: number): never {
    const line = this.lines + 1;
    const message = `${this.name}:${line}: Invalid Record Length: expect ${this.#places.length}, got ${fields} on line ${line}`;
    throw new SluiceError('E_SOURCE', message, { hint: otherLength });
  }
}
