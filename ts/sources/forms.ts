// From the form that a pipeline gives a column to what the core stores.
import type { Column, Schema } from '../native/types.js';
import type { BytesForm, CodesForm, ColumnType, DatasetSpec, FrequentForm, HashForm, ImageForm, TensorForm, TokensForm } from './spec.js';

export const isTensor = (form: ColumnType): form is TensorForm => typeof form === 'object' && 'tensor' in form;
export const isImage = (form: ColumnType): form is ImageForm => typeof form === 'object' && 'image' in form;
export const isTokens = (form: ColumnType): form is TokensForm => typeof form === 'object' && 'tokens' in form;
export const isBytes = (form: ColumnType): form is BytesForm => typeof form === 'object' && 'bytes' in form;
export const isCodes = (form: ColumnType): form is CodesForm => typeof form === 'object' && 'category' in form;
export const isHash = (form: ColumnType): form is HashForm => typeof form === 'object' && 'hash' in form && !isTokens(form);
export const isFrequent = (form: ColumnType): form is FrequentForm => typeof form === 'object' && 'atLeast' in form;

export function storedColumn(name: string, form: ColumnType): Column {
  if (typeof form === 'string') return { name, type: form, shape: [] };
  if (isTensor(form)) return { name, type: form.tensor, shape: [...form.shape] };
  if (isImage(form)) return { name, type: 'u8', shape: [...form.image] };
  if (isTokens(form)) return { name, type: 'i32', shape: [form.tokens] };
  return isBytes(form) ? { name, type: 'bytes', shape: [form.bytes] } : { name, type: 'category', shape: [] };
}

/** What the index stores. */
export function schemaOf(spec: DatasetSpec): Schema {
  const columns = Object.entries(spec.columns).map(([name, form]) => storedColumn(name, form));
  const classes = 'classes' in spec.label ? spec.label.classes : undefined;
  if ('real' in spec.label) return { columns, label: 'real', classes: 2 };
  return { columns, label: 'class', classes: Array.isArray(classes) ? classes.length : (classes ?? 2) };
}

/**
 * What fixes the meaning of stored samples, as text. Left out: what to do with pictures that cannot be decoded and how long
 * samples wait for their labels, which changes none that is stored.
 */
export function definitionOf({ time, label: { late: _, ...label }, columns }: DatasetSpec): string {
  const meaning = (form: ColumnType) => (isImage(form) ? { image: form.image, fit: form.fit } : form);
  return JSON.stringify({
    time,
    label,
    columns: Object.fromEntries(Object.entries(columns).map(([name, form]) => [name, meaning(form)])),
  });
}
