// From a JSON object to the values of columns.
import type { ColumnValue } from './types.js';

export type Json = { [name: string]: unknown };

/** A field of an object, or the path to what lies deeper: `user.name`, `versions.0.created`. */
export type FieldPath = { name: string; keys: readonly string[] };

export const fieldPath = (name: string): FieldPath => ({ name, keys: name.split('.') });

/** Nested lists are tensors, which have at most 8 dimensions. */
const maxDepth = 8;

/** Undefined where it is not there, null below a field that is null. A field whose name has dots itself comes first. */
export function fieldOf(object: Json, { name, keys }: FieldPath): unknown {
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

/** Lists become tensors, row-major where lists lie in them. `fail` is told what no column can hold. */
export function columnValue(value: unknown, fail: (got: string) => never): ColumnValue {
  if (typeof value !== 'object' || value === null) return value as ColumnValue;
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

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'a list' : `a ${typeof value}`;
}
