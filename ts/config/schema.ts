// The pipeline file: one schema from which types, checks, editor help and defaults come.
import { z } from 'zod';
import { duration } from '../base/durations.js';
import { batchSize, id, whole } from './fields.js';
import { dataset } from './schema-dataset.js';
import { features } from './schema-features.js';
import { serve } from './schema-serve.js';
import { storage } from './schema-storage.js';
import { type CriterionConfig, type TrainingFileConfig, training } from './schema-training.js';

export type { ColumnType, DatasetConfig, LabelConfig, SourceConfig, TimeConfig } from './schema-dataset.js';
export type { CategoricalFeatureConfig, DenseFeatureConfig, FeaturesConfig } from './schema-features.js';
export type { CriterionConfig, OptimizerConfig, ScheduleConfig } from './schema-training.js';

const pipeline = z
  .strictObject({
    id: id.describe('Name of the pipeline; models and reports are kept under it.'),
    seed: whole(0, Number.MAX_SAFE_INTEGER)
      .default(0)
      .describe('Start of every random choice: same seed, data and machine give the same models.'),
    threads: whole(1, 1024).optional().describe('Compute threads. Default: all cores.'),
  })
  .describe('The pipeline itself.');

// A policy's or model's own fields are checked by its own schema, which the registry or the user's module brings.
const policyId = z.string().min(1).max(4096);

const model = z
  .looseObject({ id: policyId.describe("A built-in model's id, or the path of a module made with defineModel().") })
  .describe('The model that is trained.');

const trigger = z
  .looseObject({ id: policyId.describe("A built-in policy's id, or the path of a module made with defineTrigger().") })
  .describe('Triggering policy: when to train.');

const selection = z
  .looseObject({
    id: policyId.describe("A built-in policy's id, or the path of a module made with defineSelection()."),
    reset: z
      .boolean()
      .optional()
      .describe('true: candidates are the samples since the previous trigger; false: all samples so far. Default: as the policy says.'),
  })
  .describe('Data selection policy: on what to train.');

const evaluation = z
  .strictObject({
    window: duration.prefault('1w').describe('Length of an evaluation window, such as 1d or 1w.'),
    windows: z
      .enum(['following', 'all'])
      .default('following')
      .describe('Windows that each model is evaluated on: those after its trigger, or all.'),
    batchSize: batchSize.default(8192).describe('Samples evaluated at once.'),
  })
  .describe('Every model is evaluated on windows of the stream, window by window.');

const replay = z
  .strictObject({
    batch: batchSize.default(8192).describe('Samples that arrive in one step.'),
    maxTriggers: whole(1, 1_000_000_000).optional().describe('Stop after this many triggers. Default: no limit.'),
  })
  .describe('Experiment mode: how stored samples are replayed.');

/** A pipeline file as it is written. Input side: the file; output side: defaults filled in, durations in milliseconds. */
export const pipelineFile = z
  .strictObject({
    pipeline,
    dataset,
    features,
    model,
    training,
    trigger,
    selection,
    evaluation: evaluation.prefault({}),
    replay: replay.prefault({}),
    serve: serve.optional(),
    storage: storage.optional(),
  })
  .describe('A Sluice pipeline.');

export type PipelineFile = z.output<typeof pipelineFile>;
export type PipelineSection = keyof PipelineFile;
export type TrainingConfig = TrainingFileConfig & { criterion: CriterionConfig };
export type EvaluationConfig = z.output<typeof evaluation>;

/** A pipeline with every default filled in. Durations are milliseconds. */
export type PipelineConfig = Omit<PipelineFile, 'training'> & { training: TrainingConfig };
