// One page of a flat column: from its bytes to values, null where there is none. Encodings are decoded by hyparquet,
// except the hybrid of run lengths and packed bits.
import type { DataReader, DecodedArray, Encoding, PageHeader, ParquetParsers, SchemaElement } from 'hyparquet';
import { convert } from 'hyparquet/src/convert.js';
import { deltaBinaryUnpack, deltaByteArray, deltaLengthByteArray } from 'hyparquet/src/delta.js';
import { byteStreamSplit } from 'hyparquet/src/encoding.js';
import { readPlain } from 'hyparquet/src/plain.js';
import type { ColumnValues } from '../types.js';
import { checkDeltaPacked, checkDeltaText } from './delta.js';
import { decodeHybrid } from './hybrid.js';

/** A page without compression: definition levels in bytes [levels, values), then the values. */
export type Page = { bytes: Uint8Array; levels: number; values: number; rows: number; encoding: Encoding };

/** 256 bits, the widest decimals that writers know. */
const maxDecimalBytes = 32;

const utf8 = new TextDecoder('utf-8', { fatal: true });

const floorDivide = (value: bigint, divisor: bigint) => (value - (((value % divisor) + divisor) % divisor)) / divisor;

const parsers = {
  timestampFromMilliseconds: (value: bigint) => new Date(Number(value)),
  timestampFromMicroseconds: (value: bigint) => new Date(Number(floorDivide(value, 1000n))),
  timestampFromNanoseconds: (value: bigint) => new Date(Number(floorDivide(value, 1_000_000n))),
  dateFromDays: (days: number) => new Date(days * 86_400_000),
  stringFromBytes: (bytes: Uint8Array) => utf8.decode(bytes),
  jsonFromBytes: (bytes: Uint8Array) => utf8.decode(bytes),
  uuidFromBytes: (bytes: Uint8Array) =>
    Buffer.from(bytes)
      .toString('hex')
      .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'),
};

/** The values of a data page in the order of their rows. Throws what is wrong with it. */
export function decodePage(page: Page, element: SchemaElement, dictionary: ColumnValues | undefined): ColumnValues {
  if (element.repetition_type === 'REQUIRED') return decodeValues(page, page.rows, element, dictionary);
  const present = new Uint8Array(page.rows);
  decodeHybrid(page.bytes, page.levels, page.values, 1, present);
  let count = 0;
  for (let i = 0; i < present.length; i++) count += present[i]!;
  const values = decodeValues(page, count, element, dictionary);
  return count === page.rows ? values : withNulls(values, present);
}

/** The entries of a dictionary page. */
export function decodeDictionary(bytes: Uint8Array, header: PageHeader, element: SchemaElement): ColumnValues {
  const values = plain(bytes, 0, header.dictionary_page_header!.num_values, element);
  return ArrayBuffer.isView(values) && typeof values[0] === 'number' ? Float64Array.from(values as ArrayLike<number>) : values;
}

function withNulls(values: ColumnValues, present: Uint8Array): ColumnValues {
  const result: ColumnValues[number][] = new Array(present.length);
  for (let i = 0, at = 0; i < present.length; i++) result[i] = present[i] === 1 ? values[at++] : null;
  return result;
}

function decodeValues(
  { bytes, values: at, encoding }: Page,
  count: number,
  element: SchemaElement,
  dictionary: ColumnValues | undefined,
): ColumnValues {
  if (count === 0) return [];
  if (encoding === 'PLAIN') return plain(bytes, at, count, element);
  if (encoding === 'PLAIN_DICTIONARY' || encoding === 'RLE_DICTIONARY') return looked(bytes, at, count, dictionary);
  if (encoding === 'RLE' && element.type === 'BOOLEAN') return booleans(bytes, at, count);
  const reader = readerOf(bytes, at);
  if (encoding === 'DELTA_BINARY_PACKED' && (element.type === 'INT32' || element.type === 'INT64')) {
    checkDeltaPacked(bytes, at, count);
    const numbers = element.type === 'INT32' ? new Int32Array(count) : new BigInt64Array(count);
    deltaBinaryUnpack(reader, count, numbers);
    return converted(numbers, element);
  }
  if (encoding === 'DELTA_LENGTH_BYTE_ARRAY' || encoding === 'DELTA_BYTE_ARRAY') {
    const prefixed = encoding === 'DELTA_BYTE_ARRAY';
    checkDeltaText(bytes, at, count, prefixed);
    const texts: Uint8Array[] = new Array(count);
    (prefixed ? deltaByteArray : deltaLengthByteArray)(reader, count, texts);
    return converted(texts, element);
  }
  if (encoding === 'BYTE_STREAM_SPLIT') {
    checkRoom(bytes, at, count, element);
    return converted(byteStreamSplit(reader, count, element.type!, element.type_length), element);
  }
  throw new Error(`encoding ${encoding} of ${element.type} values is not supported`);
}

function plain(bytes: Uint8Array, at: number, count: number, element: SchemaElement): ColumnValues {
  checkRoom(bytes, at, count, element);
  if (count === 0) return [];
  const reader = readerOf(bytes, at);
  const values = readPlain(reader, element.type!, count, element.type_length);
  if (reader.offset > bytes.length) throw new Error('the values of a page are longer than the page');
  return converted(values, element);
}

/** A value takes at least so many bits in a plain page: what is allocated for `count` values is there. */
function checkRoom(bytes: Uint8Array, at: number, count: number, { type }: SchemaElement): void {
  const bits = type === 'BOOLEAN' ? 1 : type === 'FIXED_LEN_BYTE_ARRAY' ? 8 : 32;
  if (!(Number.isInteger(count) && count >= 0 && count * bits <= (bytes.length - at) * 8)) {
    throw new Error(`${count} values do not fit into ${bytes.length - at} bytes`);
  }
}

function looked(bytes: Uint8Array, at: number, count: number, dictionary: ColumnValues | undefined): ColumnValues {
  if (dictionary === undefined) throw new Error('the dictionary page is missing');
  const indices = new Int32Array(count);
  decodeHybrid(bytes, at + 1, bytes.length, bytes[at] ?? 0, indices);
  const { length } = dictionary;
  const result: ColumnValues[number][] | Float64Array = dictionary instanceof Float64Array ? new Float64Array(count) : new Array(count);
  for (let i = 0; i < count; i++) {
    const index = indices[i]!;
    if (index >= length) throw new Error(`value ${index} of a dictionary of ${length} values`);
    result[i] = dictionary[index]!;
  }
  return result;
}

function booleans(bytes: Uint8Array, at: number, count: number): Uint8Array {
  const length = readerOf(bytes, at).view.getUint32(at, true);
  const values = new Uint8Array(count);
  decodeHybrid(bytes, at + 4, at + 4 + length, 1, values);
  return values;
}

function converted(data: DecodedArray, element: SchemaElement): ColumnValues {
  if (element.converted_type === 'DECIMAL' && Array.isArray(data) && data.some((value: Uint8Array) => value.length > maxDecimalBytes)) {
    throw new Error(`a decimal number of more than ${maxDecimalBytes} bytes`);
  }
  const values = convert(data, {
    element,
    parsers: parsers as unknown as ParquetParsers,
    type: element.type!,
    schemaPath: [],
    pathInSchema: [],
    codec: 'UNCOMPRESSED',
  });
  return values instanceof BigInt64Array || values instanceof BigUint64Array ? numbers(values) : (values as ColumnValues);
}

/** 64-bit integers as numbers where all of them are exact: a bigint is an object on the heap. */
function numbers(values: BigInt64Array | BigUint64Array): ColumnValues {
  const halves = new Uint32Array(values.buffer, values.byteOffset, values.length * 2);
  const signed = values instanceof BigInt64Array;
  const result = new Float64Array(values.length);
  for (let i = 0; i < result.length; i++) {
    const high = signed ? halves[2 * i + 1]! | 0 : halves[2 * i + 1]!;
    const value = high * 4_294_967_296 + halves[2 * i]!;
    if (!Number.isSafeInteger(value)) return values;
    result[i] = value;
  }
  return result;
}

function readerOf(bytes: Uint8Array, offset: number): DataReader {
  return { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset };
}
