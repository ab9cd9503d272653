// The fixed cost of one training: from the trigger's decision to the first step (selecting, freezing the set, building the
// model, the first batch), and from the last step to the stored model, on a million samples and a small model.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../lib/run.mjs';
import { median, withFolder } from '../lib.mjs';

export const title = 'Fixed cost of one training';
export const order = 50;
export const about =
  'Trigger decided → first step (selecting, freezing the set, building the model, the first batch), plus last step → model stored durably; a small model.';

const rows = 1_000_000;
const load = (module) => import(join(root, 'dist', module));

async function makeDataset(Dataset, path) {
  const dataset = Dataset.create(path, {
    columns: [
      { name: 'x', type: 'f32' },
      { name: 'c', type: 'i32' },
    ],
    label: 'class',
    classes: 2,
  });
  for (let batch = 0; batch < 2; batch++) {
    const timestamps = BigInt64Array.from({ length: rows }, (_, i) => BigInt(batch * rows + i));
    const x = Float32Array.from({ length: rows }, (_, i) => Math.sin(i));
    const c = Int32Array.from({ length: rows }, (_, i) => (i * 7919) % 100_003);
    await dataset.append({ timestamps, labels: x.map((v) => (v > 0 ? 1 : 0)), columns: [x, c], state: {} });
  }
  return dataset;
}

const optimizer = {
  kind: 'adagrad',
  lr: 0.01,
  eps: 1e-10,
  beta1: 0.9,
  beta2: 0.999,
  momentum: 0,
  dampening: 0,
  nesterov: false,
  weightDecay: 0,
};
const plan = {
  features: {
    dense: [{ op: 'value', column: 0, mean: 0, scale: 1 }],
    categorical: [{ op: 'column', column: 1, other: 0, buckets: 10_000 }],
  },
  model: { kind: 'dlrm', dense: 1, tables: [10_000], embedding: 16, bottom: [32, 16], top: [32, 1] },
  criterion: { kind: 'bce', labelSmoothing: 0, delta: 1 },
  precision: 'fp32',
  denseOptimizer: optimizer,
  embeddingOptimizer: optimizer,
  groups: [],
  seed: 1,
  batchSize: 1024,
  epochs: 1,
  maxSteps: 20,
  accumulate: 1,
  clipNorm: 0,
  schedule: {
    kind: 'constant',
    perEpoch: false,
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
  },
  earlyStop: { heldOut: 0, patience: 1, leastGain: 0 },
  inTraining: { keep: 1, score: 'uniform', choice: 'sampled' },
  checkpoints: { path: '', everySteps: 0, everySeconds: 0 },
  shuffle: 'global',
  shuffleBlock: 65_536,
  parent: '',
  metadata: {},
};

/** Milliseconds before the first and after the last step, medians of several trainings, each on a set of its own. */
async function cost(folder, dataset, choose) {
  const [{ freezeTrainset }, { train }] = await Promise.all([load('native/trainset.js'), load('native/trainer.js')]);
  const trainsetFolder = join(folder, 'trainsets');
  mkdirSync(trainsetFolder, { recursive: true });
  const before = [];
  const after = [];
  for (let i = 0; i < 9; i++) {
    const start = performance.now();
    const trainset = await freezeTrainset(trainsetFolder, await choose(i), 2 * rows);
    const frozen = performance.now() - start;
    const result = await train(dataset, { ...plan, trainsetFolder, trainset, output: join(folder, 'model.safetensors') });
    before.push(frozen + 1000 * result.startSeconds);
    after.push(1000 * result.finishSeconds);
  }
  return { beforeMs: median(before), afterMs: median(after) };
}

function row(work, { beforeMs, afterMs }, note) {
  return {
    work,
    ours: `${beforeMs.toFixed(0)} + ${afterMs.toFixed(0)} ms`,
    peer: '',
    ratio: beforeMs + afterMs,
    unit: 'ms',
    lower: true,
    must: 100,
    aim: 30,
    limit: '',
    note,
  };
}

export async function measure() {
  const [{ Dataset }, { selectUniform }] = await Promise.all([load('native/dataset.js'), load('native/select.js')]);
  return withFolder(async (folder) => {
    const dataset = await makeDataset(Dataset, join(folder, 'dataset'));
    try {
      const newData = await cost(folder, dataset, (i) => ({ first: i, end: i + rows }));
      const uniform = await cost(folder, dataset, async (i) => ({ keys: await selectUniform(0, 2 * rows, rows, i), weights: null }));
      return [
        row('a million new samples', newData, 'The set is a range; the shuffle of a million keys is what takes the time.'),
        row('a uniform sample of a million of two', uniform, 'Chosen, sorted, hashed and written durably.'),
      ];
    } finally {
      dataset.close();
    }
  });
}
