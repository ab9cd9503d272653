// Values in records of fixed width, little-endian, as typed arrays.
import { SluiceError } from '../errors.js';
import type { FieldType } from './spec.js';

export type StoredType = FieldType | 'bool' | 'int64';
export type NumberArray = Int8Array | Uint8Array | Int16Array | Int32Array | Float32Array | Float64Array | BigInt64Array;

/** Bytes of a value. */
export const widthOf: Record<StoredType, number> = {
  bool: 1,
  int8: 1,
  uint8: 1,
  int16: 2,
  int32: 4,
  int64: 8,
  float16: 2,
  float32: 4,
  float64: 8,
};

/** Where a field lies: `stride` bytes from one record to the next, `offset` in a record, `elements` values. */
export type FieldPlace = { type: StoredType; stride: number; offset: number; elements: number; permutation?: Uint32Array | undefined };

/** [rows, elements] of a field, in the order of `permutation` (place in the dataset -> place in the file). */
export function fieldValues(bytes: Uint8Array, rows: number, field: FieldPlace): NumberArray {
  const width = widthOf[field.type] * field.elements;
  const packed = new Uint8Array(rows * width);
  if (field.stride === width) packed.set(bytes.subarray(0, packed.length));
  else
    for (let row = 0; row < rows; row++)
      packed.set(bytes.subarray(row * field.stride + field.offset, row * field.stride + field.offset + width), row * width);
  const values = typed(packed.buffer, field.type);
  return field.permutation === undefined ? values : permuted(values, rows, field.permutation);
}

function typed(buffer: ArrayBuffer, type: StoredType): NumberArray {
  switch (type) {
    case 'int8':
      return new Int8Array(buffer);
    case 'bool':
    case 'uint8':
      return new Uint8Array(buffer);
    case 'int16':
      return new Int16Array(buffer);
    case 'int32':
      return new Int32Array(buffer);
    case 'int64':
      return new BigInt64Array(buffer);
    case 'float16':
      return fromHalves(new Uint16Array(buffer));
    case 'float32':
      return new Float32Array(buffer);
    case 'float64':
      return new Float64Array(buffer);
  }
}

function permuted(values: NumberArray, rows: number, permutation: Uint32Array): NumberArray {
  const result = new (values.constructor as new (length: number) => NumberArray)(values.length);
  for (let row = 0, at = 0; row < rows; row++) {
    const first = row * permutation.length;
    for (let i = 0; i < permutation.length; i++) result[at++] = values[first + permutation[i]!]!;
  }
  return result;
}

/** For each place of the permuted tensor the place in the given one: as torch's permute(). */
export function permutationOf(shape: readonly number[], axes: readonly number[]): Uint32Array {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, side) => product * side, 1));
  const sides = axes.map((axis) => shape[axis]!);
  const places = new Uint32Array(shape.reduce((product, side) => product * side, 1));
  for (let i = 0; i < places.length; i++) {
    let rest = i;
    for (let d = sides.length - 1; d >= 0; d--) {
      places[i]! += (rest % sides[d]!) * strides[axes[d]!]!;
      rest = Math.floor(rest / sides[d]!);
    }
  }
  return places;
}

let halves: Float32Array | undefined;

/** IEEE 754 binary16, by a table of all its values. */
function fromHalves(bits: Uint16Array): Float32Array {
  halves ??= Float32Array.from({ length: 65_536 }, (_, half) => halfValue(half));
  const values = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) values[i] = halves[bits[i]!]!;
  return values;
}

function halfValue(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Rows of a batch of such records, so that it takes some megabytes. */
export function batchRowsOf(recordBytes: number): number {
  return Math.max(1, Math.min(65_536, Math.floor(2 ** 23 / recordBytes)));
}

/** Whole records that a file of `bytes` holds behind `skip`. E_SOURCE where something is left over. */
export function recordsIn(name: string, bytes: number, skip: number, recordBytes: number): number {
  const records = (bytes - skip) / recordBytes;
  if (Number.isInteger(records) && records >= 0) return records;
  const after = skip === 0 ? '' : ` after the first ${skip}`;
  throw new SluiceError('E_SOURCE', `${name}: its ${bytes} bytes${after} are no whole number of records of ${recordBytes} bytes`, {
    hint: 'the file may be cut off, or its fields are others than the pipeline says',
  });
}
