// What `sluice ls datasets --stats` tells of a dataset.
import { existsSync, lstatSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Dataset } from '../native/dataset.js';
import { Metadata } from '../native/metadata.js';
import type { LabelStatistics, MetadataColumn } from '../native/types.js';
import { type Folders, foldersOf } from '../pipeline/folders.js';
import { Journal, readResult } from '../pipeline/journal.js';
import { datasetText, type StoredDataset } from './datasets.js';
import { formatBytes, formatCount } from './output.js';

export type DatasetStatistics = StoredDataset & {
  labels: LabelStatistics;
  /** Bytes that the files take on the disk. */
  bytes: { index: number; payload: number; metadata: number };
  /** What lies in files that are not ours: their folders, and the bytes of their rows. */
  inPlace: { samples: number; files: number; bytes: number; folders: string[] };
  /** Columns of values beside the dataset, by pipeline. */
  metadata: Record<string, MetadataColumn[]>;
  trainsets: number;
  models: number;
};

export async function datasetStatistics(data: string, stored: StoredDataset, signal: AbortSignal): Promise<DatasetStatistics> {
  const folders = foldersOf(data);
  const path = folders.dataset(stored.id);
  using dataset = Dataset.open(path, { readOnly: true });
  const [index, payload, metadata] = ['index', 'segments', 'metadata'].map((part) => bytesBelow(join(path, part))) as [
    number,
    number,
    number,
  ];
  return {
    ...stored,
    labels: await dataset.labelStatistics(signal),
    bytes: { index, payload, metadata },
    inPlace: inPlaceOf(dataset),
    metadata: await metadataColumns(join(path, 'metadata')),
    ...(await trainedOn(folders, stored.id)),
  };
}

function inPlaceOf(dataset: Dataset): DatasetStatistics['inPlace'] {
  const spans = dataset.fileSpans();
  const files = spans.flatMap((span) => span.files);
  return {
    samples: spans.reduce((sum, { rows }) => sum + rows, 0),
    files: new Set(files.map(({ path }) => path)).size,
    bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
    folders: [...new Set(files.map(({ path }) => dirname(path)))].sort(),
  };
}

function bytesBelow(folder: string): number {
  if (!existsSync(folder)) return 0;
  const entries = readdirSync(folder, { withFileTypes: true });
  return entries.reduce((sum, entry) => {
    const path = join(folder, entry.name);
    return sum + (entry.isDirectory() ? bytesBelow(path) : lstatSync(path).blocks * 512);
  }, 0);
}

async function metadataColumns(folder: string): Promise<Record<string, MetadataColumn[]>> {
  const pipelines = existsSync(folder) ? readdirSync(folder).filter((name) => existsSync(join(folder, name, 'data.mdb'))) : [];
  const columns: Record<string, MetadataColumn[]> = {};
  for (const name of pipelines.sort()) columns[name] = await new Metadata(join(folder, name)).columns();
  return columns;
}

/** Training sets and models of all pipelines over the dataset. */
async function trainedOn(folders: Folders, id: string): Promise<{ trainsets: number; models: number }> {
  if (!existsSync(folders.state)) return { trainsets: 0, models: 0 };
  const journal = await Journal.open(folders.state);
  try {
    const pipelines = journal.pipelines().filter((pipeline) => pipeline.dataset.id === id);
    const trainings = pipelines.flatMap((pipeline) => readResult(journal, pipeline.id).triggers.flatMap(({ training }) => training ?? []));
    return { trainsets: new Set(trainings.map(({ trainset }) => trainset)).size, models: trainings.length };
  } finally {
    await journal.close();
  }
}

const number = (value: number) => String(Number(value.toPrecision(6)));

export function statisticsText(statistics: DatasetStatistics): string {
  const { size, deleted, labels, bytes, inPlace, metadata, trainsets, models } = statistics;
  const each = (n: number) => (size === 0 ? '' : ` (${(n / size).toFixed(1)} a sample)`);
  const lines = [
    `  labels                 ${labelsText(labels)}`,
    `  deleted                ${formatCount(deleted)} of ${formatCount(size)} keys`,
    `  on disk                index ${formatBytes(bytes.index)}${each(bytes.index)}, payload ${formatBytes(bytes.payload)}${each(bytes.payload)}`,
    ...(inPlace.samples === 0 ? [] : [`  in place               ${inPlaceText(inPlace)}`]),
    `  training sets          ${formatCount(trainsets)}, models ${formatCount(models)}`,
    ...Object.entries(metadata).map(([pipeline, columns]) => `  values of ${pipeline.padEnd(12)} ${columns.map(columnText).join(', ')}`),
  ];
  return [datasetText(statistics), ...lines].join('\n');
}

function inPlaceText({ samples, files, bytes, folders }: DatasetStatistics['inPlace']): string {
  const shown = 3; // folders
  const places = `${folders.slice(0, shown).join(', ')}${folders.length > shown ? `, … (${folders.length} folders)` : ''}`;
  return `${formatBytes(bytes)} of ${formatCount(samples)} samples in ${formatCount(files)} file${files === 1 ? '' : 's'} that stay where they are: ${places}`;
}

function labelsText({ samples, classes, mean, deviation, least, greatest }: LabelStatistics): string {
  if (samples === 0) return 'none';
  if (classes.length === 0) return `mean ${number(mean)}, deviation ${number(deviation)}, ${number(least)} to ${number(greatest)}`;
  const shown = 12; // classes; more make no line to read
  const counts = classes.slice(0, shown).map((n, label) => `${label}: ${formatCount(n)}`);
  return `${counts.join(', ')}${classes.length > shown ? `, … (${classes.length} classes)` : ''}`;
}

const columnText = ({ name, type, length }: MetadataColumn) => `${name} (${type}${length === 1 ? '' : `, ${length} each`})`;
