// Reading a part, whoever wrote its source: what it gives is checked, and what it throws gets a code and its name.
import { SluiceError } from '../errors.js';
import { valuesOf } from './column.js';
import type { RecordBatch, Source, SourcePart } from './types.js';

/** The source's parts. E_SOURCE where they are not what SourcePart says. */
export async function partsOf(source: Source): Promise<SourcePart[]> {
  let parts: unknown;
  try {
    parts = await source.parts();
  } catch (error) {
    throw asSluiceError('the source', error);
  }
  if (!Array.isArray(parts)) throw new SluiceError('E_SOURCE', 'the source: expected parts() to give a list');
  const names = new Set<string>();
  for (const [i, part] of (parts as Partial<SourcePart>[]).entries()) {
    if (typeof part?.name !== 'string' || part.name === '' || typeof part.fingerprint !== 'string' || typeof part.read !== 'function') {
      throw new SluiceError('E_SOURCE', `the source: expected part ${i} to have a name, a fingerprint and a function read`);
    }
    if (part.rows !== undefined && !(Number.isSafeInteger(part.rows) && part.rows >= 0))
      throw new SluiceError('E_SOURCE', `the source: part ${part.name}: expected rows to be a whole number, got ${part.rows}`);
    if (names.has(part.name))
      throw new SluiceError('E_SOURCE', `the source: two parts are named ${part.name}`, { hint: 'give each part a name of its own' });
    names.add(part.name);
  }
  return parts as SourcePart[];
}

/** The part's batches, without empty ones; each has a value of every column for each of its rows. E_SOURCE. */
export async function* readPart(part: SourcePart, columns: string[], startRow: number): AsyncGenerator<RecordBatch> {
  try {
    for await (const batch of part.read(columns, startRow)) {
      if (!(Number.isSafeInteger(batch?.rows) && batch.rows >= 0 && typeof batch.columns === 'object' && batch.columns !== null)) {
        throw new SluiceError('E_SOURCE', `${part.name}: expected batches with a number of rows and columns`);
      }
      if (batch.rows === 0) continue;
      for (const name of columns) valuesOf(name, batch, part.name);
      yield batch;
    }
  } catch (error) {
    throw asSluiceError(part.name, error);
  }
}

function asSluiceError(name: string, error: unknown): SluiceError {
  if (error instanceof SluiceError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new SluiceError('E_SOURCE', `${name}: reading failed: ${reason}`, { cause: error });
}
