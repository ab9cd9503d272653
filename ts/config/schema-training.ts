// Section `training` of the pipeline file.
import { z } from 'zod';
import { batchSize, filePath, whole } from './fields.js';

const lr = z.number().gt(0).max(1000).describe('Learning rate.');
const eps = z.number().gt(0).max(1).describe('Added to the denominator for numerical stability.');
const beta = z.number().min(0).lt(1);

const weightDecay = z.number().min(0).max(1000).default(0);

const sgd = z
  .strictObject({
    id: z.literal('sgd').describe('Stochastic gradient descent, with momentum and Nesterov acceleration if asked for.'),
    lr,
    momentum: z.number().min(0).lt(1).default(0).describe('Share of the last step that the next one keeps.'),
    dampening: z.number().min(0).max(1).default(0).describe('Share of the gradient that the momentum leaves out.'),
    nesterov: z.boolean().default(false).describe('Nesterov momentum: needs a momentum and no dampening.'),
    weightDecay: weightDecay.describe('Added to the gradient, times the weight (L2 penalty).'),
  })
  .refine((o) => !o.nesterov || (o.momentum > 0 && o.dampening === 0), {
    error: 'expected a momentum and no dampening with it',
    path: ['nesterov'],
  });

const adagrad = z.strictObject({
  id: z.literal('adagrad').describe('Adagrad (Duchi et al., 2011).'),
  lr,
  eps: eps.default(1e-10),
  weightDecay: weightDecay.describe('Added to the gradient, times the weight (L2 penalty).'),
});

const moments = {
  lr,
  eps: eps.default(1e-8),
  beta1: beta.default(0.9).describe('Decay of the mean of gradients.'),
  beta2: beta.default(0.999).describe('Decay of the mean of squared gradients.'),
};

const adam = z.strictObject({
  id: z.literal('adam').describe('Adam (Kingma and Ba, 2015).'),
  ...moments,
  weightDecay: weightDecay.describe('Added to the gradient, times the weight (L2 penalty).'),
});

const adamw = z.strictObject({
  id: z.literal('adamw').describe('AdamW: Adam with decoupled weight decay (Loshchilov and Hutter, 2019).'),
  ...moments,
  weightDecay: z.number().min(0).max(1000).default(0.01).describe('Weights shrink by this times the learning rate in every step.'),
});

const optimizer = z.discriminatedUnion('id', [sgd, adagrad, adam, adamw]);

const embeddingOptimizer = z.discriminatedUnion('id', [
  z.strictObject({ id: z.literal('sgd').describe('Plain stochastic gradient descent.'), lr }),
  z.strictObject({ id: z.literal('adagrad').describe('Adagrad (Duchi et al., 2011).'), lr, eps: eps.default(1e-10) }),
  z.strictObject({
    id: z.literal('rowwise-adagrad').describe('Adagrad with one sum of squares for each row: as much state as rows.'),
    lr,
    eps: eps.default(1e-8),
  }),
  z.strictObject({ id: z.literal('adam').describe('Adam that leaves untouched rows alone (torch.optim.SparseAdam).'), ...moments }),
]);

const optimizers = z
  .union([
    optimizer,
    z.strictObject({
      mlp: optimizer.describe('Optimizer of the dense layers.'),
      embedding: embeddingOptimizer.describe('Optimizer of the embedding tables; only rows that a batch touches are updated.'),
    }),
  ])
  .describe('One optimizer for all parameters, or one each for the dense layers (mlp) and the embedding tables (embedding).');

const group = z.strictObject({
  parameters: z
    .string()
    .min(1)
    .max(1000)
    .describe('Names of parameters, with * for any characters, such as top.*.bias; sluice show names them.'),
  optimizer: z.discriminatedUnion('id', [...optimizer.options, embeddingOptimizer.options[2]]).describe('Their optimizer.'),
});

const steps = whole(1, 1_000_000_000_000);
const per = z.enum(['step', 'epoch']).default('step').describe('What lengths count, and when the rate changes.');
const warmup = {
  per,
  warmup: steps.optional().describe('The learning rate first rises over this many steps (or epochs).'),
  warmupFrom: z.number().min(0).max(1).default(0).describe('Factor at which the warm-up begins.'),
};
const decay = {
  ...warmup,
  hold: whole(0, 1_000_000_000_000).optional().describe('Steps (or epochs) between warm-up and decay.'),
  length: steps.optional().describe('Steps (or epochs) of the decay. Default: to the end of the training.'),
  end: z.number().min(0).max(1).default(0).describe('Factor at the end of the decay.'),
};

const schedule = z
  .discriminatedUnion('id', [
    z.strictObject({ id: z.literal('constant').describe('The learning rate as it is, after a warm-up.'), ...warmup }),
    z.strictObject({
      id: z.literal('step').describe('Times gamma every so many steps (or epochs).'),
      ...warmup,
      every: steps.describe('Steps (or epochs) between two changes.'),
      gamma: z.number().gt(0).max(1).default(0.1).describe('Factor of each change.'),
    }),
    z.strictObject({ id: z.literal('cosine').describe('Half a cosine down to the end (Loshchilov and Hutter, 2017).'), ...decay }),
    z.strictObject({
      id: z.literal('polynomial').describe('(1 - t / T)^power: linear with power 1.'),
      ...decay,
      power: z.number().gt(0).max(100).default(1).describe('1: linear.'),
    }),
    z.strictObject({
      id: z.literal('one-cycle').describe('Up to the learning rate and far down again (Smith and Topin, 2017).'),
      per,
      length: steps.optional().describe('Steps (or epochs) of the cycle. Default: the whole training.'),
      rise: z.number().gt(0).lt(1).default(0.3).describe('Share of the cycle in which the rate rises.'),
      initialDivision: z.number().min(1).max(1e9).default(25).describe('The cycle begins at lr divided by this.'),
      finalDivision: z.number().min(1).max(1e9).default(1e4).describe('It ends at its beginning divided by this.'),
    }),
  ])
  .describe('How the learning rates of all optimizers change during a training.');

const criterion = z
  .union([
    z.enum(['bce', 'cross-entropy', 'mse', 'l1', 'huber']),
    z.strictObject({
      id: z.literal('cross-entropy').describe('Cross-entropy with smoothed labels (Szegedy et al., 2016).'),
      labelSmoothing: z.number().min(0).max(1).describe('Share of the target that is spread over all classes.'),
    }),
    z.strictObject({
      id: z.literal('huber').describe('Huber loss: squared for small errors, linear beyond.'),
      delta: z.number().gt(0).max(1e9).describe('Error beyond which the loss grows linearly. Default: 1.'),
    }),
  ])
  .describe(
    'Loss: bce for two classes, cross-entropy for any number, mse, l1 or huber for real labels. Default: by the label; mse for real ones.',
  );

const earlyStop = z
  .strictObject({
    heldOut: z
      .number()
      .gt(0)
      .lt(1)
      .default(0.1)
      .describe('Share of each trigger training set that is not trained on but tells the loss after every epoch.'),
    patience: whole(1, 10_000).default(2).describe('Epochs without a gain before the training ends.'),
    leastGain: z.number().min(0).default(0).describe('What counts as a gain.'),
  })
  .describe('Ends a training that no longer gains and keeps the model of its best epoch.');

const inTraining = z
  .strictObject({
    mode: z
      .enum(['batch-then-sample', 'sample-then-batch'])
      .default('batch-then-sample')
      .describe('Score each batch and train on a part of it, or score the whole set before an epoch and make batches of a part of it.'),
    every: whole(1, 1_000_000).default(1).describe('Epochs that a part of the set is trained on (sample-then-batch).'),
    keep: z.number().gt(0).lt(1).describe('Share of each batch, or of the set, that is trained on.'),
    score: z
      .enum(['gradient-norm', 'loss', 'margin', 'entropy', 'uniform'])
      .default('gradient-norm')
      .describe(
        'What a forward pass scores the samples of a batch by; margin: 1 - margin, so that samples in doubt score high; uniform needs none.',
      ),
    choice: z
      .enum(['sampled', 'greatest'])
      .default('sampled')
      .describe(
        'sampled: by the score, with losses weighted so that the expected gradient stays; greatest: the highest scores, unweighted.',
      ),
  })
  .refine(({ mode, every }) => mode === 'sample-then-batch' || every === 1, {
    error: 'expected none: it belongs to sample-then-batch',
    path: ['every'],
  })
  .describe('In-training selection: samples are scored while the model trains, and it trains on a part of them.');

/** What a training can record; those behind the first two are only told of classes. */
export const recordedValues = ['loss', 'gradient-norm', 'confidence', 'margin', 'entropy'] as const;
export const ofClasses: readonly string[] = ['confidence', 'margin', 'entropy'];

const record = z
  .array(z.enum(recordedValues))
  .refine((values) => new Set(values).size === values.length, { error: 'expected every value once' })
  .default([])
  .describe(
    'What a training keeps of each of its samples for selection policies: its loss, the norm of the gradient of the loss at the logits; with classes the probability of the likeliest one, its lead over the second (margin), the entropy of all.',
  );

const checkpoint = z
  .strictObject({
    everySeconds: z.number().gt(0).max(1e9).default(60).describe('Seconds between two checkpoints.'),
    everySteps: steps.optional().describe('Optimizer steps between two checkpoints, beside the seconds.'),
  })
  .prefault({})
  .describe('How often the state of a training is saved, from which a killed one goes on.');

const loader = z
  .strictObject({
    threads: whole(1, 64)
      .optional()
      .describe('Threads that read and encode samples. Default: one, with images or tensors a quarter of the cores.'),
    memory: whole(1, 1_048_576).default(1024).describe('MiB that all batches which are read ahead may take.'),
  })
  .prefault({})
  .describe('How samples are fed to a training. It changes no result.');

export const training = z
  .strictObject({
    batchSize: batchSize.default(512).describe('Samples in one step.'),
    epochs: whole(1, 10_000)
      .optional()
      .describe('Passes over the trigger training set. Default: 1, or as many as steps or samples ask for.'),
    steps: steps.optional().describe('Optimizer steps of each training, whatever the size of its set.'),
    samples: steps.optional().describe('Samples that each training sees, whatever the size of its set.'),
    accumulate: whole(1, 100_000).default(1).describe('Batches whose gradients are averaged for one optimizer step.'),
    clipNorm: z.number().gt(0).max(1e9).optional().describe('Gradients are scaled down to this norm over all parameters.'),
    optimizer: optimizers,
    groups: z.array(group).max(1000).default([]).describe('Parameters with another optimizer. The first group whose pattern fits counts.'),
    schedule: schedule.prefault({ id: 'constant' }),
    earlyStop: earlyStop.optional(),
    inTraining: inTraining.optional(),
    record,
    checkpoint,
    criterion: criterion.optional(),
    precision: z
      .enum(['fp32', 'bf16', 'fp16'])
      .default('fp32')
      .describe('Number format of matrix products; weights and sums are fp32. fp16 scales the loss dynamically.'),
    device: z
      .enum(['cpu', 'cuda', 'auto'])
      .default('cpu')
      .describe('What trainings and evaluations run on. auto: the first CUDA GPU where there is one, else the CPU.'),
    deterministic: z
      .boolean()
      .default(true)
      .describe('The same weights in every run; false lets a GPU use kernels that add up in any order.'),
    shuffle: z
      .enum(['global', 'block', 'none'])
      .default('global')
      .describe('global: a new random order in every epoch; block: of blocks, and within a few of them; none: by arrival.'),
    shuffleBlock: whole(1, 1_000_000_000).default(65_536).describe('Samples of a block.'),
    loader,
    start: z
      .enum(['previous', 'scratch'])
      .default('previous')
      .describe('What each training starts from: the previous model, or new random weights.'),
    first: filePath
      .optional()
      .describe('A safetensors file that the first training starts from, relative to the pipeline file. Default: random weights.'),
  })
  .describe('How a training runs.');

export type OptimizerConfig = z.output<typeof optimizer> | z.output<typeof embeddingOptimizer>;
export type ScheduleConfig = z.output<typeof schedule>;
export type CriterionConfig = z.output<typeof criterion>;
export type TrainingFileConfig = z.output<typeof training>;
