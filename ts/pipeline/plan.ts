// From the pipeline file's sections to the flat plans that cross the border.
import type { PipelineConfig } from '../config/schema.js';
import type { Features, Model, Optimizer, Schema, TrainPlan } from '../native/types.js';

/** What stays the same for all trainings of a pipeline. */
export type TrainingRecipe = Omit<TrainPlan, 'trainset' | 'parent' | 'output' | 'metadata'>;

type OptimizerConfig = { id: Optimizer['kind']; lr: number; eps?: number | undefined; beta1?: number | undefined; beta2?: number | undefined };

/** PyTorch's defaults for what the pipeline leaves out. */
function optimizer(config: OptimizerConfig): Optimizer {
  const eps = config.eps ?? (config.id === 'adagrad' ? 1e-10 : 1e-8);
  return { kind: config.id, lr: config.lr, eps, beta1: config.beta1 ?? 0.9, beta2: config.beta2 ?? 0.999 };
}

const hours = 24;
const weekdays = 7;
const months = 12;

export function featuresOf(config: PipelineConfig['features'], schema: Schema): Features {
  const column = (name: string) => schema.columns.findIndex((c) => c.name === name);
  const dense = config.dense.map((f): Features['dense'][number] =>
    'time' in f
      ? { op: f.time, column: 0, mean: 0, scale: 1 }
      : { op: f.log ? 'log1p' : 'value', column: column(f.column), mean: f.mean, scale: f.scale },
  );
  const categorical = config.categorical.map((f): Features['categorical'][number] => {
    if ('time' in f) return { op: f.time, column: 0, other: 0, buckets: { hour: hours, weekday: weekdays, month: months }[f.time] };
    if ('cross' in f) return { op: 'cross', column: column(f.cross[0]), other: column(f.cross[1]), buckets: f.buckets };
    return { op: 'column', column: column(f.column), other: 0, buckets: f.buckets };
  });
  return { dense, categorical };
}

export function criterionOf(config: PipelineConfig, schema: Schema): 'bce' | 'cross-entropy' {
  return config.training.criterion ?? (schema.classes > 2 ? 'cross-entropy' : 'bce');
}

export function modelOf(config: PipelineConfig['model'], features: Features, outputs: number): Model {
  const bottom = features.dense.length > 0 ? [...config.bottom, config.embedding] : [];
  return {
    kind: 'dlrm',
    dense: features.dense.length,
    tables: features.categorical.map((f) => f.buckets),
    embedding: config.embedding,
    bottom,
    top: [...config.top, outputs],
  };
}

export function recipeOf(config: PipelineConfig, schema: Schema, trainsetFolder: string): TrainingRecipe {
  const { training } = config;
  const features = featuresOf(config.features, schema);
  const criterion = criterionOf(config, schema);
  const parts = 'mlp' in training.optimizer ? training.optimizer : { mlp: training.optimizer, embedding: training.optimizer };
  return {
    trainsetFolder,
    features,
    model: modelOf(config.model, features, criterion === 'bce' ? 1 : schema.classes),
    criterion,
    precision: training.precision,
    denseOptimizer: optimizer(parts.mlp),
    embeddingOptimizer: optimizer(parts.embedding),
    seed: config.pipeline.seed,
    batchSize: training.batchSize,
    epochs: training.epochs,
    shuffle: training.shuffle,
  };
}
