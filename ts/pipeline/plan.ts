// From the pipeline file's sections to the flat plans that cross the border.
import type { LoadedPipeline } from '../config/parse.js';
import type { PipelineConfig } from '../config/schema.js';
import { SluiceError } from '../errors.js';
import type { Features, Model, Optimizer, Schema, TrainPlan } from '../native/types.js';

/** What stays the same for all trainings of a pipeline. */
export type TrainingRecipe = Omit<TrainPlan, 'trainset' | 'parent' | 'output' | 'metadata'>;

const hours = 24;
const weekdays = 7;
const months = 12;

export function recipeOf(pipeline: LoadedPipeline, schema: Schema, trainsetFolder: string): TrainingRecipe {
  const { pipeline: section, features: featureConfig, training } = pipeline.config;
  const features = featuresOf(featureConfig, schema);
  return {
    trainsetFolder,
    features,
    model: modelOf(pipeline, features, training.criterion === 'bce' ? 1 : schema.classes),
    criterion: training.criterion,
    precision: training.precision,
    denseOptimizer: optimizerOf(training.optimizer.mlp),
    embeddingOptimizer: optimizerOf(training.optimizer.embedding),
    seed: section.seed,
    batchSize: training.batchSize,
    epochs: training.epochs,
    shuffle: training.shuffle,
  };
}

function featuresOf(config: PipelineConfig['features'], schema: Schema): Features {
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

/** The architecture of the model's definition, which may be the user's: E_MODULE when it fails. The core checks what it gives. */
function modelOf({ model }: LoadedPipeline, features: Features, outputs: number): Model {
  try {
    return model.policy.build(model.config, { dense: features.dense.length, tables: features.categorical.map((f) => f.buckets), outputs });
  } catch (error) {
    throw new SluiceError('E_MODULE', `model '${model.policy.id}' failed: ${(error as Error)?.message ?? error}`, { cause: error });
  }
}

function optimizerOf(config: PipelineConfig['training']['optimizer']['mlp']): Optimizer {
  // SGD and Adagrad leave out what only Adam has.
  const { id: kind, lr, eps, beta1, beta2 } = { eps: 1e-8, beta1: 0.9, beta2: 0.999, ...config };
  return { kind, lr, eps, beta1, beta2 };
}
