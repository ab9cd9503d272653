import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { stream } from '../conformance-data.js';
import { amount } from './amount.js';

const times = Array.from({ length: 10 }, (_, i) => i);

test('fires on every n-th sample', () => {
  const { batch } = stream('ten', times);
  const trigger = amount.create({ samples: 3 }, { seed: 0 });
  assert.equal(
    [...trigger.inform(batch(0, 10))].map((d) => d.at),
    [2, 5, 8],
  );
});

test('counts over batches', () => {
  const { batch } = stream('ten', times);
  const trigger = amount.create({ samples: 4 }, { seed: 0 });
  const fired = [batch(0, 3), batch(3, 3), batch(6, 4)].map((b) => [...trigger.inform(b)].map((d) => d.at));
  assert.equal(fired, [[], [0], [1]]);
});

test('says what was measured', () => {
  const { batch } = stream('ten', times);
  const [decision] = amount.create({ samples: 10 }, { seed: 0 }).inform(batch(0, 10));
  assert.equal(decision, { at: 9, reason: '10 new samples', score: 10, threshold: 10 });
});

test('refuses amounts that are no whole number >= 1', () => {
  for (const samples of [0, -1, 1.5, '5', undefined]) assert.not(amount.config.safeParse({ samples }).success, String(samples));
});

test.run();
