// Records of fixed width and the Criteo layout.
import { appendFileSync, mkdirSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { collect, failure, MemoryStore, temporaryFolder } from './fixture.test.helper.js';
import { ingest, openSource } from './ingest.js';
import type { BinaryField, BinarySource, ColumnType, CriteoSource, DatasetSpec } from './spec.js';

const time = { start: 0, step: 1000 };

async function run(folder: string, source: BinarySource | CriteoSource, spec: DatasetSpec, store = new MemoryStore()) {
  return { store, result: await ingest({ store, source: await openSource({ ...spec, id: 'd', source }, folder), spec }) };
}

/** Records: label, then a picture of 3 x 2 x 2, channels first. */
function cifar(rows: number): Buffer {
  return Buffer.from(
    Array.from({ length: rows }, (_, row) => [row % 2, ...Array.from({ length: 12 }, (_pixel, i) => row * 12 + i)]).flat(),
  );
}

const fields: BinaryField[] = [
  { name: 'label', type: 'uint8', shape: [] },
  { name: 'image', type: 'uint8', shape: [3, 2, 2], permute: [1, 2, 0] },
];
const source = (changes: Partial<BinarySource> = {}): BinarySource => ({ format: 'binary', path: ['*.bin'], fields, skip: 0, ...changes });
const pictures: DatasetSpec = { time, label: { column: 'label' }, columns: { image: { tensor: 'u8', shape: [2, 2, 3] } } };

test('records become rows; channels move to the end', async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'a.bin'), cifar(3));
  writeFileSync(join(folder, 'b.bin'), cifar(1));
  const { store, result } = await run(folder, source(), pictures);
  assert.equal(result, { appended: 4, total: 4, parts: 2, skipped: 0 });
  assert.equal(store.labels, [0, 1, 0, 0]);
  assert.equal(store.timestamps, [0, 1000, 2000, 3000]);
  assert.equal(
    store.columns[0]!.slice(12, 24),
    [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11].map((i) => 12 + i),
  );
});

test('every type of value, little-endian', async () => {
  const record = Buffer.alloc(1 + 1 + 2 + 4 + 2 + 4 + 8 + 1);
  record.writeInt8(-5, 0);
  record.writeUInt8(250, 1);
  record.writeInt16LE(-3000, 2);
  record.writeInt32LE(-2_000_000_000, 4);
  record.writeUInt16LE(0xb555, 8); // -0.33325195 as binary16
  record.writeFloatLE(1.5, 10);
  record.writeDoubleLE(-2.25, 14);
  const types = ['int8', 'uint8', 'int16', 'int32', 'float16', 'float32', 'float64'] as const;
  const all: BinaryField[] = [...types.map((type) => ({ name: type, type, shape: [] })), { name: 'label', type: 'uint8', shape: [] }];
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'a.bin'), Buffer.concat([Buffer.from('head'), record, record]));
  const columns = Object.fromEntries(types.map((type): [string, ColumnType] => [type, type.startsWith('float') ? 'f32' : 'i32']));
  const { store } = await run(folder, source({ fields: all, skip: 4 }), { ...pictures, columns });
  assert.equal(
    store.columns.map(([first]) => first),
    [-5, 250, -3000, -2_000_000_000, Math.fround(-(1 + 341 / 1024) * 2 ** -2), 1.5, -2.25],
  );
  record.writeUInt16LE(0x7c00, 8); // infinity
  appendFileSync(join(folder, 'a.bin'), record);
  await failure('E_NOT_FINITE', ['a.bin', "'float16'", 'row 3'], () =>
    run(folder, source({ fields: all, skip: 4 }), { ...pictures, columns }),
  );
});

test('files that are cut off, and fields that do not fit, are told', async () => {
  const folder = temporaryFolder();
  const file = join(folder, 'a.bin');
  writeFileSync(file, cifar(3));
  truncateSync(file, 38);
  await failure('E_SOURCE', ['a.bin', '38 bytes', 'records of 13 bytes'], () => run(folder, source(), pictures));
  writeFileSync(file, cifar(3));
  await failure('E_SOURCE', ['first 40'], () => run(folder, source({ skip: 40 }), pictures));
  await failure('E_SOURCE', ['a.bin', "'x'"], () => run(folder, source(), { ...pictures, columns: { x: 'f32' } }));
  for (const form of [{ tensor: 'u8', shape: [3, 2, 2] }, { image: [2, 2, 3], fit: 'cover', onError: 'fail' }, 'f32'] as ColumnType[])
    await failure('E_ARGUMENT', ['[2, 2, 3]'], () => run(folder, source(), { ...pictures, columns: { image: form } }));
  writeFileSync(file, '');
  assert.is((await run(folder, source(), pictures)).result.appended, 0);
});

test('a file that shrinks while it is read is told', async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'a.bin'), cifar(3));
  const opened = await openSource({ ...pictures, id: 'd', source: source() }, folder);
  const parts = await opened.parts();
  truncateSync(join(folder, 'a.bin'), 13);
  await failure('E_SOURCE', ['a.bin', 'byte 13'], () =>
    ingest({ store: new MemoryStore(), source: { parts: async () => parts }, spec: pictures }),
  );
});

const featureSpec = `channel_spec:
  categorical: [cat_0.bin, cat_1.bin]
  label: [label]
  numerical: [num_0, num_1]
feature_spec:
  cat_0.bin: { cardinality: 100, dtype: int8 }
  cat_1.bin: { cardinality: 40000, dtype: int32 }
  label: { dtype: bool }
  num_0: { dtype: float16 }
  num_1: { dtype: float16 }
metadata: {}
source_spec:
  train:
    - { features: [label], files: [train/label.bin], type: split_binary }
    - { features: [num_0, num_1], files: [train/numerical.bin], type: split_binary }
    - { features: [cat_0.bin], files: [train/cat_0.bin], type: split_binary }
    - { features: [cat_1.bin], files: [train/cat_1.bin], type: split_binary }
  out:
    - { features: [label], files: [../label.bin], type: split_binary }
`;
const criteoSpec: DatasetSpec = {
  time,
  label: { column: 'label' },
  columns: { num_0: 'f32', num_1: 'f32', 'cat_0.bin': { category: 100 }, 'cat_1.bin': { category: 40_000 } },
};
const criteo = (splits = ['train']): CriteoSource => ({ format: 'criteo', path: ['set'], splits });

function criteoFolder(text = featureSpec): string {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'set/train'), { recursive: true });
  writeFileSync(join(folder, 'set/feature_spec.yaml'), text);
  const bytes = (values: ArrayBufferView) => new Uint8Array(values.buffer);
  writeFileSync(join(folder, 'set/train/label.bin'), Uint8Array.of(0, 1, 1));
  writeFileSync(join(folder, 'set/train/numerical.bin'), bytes(Uint16Array.of(0x3c00, 0x4000, 0, 0xbc00, 0x3800, 0x7bff)));
  writeFileSync(join(folder, 'set/train/cat_0.bin'), bytes(Int8Array.of(0, 99, 5)));
  writeFileSync(join(folder, 'set/train/cat_1.bin'), bytes(Int32Array.of(39_999, 0, 7)));
  return folder;
}

test('a split of the Criteo layout', async () => {
  const { store, result } = await run(criteoFolder(), criteo(), criteoSpec);
  assert.equal(result, { appended: 3, total: 3, parts: 1, skipped: 0 });
  assert.equal(store.labels, [0, 1, 1]);
  assert.equal(store.columns, [
    [1, 0, 0.5],
    [2, -1, 65_504],
    [0, 99, 5],
    [39_999, 0, 7],
  ]);
});

const openFiles = () => readdirSync('/proc/self/fd').length;

test('a file of a split that is gone when it is read leaves no other one open', async () => {
  const folder = criteoFolder();
  const opened = await openSource({ ...criteoSpec, id: 'd', source: criteo() }, folder);
  const [part] = await opened.parts();
  rmSync(join(folder, 'set/train/cat_1.bin'));
  const before = openFiles();
  await failure('E_SOURCE', ['cat_1.bin cannot be opened'], () => collect(part!, ['label', 'num_0', 'cat_0.bin', 'cat_1.bin']));
  assert.is(openFiles(), before);
});

test('a code that exceeds its cardinality is told with file and record', async () => {
  for (const codes of [Int8Array.of(0, 100, 5), Int8Array.of(0, -1, 5)]) {
    const folder = criteoFolder();
    writeFileSync(join(folder, 'set/train/cat_0.bin'), codes);
    await failure('E_SOURCE', ['set/train/cat_0.bin', 'record 2', '0 to 99'], () => run(folder, criteo(), criteoSpec));
  }
});

test('files of a split that do not fit each other, or the folder, are told', async () => {
  const cut = criteoFolder();
  truncateSync(join(cut, 'set/train/numerical.bin'), 8);
  await failure('E_SOURCE', ['numerical.bin holds 2 records', 'label.bin 3'], () => run(cut, criteo(), criteoSpec));
  truncateSync(join(cut, 'set/train/numerical.bin'), 7);
  await failure('E_SOURCE', ['numerical.bin', '7 bytes', 'records of 4'], () => run(cut, criteo(), criteoSpec));
  await failure('E_SOURCE', ['../label.bin', 'leaves'], () => run(criteoFolder(), criteo(['out']), criteoSpec));
  await failure('E_SOURCE', ["no split 'test'"], () => run(criteoFolder(), criteo(['test']), criteoSpec));
  await failure('E_SOURCE', ["no feature 'x'"], () => run(criteoFolder(), criteo(), { ...criteoSpec, columns: { x: 'f32' } }));
  await failure('E_NOT_FOUND', ['none.bin'], () =>
    run(criteoFolder(featureSpec.replace('train/cat_1.bin', 'none.bin')), criteo(), criteoSpec),
  );
});

test('a feature_spec.yaml that makes no sense is told', async () => {
  const changes: [string, string][] = [
    ['int8', 'int9'],
    ['cardinality: 100', 'cardinality: -1'],
    ['split_binary', 'tfrecord'],
    ['files: [train/label.bin]', 'files: []'],
    ['source_spec:', 'sources:'],
    ['num_0: { dtype: float16 }\n', '\n'],
    ['metadata: {}', 'metadata: {'],
  ];
  for (const [text, by] of changes)
    await failure('E_SOURCE', ['set/feature_spec.yaml'], () => run(criteoFolder(featureSpec.replace(text, by)), criteo(), criteoSpec));
  await failure('E_SOURCE', ['feature_spec.yaml'], () => run(criteoFolder(''), criteo(), criteoSpec));
});

test.run();
