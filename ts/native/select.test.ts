import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { expectError, makeDataset, temporaryFolder } from './fixture.test.helper.js';
import { selectFreshness, selectUniform } from './select.js';

function isIncreasing(keys: BigUint64Array): boolean {
  return keys.every((key, i) => i === 0 || key > (keys[i - 1] ?? key));
}

test('uniform: different keys in increasing order, the same for the same seed', async () => {
  const keys = await selectUniform(100, 200_100, 20_000, 7);
  assert.is(keys.length, 20_000);
  assert.ok(isIncreasing(keys));
  assert.ok((keys[0] ?? 0n) >= 100n && (keys.at(-1) ?? 0n) < 200_100n);
  assert.equal(await selectUniform(100, 200_100, 20_000, 7), keys);
  assert.not.equal(await selectUniform(100, 200_100, 20_000, 8), keys);
});

test('uniform: all candidates when more are asked for, none when there are none', async () => {
  assert.equal(await selectUniform(3, 6, 10, 0), BigUint64Array.of(3n, 4n, 5n));
  assert.is((await selectUniform(3, 3, 10, 0)).length, 0);
});

test('freshness: newer samples are drawn more often, while the snapshot is read', async () => {
  const dataset = await makeDataset(temporaryFolder(), 20_000);
  const snapshot = dataset.snapshot();
  const options = { now: 20_000_000, halfLifeMs: 4_000_000, count: 2000, seed: 3 };
  const pending = selectFreshness(snapshot, 0, 20_000, options);
  assert.is(snapshot.labels().length, 20_000);
  const keys = await pending;
  assert.is(keys.length, 2000);
  assert.ok(isIncreasing(keys));
  const newest = keys.filter((key) => key >= 16_000n).length;
  const oldest = keys.filter((key) => key < 4000n).length;
  assert.ok(newest > 3 * oldest, `${newest} of the newest and ${oldest} of the oldest fifth`);
  dataset.close();
  await expectError('E_CLOSED', () => selectFreshness(snapshot, 0, 10, options));
});

test.run();
