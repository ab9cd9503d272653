// The fixed cost of one training: from the trigger's decision to the first step (selecting, freezing the set, building the
// model, the first batch), and from the last step to the stored model, on a million samples and a small model.
import { join } from 'node:path';
import { median, withFolder } from '../lib.mjs';
import { load, makeDataset, trainer } from '../training.mjs';

export const title = 'Fixed cost of one training';
export const order = 50;
export const about =
  'Trigger decided → first step (selecting, freezing the set, building the model, the first batch), plus last step → model stored durably; a small model.';

const rows = 1_000_000;
const shape = { numbers: 1, categories: 1, codes: 10_000 };
const sections = {
  model: '{ id: dlrm, embedding: 16, bottom: [32], top: [32] }',
  training: '{ batchSize: 1024, steps: 20, optimizer: { id: adagrad, lr: 0.01 } }',
};

/** Milliseconds before the first and after the last step, medians of several trainings, each on a set of its own. */
async function cost({ trainsetFolder, train }, snapshot, choose) {
  const { freezeTrainset } = await load('native/trainset.js');
  const before = [];
  const after = [];
  for (let i = 0; i < 9; i++) {
    const start = performance.now();
    const { id: trainset } = await freezeTrainset(trainsetFolder, await choose(i), snapshot);
    const frozen = performance.now() - start;
    const result = await train(trainset);
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
  const { selectUniform } = await load('native/select.js');
  return withFolder(async (folder) => {
    const dataset = await makeDataset(join(folder, 'dataset'), { rows: 2 * rows, ...shape });
    try {
      const training = await trainer(folder, dataset, { ...shape, ...sections });
      const snapshot = dataset.snapshot({ leaseMs: 0 });
      const newData = await cost(training, snapshot, (i) => ({ first: i, end: i + rows }));
      const uniform = await cost(training, snapshot, async (i) => ({ keys: await selectUniform(0, 2 * rows, rows, i), weights: null }));
      return [
        row('a million new samples', newData, 'The set is a range; the shuffle of a million keys is what takes the time.'),
        row('a uniform sample of a million of two', uniform, 'Chosen, sorted, hashed and written durably.'),
      ];
    } finally {
      dataset.close();
    }
  });
}
