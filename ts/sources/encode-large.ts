// Columns with many values for each sample: tensors, token ids, bytes.
import { emptyCells } from './cells.js';
import { type Column, isFlat, toNumber } from './column.js';
import type { BytesForm, TensorForm } from './spec.js';
import type { Tokenize } from './tokens.js';

/**
 * [rows, …shape]. A row's value is a list of numbers or a typed array of exactly so many, or text that lists them with
 * blanks, commas or semicolons between and perhaps in brackets; or one typed array holds the values of all rows.
 */
export function encodeTensor(column: Column, form: TensorForm): Uint8Array | Float32Array | Int32Array {
  const { rows, values } = column;
  const elements = form.shape.reduce((product, side) => product * side, 1);
  const cells = emptyCells({ name: column.name, type: form.tensor, shape: [...form.shape] }, rows);
  const fits = fitsOf(form.tensor);
  if (isFlat(values, rows * elements)) {
    for (let i = 0; i < rows * elements; i++) {
      const x = Number(values[i]); // of a BigInt64Array, too
      if (!fits(x)) refuse(column, Math.floor(i / elements), form, String(x));
      cells[i] = x;
    }
    return cells;
  }
  for (let row = 0; row < rows; row++) {
    const list = listOf(values[row]);
    if (list === undefined) column.fail('E_SOURCE', row, `${elements} numbers`);
    if (list.length !== elements) column.fail('E_SOURCE', row, `${elements} numbers`, undefined, `${list.length} of them`);
    for (let i = 0; i < elements; i++) {
      const x = toNumber(list[i]);
      if (!fits(x)) refuse(column, row, form, String(list[i]));
      cells[row * elements + i] = x;
    }
  }
  return cells;
}

function fitsOf(type: TensorForm['tensor']): (x: number) => boolean {
  if (type === 'f32') return (x) => Number.isFinite(Math.fround(x));
  return type === 'i32' ? (x) => x === (x | 0) : (x) => x === (x & 255);
}

function refuse(column: Column, row: number, { tensor }: TensorForm, got: string): never {
  const expected = { f32: 'finite numbers of 32 bits', i32: 'integers of 32 bits', u8: 'integers from 0 to 255' }[tensor];
  return column.fail(tensor === 'f32' ? 'E_NOT_FINITE' : 'E_SOURCE', row, expected, undefined, got);
}

function listOf(value: unknown): ArrayLike<unknown> | undefined {
  if (Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView))) return value as ArrayLike<unknown>;
  if (typeof value !== 'string') return undefined;
  const text = value
    .trim()
    .replace(/^\[(.*)\]$/s, '$1')
    .trim();
  return text === '' ? [] : text.split(/\s*[,;]\s*|\s+/);
}

/** [rows, length] */
export function encodeTokens(column: Column, length: number, tokenize: Tokenize): Int32Array {
  const { rows, values } = column;
  const ids = new Int32Array(rows * length);
  for (let row = 0; row < rows; row++) {
    const value = values[row];
    if (value !== null && value !== undefined && typeof value !== 'string') column.fail('E_SOURCE', row, 'a text');
    tokenize(value ?? '', ids.subarray(row * length, (row + 1) * length));
  }
  return ids;
}

/** For each row its length (u32), its bytes, and zeros up to the capacity filled up to a multiple of 4. */
export function encodeBytes(column: Column, { bytes: capacity }: BytesForm): Uint8Array {
  const { rows, values } = column;
  const width = 4 + 4 * Math.ceil(capacity / 4);
  const cells = Buffer.alloc(rows * width);
  for (let row = 0; row < rows; row++) {
    const value = values[row] ?? '';
    const content = typeof value === 'string' ? Buffer.from(value) : value;
    if (!(content instanceof Uint8Array)) column.fail('E_SOURCE', row, 'bytes or a text');
    if (content.length > capacity)
      column.fail('E_SOURCE', row, `at most ${capacity} bytes`, 'raise the capacity of the column', `${content.length}`);
    cells.writeUInt32LE(content.length, row * width);
    cells.set(content, row * width + 4);
  }
  return cells;
}
