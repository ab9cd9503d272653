// Training a model on a frozen set.
import { stoppable } from './call.js';
import type { Dataset } from './dataset.js';
import type { TrainPlan, TrainProgress, TrainResult } from './types.js';

export type TrainOptions = {
  signal?: AbortSignal | undefined;
  /** Called at most 20 times a second. What it throws stops the training and is what the promise rejects with. */
  onProgress?: ((progress: TrainProgress) => void) | undefined;
};

/**
 * Trains on threads of its own and writes plan.output atomically at the end. The dataset may be closed meanwhile.
 * E_ABORTED, E_ARGUMENT, E_NOT_FOUND, E_CORRUPT, E_SHAPE, E_DIVERGED, E_LABEL_RANGE, E_NOT_FINITE, E_MEMORY, E_TORCH.
 */
export function train(dataset: Dataset, plan: TrainPlan, options: TrainOptions = {}): Promise<TrainResult> {
  const onProgress = options.onProgress ?? (() => {});
  return stoppable(options.signal, (addon, stop) => addon.train(dataset.handle, plan, stop, onProgress));
}
