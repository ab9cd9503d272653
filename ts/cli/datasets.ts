// Stored datasets, as `sluice ls datasets` shows them.
import { readdirSync } from 'node:fs';
import { SluiceError } from '../errors.js';
import { Dataset } from '../native/dataset.js';
import type { Column, DatasetInfo } from '../native/types.js';
import { foldersOf } from '../pipeline/folders.js';
import { formatCount, formatDay } from './output.js';

export type StoredDataset = DatasetInfo & { id: string; firstMs: number | null; lastMs: number | null };
/** A folder whose dataset cannot be opened. */
export type LostDataset = { id: string; error: { code: string; message: string } };

/** Those below the data folder, or the one that is named. E_NOT_FOUND; the errors of opening it for one that is named. */
export function storedDatasets(data: string, id?: string): (StoredDataset | LostDataset)[] {
  const folders = foldersOf(data);
  const ids = datasetIds(data, id);
  if (id !== undefined) return [stored(folders.dataset(id), id)];
  return ids.map((name) => {
    try {
      return stored(folders.dataset(name), name);
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      return { id: name, error: { code: error.code, message: error.message } };
    }
  });
}

function stored(path: string, id: string): StoredDataset {
  using dataset = Dataset.open(path, { readOnly: true });
  using snapshot = dataset.snapshot();
  const living = snapshot.living();
  const at = (key: number | undefined) => (key === undefined ? null : Number(snapshot.timestamps(key, 1)[0]));
  const last = living.at(-1);
  return { ...dataset.info(), id, firstMs: at(living[0]?.first), lastMs: at(last && last.end - 1) };
}

/** Ids of the datasets below the data folder, or the one that is named. E_NOT_FOUND. */
export function datasetIds(data: string, id?: string): string[] {
  const folder = foldersOf(data).dataset('');
  const ids = foldersIn(folder);
  if (id !== undefined && !ids.includes(id))
    throw new SluiceError('E_NOT_FOUND', `there is no dataset ${id} in ${folder}; it has ${ids.join(', ') || 'none'}`);
  return id === undefined ? ids : [id];
}

function foldersIn(path: string): string[] {
  try {
    const entries = readdirSync(path, { withFileTypes: true });
    return entries
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
      .sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new SluiceError('E_IO', `${path} cannot be listed: ${(error as Error).message}`, { cause: error });
  }
}

/** A line for the dataset, and one for each column. */
export function datasetText(dataset: StoredDataset | LostDataset): string {
  if ('error' in dataset) return `${dataset.id.padEnd(24)} ${dataset.error.code}: ${dataset.error.message}`;
  const { id, size, schema, firstMs, lastMs } = dataset;
  const span = firstMs === null || lastMs === null ? '' : `, ${formatDay(firstMs)} to ${formatDay(lastMs)}`;
  const label = schema.label === 'real' ? 'a number' : `${schema.classes} classes`;
  const head = `${id.padEnd(24)} ${formatCount(size)} samples${span}, label ${label}`;
  return [head, ...schema.columns.map((column) => `  ${column.name.padEnd(22)} ${columnText(column)}`)].join('\n');
}

const columnText = ({ type, shape }: Column): string => (shape.length === 0 ? type : `${type} [${shape.join(', ')}]`);
