// What a model is to a pipeline: data plus one function that turns its config into an architecture of the core.
import type { z } from 'zod';
import type { Model } from '../native/types.js';

/** What the pipeline's features and labels ask of a model. */
export type ModelInputs = {
  /** Number of dense features. */
  dense: number;
  /** Rows of each categorical feature's table. */
  tables: number[];
  /** Shape of the tensor feature, an image as [height, width, channels]; [] without one. */
  values: number[];
  /** Length of the token ids; 0 without them. */
  ids: number;
  /** Width of the output: 1 for BCE, else the number of classes. */
  outputs: number;
  /** Folder of the pipeline file, which paths in the config are relative to. */
  dir: string;
};

export type ModelDefinition<C = unknown> = {
  kind: 'model';
  id: string;
  /** One sentence, shown in editors and in the docs. */
  summary: string;
  /** Schema of the model's fields beside `id`. */
  config: z.ZodType<C>;
  /** Files that the config names, relative to the pipeline file: their contents count in the pipeline's hash. */
  files?(config: C): string[];
  /** A checkpoint of another program, relative to the pipeline file, that a training starts from which has no model before it. */
  weights?(config: C): string | undefined;
  /** The architecture of the core that is trained; its inputs and output must be those asked for. */
  build(config: C, inputs: ModelInputs): Model;
};

/** Identity helper: infers the config's type. */
export function defineModel<C>(model: Omit<ModelDefinition<C>, 'kind'>): ModelDefinition<C> {
  return { kind: 'model', ...model };
}
