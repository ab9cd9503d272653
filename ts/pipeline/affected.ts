// Which models know a sample: those that were trained on it, and those that began from one that was.
import { countInTrainset } from '../native/trainset.js';
import type { KeyRange } from '../native/types.js';
import { SluiceError } from '../errors.js';
import type { Folders } from './folders.js';
import { type Journal, readResult } from './journal.js';
import type { TrainingRecord } from './results.js';

export type AffectedModel = {
  modelId: string;
  modelFile: string;
  trainset: string;
  /** How many of the samples its own training set holds; null where the set's file is gone. */
  samples: number | null;
  /** The affected model that it began from. */
  parent: string | null;
};

/** Models of all pipelines over the dataset, in the order of their training. E_CORRUPT for a damaged set. */
export async function affectedModels(
  journal: Journal,
  folders: Folders,
  dataset: string,
  keys: readonly KeyRange[],
): Promise<AffectedModel[]> {
  const trainings = journal
    .pipelines()
    .filter((pipeline) => pipeline.dataset.id === dataset)
    .flatMap(({ id }) => readResult(journal, id).triggers.flatMap(({ training }) => training ?? []));
  const own = new Map<TrainingRecord, number | null>();
  for (const training of trainings) own.set(training, await samplesOf(folders, training, keys));
  const affected = new Map<string, AffectedModel>();
  // A pipeline may begin from another one's model: until nothing changes any more.
  for (let before = -1; before < affected.size; ) {
    before = affected.size;
    for (const training of trainings) {
      const samples = own.get(training) ?? null;
      const parent = [...affected.values()].find(({ modelId, modelFile }) => training.parent === modelId || training.parent === modelFile);
      if (samples === 0 && parent === undefined) continue;
      const { modelId, modelFile, trainset } = training;
      affected.set(modelId, { modelId, modelFile, trainset, samples, parent: parent?.modelId ?? null });
    }
  }
  return trainings.flatMap(({ modelId }) => affected.get(modelId) ?? []);
}

async function samplesOf(folders: Folders, { trainset }: TrainingRecord, keys: readonly KeyRange[]): Promise<number | null> {
  try {
    return await countInTrainset(folders.trainsets, trainset, keys);
  } catch (error) {
    if (error instanceof SluiceError && error.code === 'E_NOT_FOUND') return null;
    throw error;
  }
}
