// From the body of a request to rows in column form.
import { isUtf8 } from 'node:buffer';
import { SluiceError } from '../errors.js';
import { neededColumns } from '../sources/encode.js';
import { isBytes, isImage } from '../sources/forms.js';
import type { DatasetSpec } from '../sources/spec.js';
import type { ColumnValue, RecordBatch } from '../sources/types.js';
import type { Arrived } from './inlet.js';
import { labelBatch, labelRowTest } from './label-rows.js';

export type Row = Record<string, unknown>;

/** How error messages name what was sent. */
export const requestName = 'the request';

const refusals: readonly string[] = ['E_SOURCE', 'E_NOT_FINITE', 'E_LABEL_RANGE', 'E_ARGUMENT', 'E_EXISTS', 'E_NOT_FOUND'];

/** Whether rows cannot be taken, now or later: a message of a broker that holds them is passed over. */
export const isRefusal = (error: unknown): error is SluiceError => error instanceof SluiceError && refusals.includes(error.code);

/** The rows of a body of JSON lines, or of one JSON array of objects. E_SOURCE names line or row. */
export function parseRows(body: Buffer, form: 'lines' | 'array'): Row[] {
  if (!isUtf8(body)) throw new SluiceError('E_SOURCE', `${requestName}: expected UTF-8 text`);
  const text = body.toString('utf8').replace(/^\uFEFF/, '');
  const values = form === 'lines' ? parseLines(text) : parseArray(text);
  for (const [i, value] of values.entries()) {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new SluiceError('E_SOURCE', `${requestName}: row ${i + 1}: expected an object such as {"column": value}`);
  }
  return values as Row[];
}

/** All lines at once, as one array, which takes half the time; line by line where that is no array of as many values. */
function parseLines(text: string): unknown[] {
  const lines = text.trimEnd();
  if (lines === '') return [];
  try {
    const values: unknown[] = JSON.parse(`[${lines.replaceAll('\n', ',\n')}]`);
    if (values.length === count(lines)) return values;
  } catch {
    // The loop below finds the line.
  }
  return lines.split('\n').flatMap((line, i) => {
    if (line.trim() === '') return [];
    try {
      return [JSON.parse(line)];
    } catch (error) {
      throw new SluiceError('E_SOURCE', `${requestName}: line ${i + 1}: ${(error as Error).message}`, {
        hint: 'each line is one JSON object',
      });
    }
  });
}

function count(lines: string): number {
  let n = 1;
  for (let at = lines.indexOf('\n'); at >= 0; at = lines.indexOf('\n', at + 1)) n++;
  return n;
}

function parseArray(text: string): unknown[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new SluiceError('E_SOURCE', `${requestName}: ${(error as Error).message}`);
  }
  if (Array.isArray(value)) return value;
  throw new SluiceError('E_SOURCE', `${requestName}: expected a JSON array of objects`, {
    hint: 'send one object a line as application/x-ndjson, or [{…}, {…}] as application/json',
  });
}

/**
 * The columns that the dataset needs. Bytes and pictures may be written as {"base64": "…"}. Rows that are labels of samples that come, or came, by
 * themselves are apart. E_SOURCE.
 */
export function toBatch(rows: readonly Row[], spec: DatasetSpec): Arrived {
  const isLabel = labelRowTest(spec);
  const labels = rows.filter(isLabel);
  if (labels.length === 0) return { samples: samplesOf(rows, spec) };
  const samples = rows.filter((row) => !isLabel(row));
  return { labels: labelBatch(labels, spec), ...(samples.length === 0 ? {} : { samples: samplesOf(samples, spec) }) };
}

function samplesOf(rows: readonly Row[], spec: DatasetSpec): RecordBatch {
  const columns = neededColumns(spec).map((name) => {
    const own = !(name in Object.prototype);
    const form = Object.hasOwn(spec.columns, name) ? spec.columns[name] : undefined;
    const binary = form !== undefined && (isBytes(form) || isImage(form));
    const values = rows.map((row) => (own || Object.hasOwn(row, name) ? row[name] : undefined) as ColumnValue);
    return [name, binary ? values.map((value, i) => decoded(name, i, value)) : values] as const;
  });
  return { rows: rows.length, columns: Object.fromEntries(columns) };
}

function decoded(column: string, row: number, value: unknown): ColumnValue {
  const text = (value as { base64?: unknown } | null | undefined)?.base64;
  if (text === undefined) return value as ColumnValue;
  if (typeof text === 'string' && text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text)) return Buffer.from(text, 'base64');
  throw new SluiceError('E_SOURCE', `${requestName}: column '${column}', row ${row + 1}: expected base64 text`);
}
