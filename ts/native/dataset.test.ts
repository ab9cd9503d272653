import { readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Dataset } from './dataset.js';
import { expectError, makeBatch, makeDataset, schema, temporaryFolder } from './fixture.test.helper.js';

const chunkRows = 65_536;

test('a dataset is created, filled, closed and opened again', async () => {
  const folder = path.join(temporaryFolder(), 'dataset');
  const created = Dataset.create(folder, schema);
  assert.is(await created.append(makeBatch(0, 1000)), 0);
  assert.is(await created.append({ ...makeBatch(1000, 500), state: { place: 'row 1500' } }), 1000);
  created.setState('other', 'ünïcode');
  created.close();

  const opened = Dataset.open(folder, { readOnly: true });
  assert.equal(opened.info(), { schema, size: 1500, deleted: 0, sorted: true, path: folder });
  assert.is(opened.state('place'), 'row 1500');
  assert.is(opened.state('other'), 'ünïcode');
  assert.is(opened.state('none'), null);
  const snapshot = opened.snapshot();
  assert.equal(snapshot.timestamps(1490), makeBatch(1490, 10).timestamps);
  assert.equal(snapshot.labels(), makeBatch(0, 1500).labels);
  assert.is(snapshot.lowerBoundTime(700_500), 701);
  assert.is(snapshot.lowerBoundTime(700_500, 0, 600), 600);
  opened.close();
});

test('append copies: the arrays may be changed or transferred at once', async () => {
  const dataset = Dataset.create(path.join(temporaryFolder(), 'dataset'), schema);
  const batch = makeBatch(0, 10_000);
  const appended = dataset.append(batch);
  batch.labels.fill(Number.NaN);
  structuredClone(batch.timestamps, { transfer: [batch.timestamps.buffer as ArrayBuffer] });
  await appended;
  const snapshot = dataset.snapshot();
  assert.equal(snapshot.labels(), makeBatch(0, 10_000).labels);
  assert.equal(snapshot.timestamps(), makeBatch(0, 10_000).timestamps);
  dataset.close();
});

test('a snapshot does not see later samples', async () => {
  const dataset = await makeDataset(temporaryFolder(), 100);
  const snapshot = dataset.snapshot();
  await dataset.append(makeBatch(100, 100));
  assert.is(snapshot.size, 100);
  assert.is(snapshot.labels().length, 100);
  assert.is(dataset.size(), 200);
  dataset.close();
});

test('rows of several chunks come as one array', async () => {
  const dataset = await makeDataset(temporaryFolder(), chunkRows + 1000);
  const snapshot = dataset.snapshot();
  const expected = makeBatch(chunkRows - 10, 20);
  assert.equal(snapshot.timestamps(chunkRows - 10, 20), expected.timestamps);
  assert.equal(snapshot.labels(chunkRows - 10, 20), expected.labels);
  assert.is(snapshot.labels().length, chunkRows + 1000);
  assert.is(snapshot.timestamps(5, 0).length, 0);
  dataset.close();
});

test('samples are found by label, key and time', async () => {
  using dataset = await makeDataset(temporaryFolder(), chunkRows + 500);
  await dataset.delete([{ first: 3, end: 5 }]);
  using snapshot = dataset.snapshot();
  const labels = snapshot.labels().slice();
  const expected = Array.from(labels.keys()).filter((key) => labels[key] === 1 && (key < 3 || key >= 5));
  assert.equal(Array.from(await snapshot.find({ labels: [1] }), Number), expected);
  assert.is(await snapshot.count({ labels: [1] }), expected.length);
  assert.is(await snapshot.count({}), chunkRows + 498);
  assert.equal(await snapshot.findRanges({ where: [{ field: 'time', operator: '<', value: 6000 }] }), [
    { first: 0, end: 3 },
    { first: 5, end: 6 },
  ]);
  assert.equal(Array.from(await snapshot.find({ keys: [{ first: 8, end: 10 }] })), [8n, 9n]);
  assert.is((await snapshot.find({ labels: [] })).length, 0);
  await dataset.append(makeBatch(chunkRows + 500, 10));
  assert.is(await snapshot.count({}), chunkRows + 498);
  await expectError('E_ARGUMENT', () => snapshot.find({ keys: [{ first: 0, end: snapshot.size + 1 }] }), /does not exist/);
  await expectError(
    'E_ARGUMENT',
    () => snapshot.find({ where: [{ field: 'time', operator: '<', value: Number.NaN }] }),
    /where\[0\]\.value/,
  );
  await expectError(
    'E_ARGUMENT',
    () => snapshot.find({ where: [{ field: 'x' as 'key', operator: '<', value: 1 }] }),
    /"key", "time" or "label"/,
  );
  await expectError('E_ABORTED', () => snapshot.find({}, AbortSignal.abort()));
});

test('writing into a view changes neither the index nor another view', async () => {
  const folder = temporaryFolder();
  const dataset = await makeDataset(folder, 5000);
  const snapshot = dataset.snapshot();
  const view = snapshot.timestamps();
  const other = snapshot.timestamps();
  view.fill(-1n);
  snapshot.labels().fill(7);
  assert.is(view[123], -1n);
  assert.equal(other, makeBatch(0, 5000).timestamps);
  dataset.close();

  const again = Dataset.open(path.join(folder, 'dataset'));
  assert.equal(again.snapshot().timestamps(), makeBatch(0, 5000).timestamps);
  assert.equal(again.snapshot().labels(), makeBatch(0, 5000).labels);
  again.close();
});

for (const [what, close] of [
  ['its snapshot', (_dataset: Dataset, snapshot: { close(): void }) => snapshot.close()],
  ['its dataset', (dataset: Dataset) => dataset.close()],
] as const) {
  test(`a view is detached when ${what} is closed`, async () => {
    const dataset = await makeDataset(temporaryFolder(), 5000);
    const snapshot = dataset.snapshot();
    const views = [snapshot.timestamps(), snapshot.labels(100, 1000)];
    close(dataset, snapshot);
    for (const view of views) {
      assert.is(view.length, 0);
      assert.throws(() => view.at(0), /detached/);
    }
    dataset.close();
  });
}

test('the buffer of a view cannot be moved away from its snapshot', async () => {
  const dataset = await makeDataset(temporaryFolder(), 5000);
  const snapshot = dataset.snapshot();
  const view = snapshot.labels();
  try {
    structuredClone(view, { transfer: [view.buffer as ArrayBuffer] });
  } catch (error) {
    assert.is((error as Error).name, 'DataCloneError');
  }
  assert.is(view.length, 5000);
  dataset.close();
  assert.is(view.length, 0);
});

test('use after close says E_CLOSED; closing twice does nothing', async () => {
  const dataset = await makeDataset(temporaryFolder(), 100);
  const snapshot = dataset.snapshot();
  snapshot.close();
  snapshot.close();
  await expectError('E_CLOSED', () => snapshot.timestamps(), /snapshot is closed/);
  const child = dataset.snapshot();
  dataset.close();
  dataset.close();
  child.close();
  for (const use of [
    () => child.labels(),
    () => dataset.info(),
    () => dataset.snapshot(),
    () => dataset.state('a'),
    () => dataset.append(makeBatch(0, 1)),
  ])
    await expectError('E_CLOSED', use);
});

test('a snapshot that is not used is closed when its lease runs out', async () => {
  const dataset = await makeDataset(temporaryFolder(), 100);
  const snapshot = dataset.snapshot({ leaseMs: 30 });
  const view = snapshot.labels();
  const kept = dataset.snapshot({ leaseMs: 0 });
  await new Promise((resolve) => setTimeout(resolve, 31));
  assert.is(view.length, 0);
  const error = await expectError('E_CLOSED', () => snapshot.labels(), /30 ms without use/);
  assert.match(error.hint ?? '', 'leaseMs');
  assert.is(kept.labels().length, 100);
  await expectError('E_ARGUMENT', () => dataset.snapshot({ leaseMs: -1 }), /leaseMs/);
  dataset.close();
});

test('each use renews the lease', async () => {
  const dataset = await makeDataset(temporaryFolder(), 100);
  const snapshot = dataset.snapshot({ leaseMs: 200 });
  const start = performance.now();
  while (performance.now() - start < 500) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    snapshot.renew();
  }
  assert.is(snapshot.labels().length, 100);
  dataset.close();
});

test('the errors of the core keep their codes', async () => {
  const folder = temporaryFolder();
  const dataset = await makeDataset(folder, 10);
  const file = path.join(folder, 'dataset');
  await expectError('E_LOCKED', () => Dataset.open(file));
  await expectError('E_NOT_FOUND', () => Dataset.open(path.join(folder, 'none')));
  await expectError('E_NOT_FINITE', () =>
    dataset.append({ ...makeBatch(0, 2), columns: [Float32Array.of(1, Number.NaN), new Int32Array(2), new Int32Array(2)] }),
  );
  await expectError('E_LABEL_RANGE', () => dataset.append({ ...makeBatch(0, 2), labels: Float32Array.of(0, 2) }));
  assert.is(dataset.size(), 10);
  dataset.close();
  await expectError('E_EXISTS', () => Dataset.create(file, schema));
});

test('tensors and bytes are appended as typed arrays of exactly their length', async () => {
  const columns = [
    { name: 'picture', type: 'u8' as const, shape: [2, 3, 3] },
    { name: 'signal', type: 'f32' as const, shape: [5] },
    { name: 'tokens', type: 'i32' as const, shape: [4] },
    { name: 'raw', type: 'bytes' as const, shape: [6] },
  ];
  const folder = path.join(temporaryFolder(), 'dataset');
  const dataset = Dataset.create(folder, { columns, label: 'class', classes: 2 });
  const rows = 3;
  const good = [new Uint8Array(rows * 18), new Float32Array(rows * 5), new Int32Array(rows * 4), new Uint8Array(rows * 12)];
  const batch = (changed: typeof good) => ({
    timestamps: new BigInt64Array(rows),
    labels: new Float32Array(rows),
    columns: changed,
    state: {},
  });
  assert.is(await dataset.append(batch(good)), 0);
  await expectError('E_ARGUMENT', () => dataset.append(batch(good.with(0, new Uint8Array(rows * 18 - 1)))), /columns\[0\].*length 54/);
  await expectError('E_ARGUMENT', () => dataset.append(batch(good.with(0, new Float32Array(rows * 18)))), /Uint8Array/);
  await expectError('E_ARGUMENT', () => dataset.append(batch(good.with(3, new Uint8Array(rows * 6)))), /columns\[3\].*length 36/);
  const tooLong = new Uint8Array(rows * 12);
  tooLong[12] = 7;
  await expectError(
    'E_ARGUMENT',
    () => dataset.append(batch(good.with(3, tooLong))),
    /column 'raw', row 1: expected at most 6 bytes, got 7/,
  );
  dataset.close();
  const opened = Dataset.open(folder);
  assert.equal(opened.info().schema.columns, columns);
  assert.is(opened.size(), rows);
  opened.close();
  const shape = [70_000, 70_000];
  await expectError('E_ARGUMENT', () =>
    Dataset.create(`${folder}2`, { columns: [{ name: 'a', type: 'u8', shape }], label: 'class', classes: 2 }),
  );
});

const openFiles = () => readdirSync('/proc/self/fd').length;

test('a thousand opens and closes leave no file open', async () => {
  const folder = temporaryFolder();
  (await makeDataset(folder, 1000)).close();
  const openAndClose = () => {
    const dataset = Dataset.open(path.join(folder, 'dataset'));
    dataset.snapshot().timestamps();
    dataset.close();
  };
  openAndClose();
  const before = openFiles();
  for (let i = 0; i < 1000; i++) openAndClose();
  assert.is(openFiles(), before);
});

test('Symbol.dispose closes', async () => {
  const dataset = await makeDataset(temporaryFolder(), 10);
  const snapshot = dataset.snapshot();
  snapshot[Symbol.dispose]();
  await expectError('E_CLOSED', () => snapshot.labels());
  dataset[Symbol.dispose]();
  await expectError('E_CLOSED', () => dataset.info());
});

test('a check finds what is damaged, off the main thread, and can be stopped', async () => {
  const folder = temporaryFolder();
  const dataset = await makeDataset(folder, 200_000);
  const at = path.join(folder, 'dataset');
  const shares: number[] = [];
  const report = await Dataset.check(at, { onProgress: (p) => shares.push(p.bytes / p.totalBytes) });
  assert.is(report.samples, 200_000);
  assert.equal(report.damages, []);
  assert.ok(shares.length > 0 && shares.every((share) => share > 0 && share <= 1));
  await expectError('E_LOCKED', () => Dataset.check(at, { repair: true }));
  dataset.close();
  await expectError('E_ABORTED', () => Dataset.check(at, { signal: AbortSignal.abort() }));
  await expectError('E_NOT_FOUND', () => Dataset.check(path.join(folder, 'none')));
  rmSync(path.join(at, 'index'), { recursive: true });
  const repaired = await Dataset.check(at, { repair: true });
  assert.ok(repaired.damages.length > 0 && repaired.damages.every((damage) => damage.repaired));
  using again = Dataset.open(at);
  assert.is(again.size(), 200_000);
});

test.run();
