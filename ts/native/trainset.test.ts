import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { expectError, frozen, makeDataset, temporaryFolder } from './fixture.test.helper.js';
import { freezeTrainset, readTrainset } from './trainset.js';

test('a range and the same keys in an array are the same set', async () => {
  const folder = temporaryFolder();
  using dataset = await makeDataset(temporaryFolder(), 110_000);
  using snapshot = dataset.snapshot();
  const keys = BigUint64Array.from({ length: 100_000 }, (_, i) => BigInt(50 + i));
  const id = await frozen(folder, { first: 50, end: 100_050 }, snapshot);
  assert.match(id, /^[0-9a-f]{32}$/);
  assert.equal(await freezeTrainset(folder, { keys, weights: null }, snapshot), { id, size: 100_000 });
  const set = await readTrainset(folder, id);
  assert.equal(set.keys, keys);
  assert.equal(set.weights, new Float32Array(100_000).fill(1));
});

test('keys keep their order and their weights', async () => {
  const folder = temporaryFolder();
  using dataset = await makeDataset(temporaryFolder(), 10);
  using snapshot = dataset.snapshot();
  const keys = BigUint64Array.of(9n, 2n, 5n);
  const weights = Float32Array.of(0.5, 2, 1);
  const id = await frozen(folder, { keys, weights }, snapshot);
  assert.equal(await readTrainset(folder, id), { keys, weights });
});

test('freeze copies: the arrays may be changed and the snapshot closed at once', async () => {
  const folder = temporaryFolder();
  using dataset = await makeDataset(temporaryFolder(), 10);
  const snapshot = dataset.snapshot();
  const keys = BigUint64Array.of(1n, 2n, 3n);
  const id = frozen(folder, { keys, weights: null }, snapshot);
  keys.fill(9n);
  snapshot.close();
  assert.equal((await readTrainset(folder, await id)).keys, BigUint64Array.of(1n, 2n, 3n));
});

test('a set holds no sample that is deleted in its snapshot', async () => {
  const folder = temporaryFolder();
  using dataset = await makeDataset(temporaryFolder(), 100);
  using before = dataset.snapshot();
  await dataset.delete([{ first: 10, end: 20 }]);
  using after = dataset.snapshot();
  assert.is((await freezeTrainset(folder, { first: 0, end: 100 }, before))?.size, 100);
  const left = await freezeTrainset(folder, { first: 0, end: 100 }, after);
  assert.is(left?.size, 90);
  const { keys } = await readTrainset(folder, left?.id ?? '');
  assert.ok(keys.every((key) => key < 10n || key >= 20n));
  assert.is(await freezeTrainset(folder, { first: 10, end: 20 }, after), null);
});

test('sets that cannot be are refused', async () => {
  const folder = temporaryFolder();
  using dataset = await makeDataset(temporaryFolder(), 10);
  using snapshot = dataset.snapshot();
  await expectError('E_ARGUMENT', () => freezeTrainset(folder, { first: 5, end: 5 }, snapshot));
  await expectError('E_ARGUMENT', () => freezeTrainset(folder, { keys: BigUint64Array.of(10n), weights: null }, snapshot));
  await expectError('E_NOT_FINITE', () =>
    freezeTrainset(folder, { keys: BigUint64Array.of(1n), weights: Float32Array.of(Number.NaN) }, snapshot),
  );
  await expectError('E_NOT_FOUND', () => readTrainset(folder, 'a'.repeat(32)));
});

test.run();
