// Where things lie below the data folder.
import { existsSync } from 'node:fs';
import { access, mkdir, open } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { SluiceError } from '../errors.js';

export type Folders = {
  root: string;
  dataset(id: string): string;
  /** Samples that wait for their labels. */
  waiting(datasetId: string): string;
  trainsets: string;
  models(pipelineId: string): string;
  modelFile(pipelineId: string, triggerId: number): string;
  /** Names the newest model of a pipeline in production mode: see current.ts. */
  currentFile(pipelineId: string): string;
  /** State of a training that goes on, or was cut off. */
  checkpointFile(pipelineId: string, triggerId: number): string;
  /** What the trainings of a pipeline recorded of the samples. */
  recorded(datasetId: string, pipelineId: string): string;
  report(pipelineId: string): string;
  /** Where the process that has the dataset in production is asked to delete and to compact. */
  controlSocket(datasetId: string): string;
  state: string;
  /** Blocks of objects: see block-cache.ts. */
  cache: string;
};

export function foldersOf(root: string): Folders {
  const models = (pipelineId: string) => join(root, 'models', pipelineId);
  return {
    root,
    dataset: (id) => join(root, 'datasets', id),
    waiting: (datasetId) => join(root, 'datasets', datasetId, 'waiting'),
    trainsets: join(root, 'trainsets'),
    models,
    modelFile: (pipelineId, triggerId) => join(models(pipelineId), `${triggerId}.safetensors`),
    currentFile: (pipelineId) => join(models(pipelineId), 'current'),
    checkpointFile: (pipelineId, triggerId) => join(models(pipelineId), `${triggerId}.checkpoint`),
    recorded: (datasetId, pipelineId) => join(root, 'datasets', datasetId, 'metadata', pipelineId),
    report: (pipelineId) => join(root, 'reports', pipelineId),
    controlSocket: (datasetId) => join(root, 'state', 'control', `${datasetId}.sock`),
    state: join(root, 'state'),
    cache: join(root, 'cache'),
  };
}

const codes: Record<string, 'E_NO_SPACE' | 'E_READ_ONLY' | 'E_NOT_FOUND'> = {
  ENOSPC: 'E_NO_SPACE',
  EDQUOT: 'E_NO_SPACE',
  EACCES: 'E_READ_ONLY',
  EPERM: 'E_READ_ONLY',
  EROFS: 'E_READ_ONLY',
  ENOENT: 'E_NOT_FOUND',
};

/** A file-system error of Node as one of ours; anything else as it is. */
export function asSluiceError(error: unknown, what: string): unknown {
  const code = (error as NodeJS.ErrnoException)?.code;
  if (error instanceof SluiceError || typeof code !== 'string' || !/^E[A-Z0-9]+$/.test(code)) return error;
  return new SluiceError(codes[code] ?? 'E_IO', `${what}: ${(error as Error).message}`, { cause: error });
}

/** mkdir -p with our errors; the new names are durable. (Node's own tells of a missing folder where the disk is full.) */
export async function makeFolder(path: string): Promise<void> {
  try {
    const missing: string[] = [];
    for (let folder = resolve(path); !existsSync(folder); folder = dirname(folder)) missing.push(folder);
    for (const folder of missing.reverse()) {
      await mkdir(folder).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error; // another process was faster
      });
      await syncFolder(dirname(folder));
    }
    await mkdir(path, { recursive: true }); // what is there is a folder
  } catch (error) {
    throw asSluiceError(error, `create ${path}`);
  }
}

export const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** Makes the names in a folder durable. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  await folder.sync().finally(() => folder.close());
}
