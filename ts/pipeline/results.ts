// What a run leaves behind, as `sluice report`, `show` and the API return it.

export type EvalWindow = { index: number; first: number; end: number; startMs: number; endMs: number };

export type WindowMetrics = {
  window: number;
  samples: number;
  loss: number;
  accuracy: number | null;
  auc: number | null;
  rmse: number | null;
};

export type TriggerRecord = {
  id: number;
  /** Key of the sample that caused the trigger: the last one that belongs to it. */
  key: number;
  timeMs: number;
  reason: string;
  score?: number;
  threshold?: number;
  /**
   * Why no training belongs to it. In production mode: another trigger waited or was trained when it fired (dropped), a later one came before
   * its training (merged), its training failed; empty: nothing was selected.
   */
  outcome?: 'dropped' | 'merged' | 'empty' | 'failed';
  /** One sentence about the outcome. */
  note?: string;
};

export type TrainingRecord = {
  triggerId: number;
  trainset: string;
  trainsetSize: number;
  modelId: string;
  modelFile: string;
  /** Id of the model that the training began from, or the file that the pipeline names as the first; null: random weights. */
  parent: string | null;
  /** Sets on which this training was stopped, since samples of them were deleted. */
  discarded?: string[];
  steps: number;
  samples: number;
  loss: number;
  /** On the held-out samples, of the model that was kept; null without early stop. */
  validationLoss: number | null;
  /** Parameters that kept random weights because model.weights lacks them; only in trainings that began from it. */
  untouched: string[];
  /** Steps that a checkpoint of a cut-off training spared. */
  resumedAt: number;
  /** Call to first batch. */
  startSeconds: number;
  /** Last step to the model on disk. */
  finishSeconds: number;
  seconds: number;
  samplesPerSecond: number;
};

export type TriggerResult = { trigger: TriggerRecord; training: TrainingRecord | null; evaluation: WindowMetrics[] | null };

export type RunResult = {
  pipelineId: string;
  /** live: a pipeline in production mode. */
  status: 'complete' | 'incomplete' | 'live';
  seed: number;
  dataset: { id: string; samples: number; firstMs: number; lastMs: number };
  triggerPolicy: string;
  selectionPolicy: string;
  windows: EvalWindow[];
  triggers: TriggerResult[];
  /** Wall clock of the last run, seconds, by step. */
  seconds: { trigger: number; select: number; train: number; evaluate: number; total: number };
};
