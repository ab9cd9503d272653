// Metrics of a model on windows of the stream.
import { native, stoppable } from './call.js';
import type { Dataset } from './dataset.js';
import type { EvalPlan, Metrics } from './types.js';

export type EvaluateOptions = {
  signal?: AbortSignal | undefined;
  /** Called at most 20 times a second. What it throws stops the evaluation and is what the promise rejects with. */
  onProgress?: ((windowsDone: number) => void) | undefined;
};

/** Loss, accuracy and (two classes) ROC AUC for each of plan.windows, in their order. Errors as of train(). */
export function evaluate(dataset: Dataset, plan: EvalPlan, options: EvaluateOptions = {}): Promise<Metrics[]> {
  const onProgress = options.onProgress ?? (() => {});
  return stoppable(options.signal, (addon, stop) => addon.evaluate(dataset.handle, plan, stop, onProgress));
}

/**
 * Exact area under the ROC curve, null when only one class occurs. Runs on the calling thread in O(n log n).
 * Labels are 0 or 1 (E_LABEL_RANGE), scores not NaN (E_NOT_FINITE).
 */
export function rocAuc(scores: Float32Array, labels: Float32Array): number | null {
  return native((addon) => addon.roc_auc(scores, labels));
}
