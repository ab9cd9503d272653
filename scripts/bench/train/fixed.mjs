// The fixed cost of one training: from the trigger's decision to the first step (selecting, freezing the set, building the
// model, the first batch), and from the last step to the stored model, on a million samples and a small model.
import { mkdirSync, writeFileSync } from 'node:fs';
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
      { name: 'x', type: 'f32', shape: [] },
      { name: 'c', type: 'i32', shape: [] },
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

// As a user writes it, so that the bench follows whatever the plan of a training grows.
const pipeline = `
pipeline: { id: fixed, seed: 1 }
dataset:
  id: fixed
  source: { format: csv, path: unused.csv }
  time: { column: t }
  label: { column: x, atLeast: 0 }
  columns: { x: f32, c: i32 }
features: { dense: [{ column: x }], categorical: [{ column: c, buckets: 10000 }] }
model: { id: dlrm, embedding: 16, bottom: [32], top: [32] }
training: { batchSize: 1024, steps: 20, optimizer: { id: adagrad, lr: 0.01 } }
trigger: { id: amount, samples: 1000000 }
selection: { id: new-data }
`;

async function recipe(folder, schema) {
  const [{ loadPipeline }, { recipeOf }] = await Promise.all([load('config/parse.js'), load('pipeline/plan.js')]);
  const file = join(folder, 'pipeline.yaml');
  writeFileSync(file, pipeline);
  return recipeOf(await loadPipeline(file), schema, join(folder, 'trainsets'));
}

/** Milliseconds before the first and after the last step, medians of several trainings, each on a set of its own. */
async function cost(folder, dataset, choose) {
  const [{ freezeTrainset }, { train }] = await Promise.all([load('native/trainset.js'), load('native/trainer.js')]);
  const trainsetFolder = join(folder, 'trainsets');
  mkdirSync(trainsetFolder, { recursive: true });
  const plan = {
    ...(await recipe(folder, dataset.info().schema)),
    parent: '',
    metadata: {},
    checkpoints: { path: '', everySteps: 0, everySeconds: 0 },
  };
  const before = [];
  const after = [];
  for (let i = 0; i < 9; i++) {
    const start = performance.now();
    const trainset = await freezeTrainset(trainsetFolder, await choose(i), 2 * rows);
    const frozen = performance.now() - start;
    const result = await train(dataset, { ...plan, trainset, output: join(folder, 'model.safetensors') });
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
