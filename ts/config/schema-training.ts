// Section `training` of the pipeline file.
import { z } from 'zod';
import { batchSize, filePath, whole } from './fields.js';

const lr = z.number().gt(0).max(1000).describe('Learning rate.');
const eps = z.number().gt(0).max(1).describe('Added to the denominator for numerical stability.');
const beta = z.number().min(0).lt(1);

const sgd = z.strictObject({ id: z.literal('sgd').describe('Plain stochastic gradient descent.'), lr });

const adagrad = z.strictObject({
  id: z.literal('adagrad').describe('Adagrad (Duchi et al., 2011).'),
  lr,
  eps: eps.default(1e-10),
});

const adam = z.strictObject({
  id: z.literal('adam').describe('Adam (Kingma and Ba, 2015).'),
  lr,
  eps: eps.default(1e-8),
  beta1: beta.default(0.9).describe('Decay of the mean of gradients.'),
  beta2: beta.default(0.999).describe('Decay of the mean of squared gradients.'),
});

const optimizer = z.discriminatedUnion('id', [sgd, adagrad, adam]);

const optimizers = z
  .union([
    optimizer,
    z.strictObject({
      mlp: optimizer.describe('Optimizer of the dense layers.'),
      embedding: optimizer.describe('Optimizer of the embedding tables; only rows that a batch touches are updated.'),
    }),
  ])
  .transform((given) => ('mlp' in given ? given : { mlp: given, embedding: given }))
  .describe('One optimizer for all parameters, or one each for the dense layers (mlp) and the embedding tables (embedding).');

export const training = z
  .strictObject({
    batchSize: batchSize.default(512).describe('Samples in one step.'),
    epochs: whole(1, 10_000).default(1).describe('Passes over the trigger training set.'),
    optimizer: optimizers,
    criterion: z
      .enum(['bce', 'cross-entropy'])
      .optional()
      .describe('Loss: bce for two classes, cross-entropy for any number. Default: bce for two classes, else cross-entropy.'),
    precision: z.enum(['fp32', 'bf16']).default('fp32').describe('Number format of matrix products.'),
    shuffle: z.enum(['global', 'none']).default('global').describe('global: a new random order in every epoch; none: by arrival.'),
    start: z
      .enum(['previous', 'scratch'])
      .default('previous')
      .describe('What each training starts from: the previous model, or new random weights.'),
    first: filePath
      .optional()
      .describe('A safetensors file that the first training starts from, relative to the pipeline file. Default: random weights.'),
  })
  .describe('How a training runs.');

export type OptimizerConfig = z.output<typeof optimizer>;
export type TrainingFileConfig = z.output<typeof training>;
