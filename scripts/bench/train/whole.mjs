// Whole trainings with what may be switched on in them: recording into metadata columns, and both kinds of in-training selection.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { median, withFolder } from '../lib.mjs';
import { load, makeDataset, trainer } from '../training.mjs';

export const title = 'Whole trainings';
export const order = 45;
export const about =
  'From the first step to the stored model, one pass over the set from disk with a global shuffle, batches of 2,048, fp32; 16 numbers and 8 categories of 100,000 codes. MLP 64-32-1 on 2 million samples; DLRM with embeddings of 32 and MLPs 256-32 and 512-256-1 on half a million. Each training alternates with the plain one.';

const shape = { numbers: 16, categories: 8, codes: 100_000 };
const models = {
  MLP: { ...shape, samples: 2_000_000, categories: 0, model: '{ id: mlp, hidden: [64, 32] }' },
  DLRM: { ...shape, samples: 500_000, model: '{ id: dlrm, embedding: 32, bottom: [256, 32], top: [512, 256] }' },
};
const training = '{ batchSize: 2048, epochs: 1, optimizer: { id: sgd, lr: 0.01 } }';

/** Medians of seconds of plain trainings and of those with the changes, and of their ratio, over alternating rounds. */
async function compare(train, rounds, changes) {
  const seconds = { plain: [], changed: [] };
  const one = async (name, given) => {
    const result = await train(given);
    seconds[name].push(result.seconds + result.finishSeconds);
  };
  await train();
  for (let i = 0; i < rounds; i++) {
    await one('plain', {});
    await one('changed', changes);
  }
  return {
    plain: median(seconds.plain),
    changed: median(seconds.changed),
    ratio: median(seconds.changed.map((s, i) => s / seconds.plain[i])),
  };
}

function row(work, { plain, changed, ratio }, wanted, limit = '') {
  const show = (s) => `${s.toFixed(2)} s`;
  return { work, ours: show(changed), peer: show(plain), ratio, unit: '', lower: true, ...wanted, limit, note: '' };
}

const half = (mode) => ({ inTraining: { keep: 0.5, score: 'gradient-norm', choice: 'sampled', mode, every: 1 } });

export async function measure({ quick }) {
  const { freezeTrainset } = await load('native/trainset.js');
  return withFolder(async (folder) => {
    const [most, rounds] = quick ? [50_000, 1] : [2_000_000, 5];
    const dataset = await makeDataset(join(folder, 'dataset'), { rows: most, ...shape });
    try {
      const all = [];
      for (const [name, model] of Object.entries(models)) {
        const { trainsetFolder, train } = await trainer(folder, dataset, { ...model, training });
        const rows = Math.min(most, model.samples);
        const set = (await freezeTrainset(trainsetFolder, { first: 0, end: rows }, dataset.snapshot())).id;
        const metadata = join(folder, `metadata-${name}`);
        mkdirSync(metadata);
        const record = { record: { folder: metadata, values: ['loss', 'gradient-norm', 'confidence'] } };
        const times = async (changes) => compare((given) => train(set, given), rounds, changes);
        all.push(row(`${name} that records loss, gradient norm and confidence ÷ plain, in time`, await times(record), { must: 1.03 }));
        if (name !== 'DLRM') continue;
        const batch = await times(half('batch-then-sample'));
        all.push(
          row(
            `${name}, batch-then-sample, half by gradient norm ÷ all, in time`,
            batch,
            { must: 0.9, aim: 0.83 },
            'a forward pass more, and half of the training.',
          ),
        );
        const sample = await times(half('sample-then-batch'));
        all.push(
          row(
            `${name}, sample-then-batch, half by gradient norm ÷ all, in time`,
            sample,
            {},
            'a scoring pass over the set, then half of the training; both read the set.',
          ),
        );
      }
      return all;
    } finally {
      dataset.close();
    }
  });
}
