// Whole trainings of a pipeline's section, as a run makes them, on generated samples.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../lib/run.mjs';

export const load = (module) => import(join(root, 'dist', module));

/** A dataset of `rows` samples whose label is the sign of the first number; category k is spread over `codes` values. */
export async function makeDataset(path, { rows, numbers, categories, codes }) {
  const { Dataset } = await load('native/dataset.js');
  const name = (letter) => (_, i) => `${letter}${i}`;
  const dataset = Dataset.create(path, {
    columns: [
      ...Array.from({ length: numbers }, name('x')).map((x) => ({ name: x, type: 'f32', shape: [] })),
      ...Array.from({ length: categories }, name('c')).map((c) => ({ name: c, type: 'i32', shape: [] })),
    ],
    label: 'class',
    classes: 2,
  });
  const size = 1_000_000;
  for (let first = 0; first < rows; first += size) {
    const length = Math.min(size, rows - first);
    const x = Array.from({ length: numbers }, (_, k) => Float32Array.from({ length }, (_, i) => Math.sin((first + i) * (k + 1))));
    const c = Array.from({ length: categories }, (_, k) => Int32Array.from({ length }, (_, i) => ((first + i) * (7919 + 2 * k)) % codes));
    const timestamps = BigInt64Array.from({ length }, (_, i) => BigInt(first + i));
    await dataset.append({ timestamps, labels: x[0].map((v) => (v > 0 ? 1 : 0)), columns: [...x, ...c], state: {} });
  }
  return dataset;
}

/**
 * What trains on such a dataset, in `folder`: train(trainset, changes) resolves with the core's result. `model` and `training` are
 * sections of a pipeline file, so that the bench follows whatever the plan of a training grows.
 */
export async function trainer(folder, dataset, { numbers, categories, codes, model, training }) {
  const [{ loadPipeline }, { recipeOf }, { train }] = await Promise.all([
    load('config/parse.js'),
    load('pipeline/plan.js'),
    load('native/trainer.js'),
  ]);
  const list = (length, entry) => Array.from({ length }, (_, i) => entry(i)).join(', ');
  const file = join(folder, 'pipeline.yaml');
  writeFileSync(
    file,
    `
pipeline: { id: bench, seed: 1 }
dataset:
  id: bench
  source: { format: csv, path: unused.csv }
  time: { column: t }
  label: { column: x0, atLeast: 0 }
  columns: { ${list(numbers, (i) => `x${i}: f32`)}${categories > 0 ? ', ' : ''}${list(categories, (i) => `c${i}: i32`)} }
features:
  dense: [${list(numbers, (i) => `{ column: x${i} }`)}]
  categorical: [${list(categories, (i) => `{ column: c${i}, buckets: ${codes} }`)}]
model: ${model}
training: ${training}
trigger: { id: amount, samples: 1000000 }
selection: { id: new-data }
`,
  );
  const trainsetFolder = join(folder, 'trainsets');
  mkdirSync(trainsetFolder, { recursive: true });
  const recipe = recipeOf(await loadPipeline(file), dataset.info().schema, trainsetFolder);
  const plan = {
    ...recipe,
    parent: '',
    metadata: {},
    checkpoints: { path: '', everySteps: 0, everySeconds: 0 },
    record: { folder: '', values: [] },
    output: join(folder, 'model.safetensors'),
  };
  return { trainsetFolder, train: (trainset, changes = {}) => train(dataset, { ...plan, trainset, ...changes }) };
}
