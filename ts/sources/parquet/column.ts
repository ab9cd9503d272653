// The pages of one column in one row group, in order. Only the bytes of the current page are in memory.
import * as zlib from 'node:zlib';
import type { PageHeader } from 'hyparquet';
import { parquetHeader } from 'hyparquet/src/column.js';
import type { OpenFile } from '../../files/file-system.js';
import type { ColumnValues } from '../types.js';
import { decompress } from './codecs.js';
import { type Chunk, maxPageValues } from './footer.js';
import { decodeDictionary, decodePage, type Page } from './page.js';
import { checkStruct, ThriftEndError } from './thrift.js';

const readBytes = 2 ** 18;
/** Headers with statistics of long texts are larger than most. */
const headerBytes = 2 ** 12;
const maxHeaderBytes = 2 ** 20;

export class ColumnReader {
  #bytes: Uint8Array = new Uint8Array(0);
  #at: number;
  #dictionary: ColumnValues | undefined;
  #rowsLeft: number;

  constructor(
    private readonly file: OpenFile,
    private readonly chunk: Chunk,
  ) {
    this.#at = chunk.start;
    this.#rowsLeft = chunk.rows;
    file.expect(chunk.start, chunk.end);
  }

  /** Values of the next page that has rows behind the next `skip` ones, and how many rows were passed over before it. */
  async next(skip: number): Promise<{ skipped: number; values: ColumnValues }> {
    for (let skipped = 0; ; ) {
      const header = await this.#header();
      const stored = await this.#take(header.compressed_page_size);
      checkCrc(stored, header.crc);
      if (header.type === 'DICTIONARY_PAGE') this.#setDictionary(stored, header);
      if (header.type !== 'DATA_PAGE' && header.type !== 'DATA_PAGE_V2') continue;
      const rows = this.#rowsOf(header);
      this.#rowsLeft -= rows;
      if (skipped + rows > skip)
        return { skipped, values: decodePage(this.#open(stored, header, rows), this.chunk.column.element, this.#dictionary) };
      skipped += rows;
    }
  }

  async #header(): Promise<PageHeader> {
    for (let wanted = headerBytes; ; wanted = maxHeaderBytes) {
      const bytes = await this.#peek(wanted);
      try {
        const size = checkStruct(bytes);
        const header = parquetHeader({ view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: 0 });
        checkSizes(header, this.chunk.end - this.#at - size);
        await this.#take(size);
        return header;
      } catch (error) {
        const more = wanted < maxHeaderBytes && this.chunk.end - this.#at > bytes.length;
        if (!(error instanceof ThriftEndError && more)) throw error;
      }
    }
  }

  #rowsOf(header: PageHeader): number {
    const rows = (header.data_page_header ?? header.data_page_header_v2)?.num_values;
    if (rows === undefined || !Number.isInteger(rows) || rows < 0 || rows > maxPageValues || rows > this.#rowsLeft) {
      throw new Error(`a page claims ${rows} values where ${this.#rowsLeft} rows are left`);
    }
    return rows;
  }

  #setDictionary(stored: Uint8Array, header: PageHeader): void {
    if (header.dictionary_page_header === undefined) throw new Error('a dictionary page has no header');
    const bytes = decompress(this.chunk.codec, stored, header.uncompressed_page_size);
    this.#dictionary = decodeDictionary(bytes, header, this.chunk.column.element);
  }

  #open(stored: Uint8Array, header: PageHeader, rows: number): Page {
    const optional = this.chunk.column.element.repetition_type !== 'REQUIRED';
    const v2 = header.data_page_header_v2;
    if (header.type === 'DATA_PAGE_V2' && v2) {
      const levels = v2.repetition_levels_byte_length;
      const before = levels + v2.definition_levels_byte_length;
      if (!(levels >= 0 && before >= levels && before <= stored.length && before <= header.uncompressed_page_size)) {
        throw new Error('the levels of a page are longer than the page');
      }
      const length = header.uncompressed_page_size - before;
      const codec = v2.is_compressed === false ? 'UNCOMPRESSED' : this.chunk.codec;
      const values = decompress(codec, stored.subarray(before), length);
      // One piece, as in the first version of data pages.
      const bytes = new Uint8Array(before + length);
      bytes.set(stored.subarray(0, before));
      bytes.set(values, before);
      return { bytes, levels, values: before, rows, encoding: v2.encoding };
    }
    const v1 = header.data_page_header;
    if (v1 === undefined) throw new Error('a data page has no header');
    const bytes = decompress(this.chunk.codec, stored, header.uncompressed_page_size);
    if (!optional) return { bytes, levels: 0, values: 0, rows, encoding: v1.encoding };
    if (v1.definition_level_encoding !== 'RLE')
      throw new Error(`definition levels of encoding ${v1.definition_level_encoding} are not supported`);
    if (bytes.length < 4) throw new Error('the levels of a page are missing');
    const levels = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
    if (levels > bytes.length - 4) throw new Error('the levels of a page are longer than the page');
    return { bytes, levels: 4, values: 4 + levels, rows, encoding: v1.encoding };
  }

  /** At least `count` bytes from here on, or all that the column has. */
  async #peek(count: number): Promise<Uint8Array> {
    const wanted = Math.min(count, this.chunk.end - this.#at);
    if (wanted === 0) throw new Error(`its pages end ${this.#rowsLeft} rows too early`);
    if (this.#bytes.length < wanted)
      this.#bytes = await this.file.read(this.#at, Math.max(wanted, Math.min(readBytes, this.chunk.end - this.#at)));
    return this.#bytes;
  }

  async #take(count: number): Promise<Uint8Array> {
    if (count === 0) return new Uint8Array(0);
    const bytes = (await this.#peek(count)).subarray(0, count);
    this.#bytes = this.#bytes.subarray(count);
    this.#at += count;
    return bytes;
  }
}

function checkSizes(header: PageHeader, most: number): void {
  const { compressed_page_size: stored, uncompressed_page_size: size } = header;
  if (!(Number.isInteger(stored) && stored >= 0 && stored <= most && Number.isInteger(size) && size >= 0)) {
    throw new Error(`a page claims ${stored} bytes where ${most} are left`);
  }
}

/** Checksums are optional in the format, and node:zlib has the function from Node 20.15 and 22.2 on. */
function checkCrc(stored: Uint8Array, expected: number | undefined): void {
  if (expected === undefined || typeof zlib.crc32 !== 'function') return;
  if (zlib.crc32(stored) !== expected >>> 0) throw new Error('the checksum of a page is wrong');
}
