// From the pipeline file's sections to the flat plans that cross the border.
import { resolve } from 'node:path';
import type { LoadedPipeline } from '../config/parse.js';
import type { OptimizerConfig, PipelineConfig, ScheduleConfig } from '../config/schema.js';
import { type ImageConfig, normalizations, type TensorConfig } from '../config/schema-features.js';
import { SluiceError } from '../errors.js';
import type { ModelInputs } from '../models/define.js';
import type { Features, Model, Optimizer, ParserHandle, Schema, TrainPlan } from '../native/types.js';
import { schemaOf } from '../sources/ingest.js';
import { chooseDevice } from './device.js';

/** What stays the same for all trainings of a pipeline. */
export type TrainingRecipe = Omit<TrainPlan, 'trainset' | 'parent' | 'output' | 'metadata' | 'checkpoints' | 'record'>;

type RawTensor = NonNullable<Features['tensor']>;

const hours = 24;
const weekdays = 7;
const months = 12;
const unlimitedEpochs = 1_000_000_000;

/** `parser`: where features.parse names one. */
export function recipeOf(pipeline: LoadedPipeline, schema: Schema, trainsetFolder: string, parser?: ParserHandle): TrainingRecipe {
  const { pipeline: section, features: featureConfig, training } = pipeline.config;
  const features = featuresOf(featureConfig, schema, parser);
  const criterion = criterionOf(training);
  const model = modelOf(pipeline, features, schema);
  return {
    trainsetFolder,
    features,
    model,
    criterion,
    precision: training.precision,
    device: chooseDevice(training.device),
    deterministic: training.deterministic,
    ...optimizersOf(training),
    groups: training.groups.map((g) => ({ parameters: g.parameters, optimizer: optimizerOf(g.optimizer) })),
    seed: section.seed,
    batchSize: training.batchSize,
    ...durationOf(training),
    accumulate: training.accumulate,
    clipNorm: training.clipNorm ?? 0,
    schedule: scheduleOf(training.schedule),
    earlyStop: training.earlyStop ?? { heldOut: 0, patience: 1, leastGain: 0 },
    inTraining: training.inTraining ?? { keep: 1, score: 'uniform', choice: 'sampled', mode: 'batch-then-sample', every: 1 },
    shuffle: training.shuffle,
    shuffleBlock: training.shuffleBlock,
    weights: weightsOf(pipeline),
    loader: { threads: training.loader.threads ?? 0, memory: training.loader.memory * 2 ** 20 },
  };
}

function featuresOf(config: PipelineConfig['features'], schema: Schema, parser: ParserHandle | undefined): Features {
  const column = (name: string) => schema.columns.findIndex((c) => c.name === name);
  const dense = config.dense.map((f): Features['dense'][number] =>
    'time' in f
      ? { op: f.time, column: 0, mean: 0, scale: 1 }
      : { op: f.log ? 'log1p' : 'value', column: column(f.column), mean: f.mean, scale: f.scale, ...clipOf(f) },
  );
  const categorical = config.categorical.map((f): Features['categorical'][number] => {
    if ('time' in f) return { op: f.time, column: 0, other: 0, buckets: { hour: hours, weekday: weekdays, month: months }[f.time] };
    if ('cross' in f) return { op: 'cross', column: column(f.cross[0]), other: column(f.cross[1]), buckets: f.buckets };
    if ('boundaries' in f) {
      return { op: 'boundaries', column: column(f.column), other: 0, buckets: f.boundaries.length + 1, boundaries: f.boundaries };
    }
    return { op: 'column', column: column(f.column), other: 0, buckets: f.buckets };
  });
  const values = config.image ?? config.tensor;
  const tensor = values === undefined ? null : tensorOf(values, column(values.column));
  const tokens = config.tokens === undefined ? null : { column: column(config.tokens.column) };
  const parse = config.parse === undefined || parser === undefined ? null : { column: column(config.parse.column), parser };
  return { dense, categorical, tensor, tokens, parse };
}

const clipOf = ({ min, max }: { min?: number | undefined; max?: number | undefined }) => ({
  ...(min === undefined ? {} : { low: min }),
  ...(max === undefined ? {} : { high: max }),
});

function tensorOf(config: ImageConfig | TensorConfig, column: number): RawTensor {
  const { mean = [], std = [] } = config.normalize === undefined ? config : normalizations[config.normalize];
  const { crop, size, pad, flip } = { crop: 'none' as const, size: undefined, pad: 0, flip: false, ...config };
  const [height, width] = size ?? [0, 0];
  return { column, crop, height, width, pad, flip, mean: [mean].flat(), deviation: [std].flat() };
}

/** What a model is asked to take: what columns give, then what a parser does. */
function inputsOf(features: Features, schema: Schema, parse: PipelineConfig['features']['parse']): Omit<ModelInputs, 'outputs' | 'dir'> {
  const { tensor, tokens } = features;
  const stored = tensor === null ? [] : (schema.columns[tensor.column]?.shape ?? []);
  const values = tensor !== null && tensor.height > 0 ? [tensor.height, tensor.width, ...stored.slice(2)] : stored;
  const ids = tokens === null ? 0 : (schema.columns[tokens.column]?.shape[0] ?? 0);
  return {
    dense: features.dense.length + (parse?.dense ?? 0),
    tables: [...features.categorical.map((f) => f.buckets), ...(parse?.categorical ?? [])],
    values: tensor === null ? (parse?.values ?? []) : values,
    ids: tokens === null ? (parse?.ids ?? 0) : ids,
  };
}

function weightsOf({ model, dir }: LoadedPipeline): string {
  const file = model.policy.weights?.(model.config);
  return file === undefined ? '' : resolve(dir, file);
}

/** E_CONFIG or E_MODULE where the model cannot take the pipeline's features, before anything is read of its source. */
export function checkModel(pipeline: LoadedPipeline): void {
  const schema = schemaOf(pipeline.config.dataset);
  modelOf(pipeline, featuresOf(pipeline.config.features, schema, undefined), schema);
}

/** The architecture of the model's definition, which may be the user's: E_MODULE when it fails. The core checks what it gives. */
function modelOf({ model, dir, config }: LoadedPipeline, features: Features, schema: Schema): Model {
  const outputs = criterionOf(config.training).kind === 'cross-entropy' ? schema.classes : 1;
  try {
    return model.policy.build(model.config, { ...inputsOf(features, schema, config.features.parse), outputs, dir });
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    throw new SluiceError('E_MODULE', `model '${model.policy.id}' failed: ${(error as Error)?.message ?? error}`, { cause: error });
  }
}

type Training = PipelineConfig['training'];

function criterionOf({ criterion }: Training): TrainPlan['criterion'] {
  const { id: kind, ...given } = typeof criterion === 'string' ? { id: criterion } : criterion;
  return { kind, labelSmoothing: 0, delta: 1, ...given };
}

function optimizersOf({ optimizer }: Training): { denseOptimizer: Optimizer; embeddingOptimizer: Optimizer } {
  const { mlp, embedding } = 'id' in optimizer ? { mlp: optimizer, embedding: optimizer } : optimizer;
  return { denseOptimizer: optimizerOf(mlp), embeddingOptimizer: optimizerOf(embedding) };
}

/** Each optimizer leaves out what only others have. */
function optimizerOf({ id: kind, ...given }: OptimizerConfig): Optimizer {
  return { kind, eps: 1e-8, beta1: 0.9, beta2: 0.999, momentum: 0, dampening: 0, nesterov: false, weightDecay: 0, ...given };
}

/** With a limit in steps or samples alone the set is read as often as it takes. */
function durationOf({ epochs, steps, samples, batchSize, accumulate }: Training): { epochs: number; maxSteps: number } {
  const bySamples = samples === undefined ? Number.POSITIVE_INFINITY : Math.ceil(samples / (batchSize * accumulate));
  const most = Math.min(steps ?? Number.POSITIVE_INFINITY, bySamples);
  return Number.isFinite(most) ? { epochs: epochs ?? unlimitedEpochs, maxSteps: most } : { epochs: epochs ?? 1, maxSteps: 0 };
}

function scheduleOf({ id: kind, per, ...given }: ScheduleConfig): TrainPlan['schedule'] {
  const rest = {
    warmup: 0,
    warmupFrom: 0,
    hold: 0,
    length: 0,
    every: 1,
    gamma: 0.1,
    end: 0,
    power: 1,
    rise: 0.3,
    initialDivision: 25,
    finalDivision: 1e4,
  };
  return { kind, perEpoch: per === 'epoch', ...rest, ...defined(given) };
}

function defined<T extends object>(given: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}
