import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { expectError, temporaryFolder } from './fixture.test.helper.js';
import { freezeTrainset, readTrainset } from './trainset.js';

test('a range and the same keys in an array are the same set', async () => {
  const folder = temporaryFolder();
  const keys = BigUint64Array.from({ length: 100_000 }, (_, i) => BigInt(50 + i));
  const id = await freezeTrainset(folder, { first: 50, end: 100_050 }, 200_000);
  assert.match(id, /^[0-9a-f]{32}$/);
  assert.is(await freezeTrainset(folder, { keys, weights: null }, 200_000), id);
  const set = await readTrainset(folder, id);
  assert.equal(set.keys, keys);
  assert.equal(set.weights, new Float32Array(100_000).fill(1));
});

test('keys keep their order and their weights', async () => {
  const folder = temporaryFolder();
  const keys = BigUint64Array.of(9n, 2n, 5n);
  const weights = Float32Array.of(0.5, 2, 1);
  const id = await freezeTrainset(folder, { keys, weights }, 10);
  assert.equal(await readTrainset(folder, id), { keys, weights });
});

test('freeze copies: the arrays may be changed at once', async () => {
  const folder = temporaryFolder();
  const keys = BigUint64Array.of(1n, 2n, 3n);
  const frozen = freezeTrainset(folder, { keys, weights: null }, 10);
  keys.fill(9n);
  assert.equal((await readTrainset(folder, await frozen)).keys, BigUint64Array.of(1n, 2n, 3n));
});

test('sets that cannot be are refused', async () => {
  const folder = temporaryFolder();
  await expectError('E_ARGUMENT', () => freezeTrainset(folder, { first: 5, end: 5 }, 10));
  await expectError('E_ARGUMENT', () => freezeTrainset(folder, { keys: BigUint64Array.of(10n), weights: null }, 10));
  await expectError('E_NOT_FINITE', () =>
    freezeTrainset(folder, { keys: BigUint64Array.of(1n), weights: Float32Array.of(Number.NaN) }, 10),
  );
  await expectError('E_NOT_FOUND', () => readTrainset(folder, 'a'.repeat(32)));
});

test.run();
