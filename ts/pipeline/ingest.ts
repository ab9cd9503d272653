// Brings a pipeline's dataset up to its source: creates it the first time, appends what is missing.
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { LoadedPipeline } from '../config/parse.js';
import { cacheBytes } from '../config/schema-storage.js';
import { SluiceError } from '../errors.js';
import { Stores } from '../files/stores.js';
import { Dataset } from '../native/dataset.js';
import type { Schema } from '../native/types.js';
import { definitionOf, type IngestResult, ingest, openSource, schemaOf } from '../sources/ingest.js';
import type { OnEvent } from './events.js';
import { type Folders, makeFolder } from './folders.js';

/** E_CHANGED when the dataset was made with other columns or labels; else the errors of ingest(). */
export async function ingestPipeline(
  pipeline: LoadedPipeline,
  folders: Folders,
  options: { signal?: AbortSignal | undefined; onEvent: OnEvent },
): Promise<IngestResult> {
  const { dataset: config } = pipeline.config;
  const source = pipeline.source ?? (await openSource(config, pipeline.dir, storesOf(pipeline, folders)));
  using dataset = await openDataset(pipeline, folders);
  const onProgress = (p: { part: string; rowsDone: number; rowsTotal?: number | undefined; samples: number }) =>
    options.onEvent({ type: 'ingest', part: p.part, samples: p.samples, rowsDone: p.rowsDone, rowsTotal: p.rowsTotal ?? null });
  return await ingest({
    store: dataset,
    source,
    spec: config,
    folder: pipeline.dir,
    onProgress,
    ...(options.signal ? { signal: options.signal } : {}),
  });
}

/** Where the paths of the pipeline's source lead. */
export function storesOf({ config: { storage } }: LoadedPipeline, folders: Folders): Stores {
  return new Stores({ s3: storage?.s3, cache: { folder: folders.cache, bytes: cacheBytes(storage) } });
}

/** The pipeline's dataset for writing; an empty one the first time. E_CHANGED as ingestPipeline(), E_LOCKED. */
export async function openDataset({ config: { dataset } }: LoadedPipeline, folders: Folders): Promise<Dataset> {
  await makeFolder(folders.dataset(''));
  return openDefined(folders.dataset(dataset.id), dataset);
}

/** The meaning of columns and labels is fixed by the first samples: an empty dataset with another one is made anew. */
function openDefined(path: string, config: LoadedPipeline['config']['dataset']): Dataset {
  const definition = definitionOf(config);
  const dataset = openOrCreate(path, schemaOf(config));
  const earlier = dataset.state('definition');
  if (earlier === definition) return dataset;
  if (earlier === null && dataset.size() === 0) {
    dataset.setState('definition', definition);
    return dataset;
  }
  try {
    if (earlier === null) {
      const hint = 'its samples can be read still; to ingest, give the dataset another id, or remove its folder to ingest it again';
      throw new SluiceError('E_CHANGED', `dataset ${config.id} has samples, but nothing tells how far ingestion came`, { hint });
    }
    if (dataset.size() > 0 || existsSync(join(path, 'waiting'))) {
      const hint = 'give the dataset another id, or remove its folder to ingest it again';
      throw new SluiceError('E_CHANGED', `dataset ${config.id} was ingested with another time, label or columns: ${earlier}`, { hint });
    }
    // While it is open nobody else writes to it.
    rmSync(path, { recursive: true });
  } finally {
    dataset.close();
  }
  return openDefined(path, config);
}

function openOrCreate(path: string, schema: Schema): Dataset {
  try {
    return Dataset.open(path);
  } catch (error) {
    if (!(error instanceof SluiceError) || error.code !== 'E_NOT_FOUND') throw error;
    return Dataset.create(path, schema);
  }
}
