// The newest model of a pipeline in production: a small file that is replaced atomically, for whoever serves the model.
import { open, rename } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { asSluiceError, type Folders, syncFolder } from './folders.js';
import type { TrainingRecord } from './results.js';

/** `file` lies beside this file, and is never changed. */
export type CurrentModel = { model: string; file: string; trigger: number; trainset: string; samples: number; sinceMs: number };

/** Names the model of `training` in models/<pipeline>/current. Durable when it resolves. E_NO_SPACE, E_READ_ONLY, E_IO. */
export async function writeCurrent(folders: Folders, pipelineId: string, training: TrainingRecord): Promise<CurrentModel> {
  const path = folders.currentFile(pipelineId);
  const { modelId: model, modelFile, triggerId: trigger, trainset, trainsetSize: samples } = training;
  const current: CurrentModel = { model, file: basename(modelFile), trigger, trainset, samples, sinceMs: Date.now() };
  try {
    const file = await open(`${path}.tmp`, 'w');
    try {
      await file.writeFile(`${JSON.stringify(current)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(`${path}.tmp`, path);
    await syncFolder(dirname(path));
  } catch (error) {
    throw asSluiceError(error, `write ${path}`);
  }
  return current;
}
