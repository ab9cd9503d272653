// Why samples cross the border by the batch.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { makeDataset, temporaryFolder } from './fixture.test.helper.js';

function nanosecondsPerSample(samples: number, work: () => void): number {
  const start = process.hrtime.bigint();
  work();
  return Number(process.hrtime.bigint() - start) / samples;
}

test('a sample of a large batch crosses at less than a hundredth of the cost of a call of its own', async () => {
  const rows = 50_000;
  const calls = 2000;
  const dataset = await makeDataset(temporaryFolder(), rows);
  const snapshot = dataset.snapshot();
  snapshot.labels();
  const single = nanosecondsPerSample(calls, () => {
    for (let i = 0; i < calls; i++) snapshot.labels(i, 1);
  });
  const batched = nanosecondsPerSample(50 * rows, () => {
    for (let i = 0; i < 50; i++) snapshot.labels(0, rows);
  });
  assert.ok(batched * 100 < single, `${single.toFixed(1)} ns by itself, ${batched.toFixed(3)} ns in a batch`);
  dataset.close();
});

test.run();
