// A whole experiment: a CSV file is ingested, models are trained on what was recorded, stored and evaluated.
import { readFileSync, writeFileSync } from 'node:fs';
import { loadPipeline, runExperiment } from '../../../dist/index.js';
import { experiment } from '../experiment.mjs';
import { expect } from './rows.mjs';

const samples = 1200;
const pipeline = experiment({ batchSize: 32, epochs: 2, everySteps: 7, samples: 400, window: '1h' });

export async function prepare(folder) {
  const rows = Array.from(
    { length: samples },
    (_, i) => `${1_700_000_000_000 + 10_000 * i},${((i * 7919) % 1000) / 500 - 1},c${i % 13},${(i * 7) % 2}`,
  );
  writeFileSync(`${folder}/d.csv`, `t,x,c,y\n${rows.join('\n')}\n`);
  writeFileSync(`${folder}/p.yaml`, pipeline);
  await run(folder, 'undisturbed');
}

async function run(folder, data, events) {
  return await runExperiment(await loadPipeline(`${folder}/p.yaml`), { dataFolder: `${folder}/${data}`, onEvent: events });
}

/** What must not differ. */
function outcome(folder, data, { triggers }) {
  return triggers.map(({ trigger, training, evaluation }) => {
    const file = readFileSync(`${folder}/${data}/models/p/${trigger.id}.safetensors`);
    const weights = file.subarray(8 + Number(file.readBigUInt64LE(0))).toString('base64');
    return { key: trigger.key, trainset: training.trainset, loss: training.loss, weights, evaluation };
  });
}

export async function work(folder, { mark, attempt }) {
  await attempt(() =>
    run(folder, 'sluice-data', ({ type, trigger, training }) => {
      if (type === 'trigger') mark({ triggers: trigger.id + 1 });
      if (type === 'trained') mark({ models: training.triggerId + 1 });
    }),
  );
}

export async function check(folder, { triggers = 0, models = 0 }) {
  const recorded = { triggers: 0, models: 0 };
  const result = await run(folder, 'sluice-data', (event) => {
    if (event.type === 'trigger' && event.recorded) recorded.triggers++;
    if (event.type === 'trained' && event.recorded) recorded.models++;
  });
  expect(recorded.triggers >= triggers, `${triggers} triggers were journalled, ${recorded.triggers} were there`);
  expect(recorded.models >= models, `${models} trainings were journalled, ${recorded.models} were there`);
  expect(result.dataset.samples === samples, `${result.dataset.samples} samples instead of ${samples}`);
  const expected = outcome(folder, 'undisturbed', await run(folder, 'undisturbed'));
  const found = outcome(folder, 'sluice-data', result);
  expect(found.length === expected.length, `${found.length} triggers instead of ${expected.length}`);
  for (const [id, one] of found.entries()) {
    for (const what of Object.keys(one)) {
      expect(JSON.stringify(one[what]) === JSON.stringify(expected[id][what]), `${what} of trigger ${id} is another one than undisturbed`);
    }
  }
}
