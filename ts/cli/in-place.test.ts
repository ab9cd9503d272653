// Pipelines whose samples stay in the files of their source.
import { appendFileSync, mkdirSync, readFileSync, renameSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { sha256 } from '../config/hash.js';
import { loadPipeline } from '../config/parse.js';
import { inWorkplace } from '../pipeline/fixture.test.helper.js';
import { foldersOf } from '../pipeline/folders.js';
import { runExperiment } from '../pipeline/run.js';
import { uniformFrom } from '../policies/random.js';
import { sluice } from './cli.test.helper.js';

const test = suite('in place');
const rows = 3000;
const quarterHour = 15 * 60_000;
const firstMs = Date.UTC(2024, 0, 1);

/** Records of 8 + 4 + 2 + 1 + 1 bytes behind a head of 5; y depends on x and c. `from`: number of the first. */
function records(count = rows, from = 0): Buffer {
  const random = uniformFrom(from + 1);
  const bytes = Buffer.alloc(5 + count * 16);
  bytes.write('head\n');
  for (let i = 0; i < count; i++) {
    const at = 5 + i * 16;
    const [x, c] = [2 * random() - 1, Math.floor(4 * random())];
    bytes.writeBigInt64LE(BigInt(firstMs + (from + i) * quarterHour), at);
    bytes.writeFloatLE(x, at + 8);
    bytes.writeInt16LE(c, at + 12);
    bytes[at + 14] = x + (c === 0 ? 0.5 : 0) > 0.3 ? 1 : 0;
    bytes[at + 15] = Math.floor(256 * random());
  }
  return bytes;
}

const rest = `features: { dense: [{ column: x }, { column: b }], categorical: [{ column: c, buckets: 8 }] }
model: { id: dlrm, embedding: 4, bottom: [8], top: [8] }
training: { batchSize: 16, epochs: 2, optimizer: { id: adam, lr: 0.02 } }
trigger: { id: time, every: 1w }
selection: { id: new-data }
evaluation: { window: 1w }
`;

const text = (id: string, inPlace: boolean, path = '"data/*.bin"') => `pipeline: { id: ${id}, seed: 1 }
dataset:
  id: ${id}
  source:
    format: binary
    path: ${path}
    skip: 5
    inPlace: ${inPlace}
    fields: [{ name: t, type: int32, shape: [2] }, { name: x, type: float32 }, { name: c, type: int16 }, { name: y, type: uint8 }, { name: b, type: uint8 }]
  time: { start: 2024-01-01, step: 15m }
  label: { column: y }
  columns: { x: f32, c: { category: 4 }, b: i32 }
${rest}`;

/** Weights of the pipeline's models: what stands behind the header, which names the pipeline. */
function weights(data: string, id: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => {
    const file = readFileSync(foldersOf(data).modelFile(id, i));
    return sha256(file.subarray(8 + Number(file.readBigUInt64LE(0))));
  });
}

test('models and evaluations are those of the copied samples, to the bit', () =>
  inWorkplace(async ({ folder, data, write }) => {
    mkdirSync(join(folder, 'data'));
    writeFileSync(join(folder, 'data/a.bin'), records(2000));
    writeFileSync(join(folder, 'data/b.bin'), records(1000, 2000));
    const run = async (id: string, inPlace: boolean) =>
      await runExperiment(await loadPipeline(write(`${id}.yaml`, text(id, inPlace))), { dataFolder: data });
    const copied = await run('copied', false);
    const placed = await run('placed', true);
    assert.is(placed.triggers.length, 4);
    assert.equal(weights(data, 'placed', 4), weights(data, 'copied', 4));
    const metrics = (result: typeof copied) => result.triggers.map(({ evaluation }) => evaluation);
    assert.equal(metrics(placed), metrics(copied));
  }));

/** Ingestion finds nothing new. */
function assertUnchanged(folder: string): void {
  const { out, err } = sluice(folder, 'ingest', 'p.yaml');
  assert.match(out, '0 samples appended, 3,000 in all', err);
}

const featureSpec = `
channel_spec: { label: [label], numerical: [n0, n1], categorical: [c0.bin, c1.bin] }
feature_spec:
  label: { dtype: bool }
  n0: { dtype: float16 }
  n1: { dtype: float16 }
  c0.bin: { dtype: int8, cardinality: 100 }
  c1.bin: { dtype: int32, cardinality: 70000 }
metadata: {}
source_spec:
  train:
    - { type: split_binary, features: [label], files: [train/label.bin] }
    - { type: split_binary, features: [n0, n1], files: [train/numerical.bin] }
    - { type: split_binary, features: [c0.bin], files: [train/c0.bin] }
    - { type: split_binary, features: [c1.bin], files: [train/c1.bin] }
`;

function criteo(folder: string): void {
  mkdirSync(join(folder, 'set/train'), { recursive: true });
  const random = uniformFrom(5);
  const numbers = (make: () => number) => Array.from({ length: rows }, make);
  const half = () => 0x3800 + Math.floor(random() * 2048); // 0.5 to 2
  writeFileSync(join(folder, 'set/feature_spec.yaml'), featureSpec);
  writeFileSync(join(folder, 'set/train/label.bin'), Uint8Array.from(numbers(() => (random() < 0.3 ? 1 : 0))));
  writeFileSync(join(folder, 'set/train/numerical.bin'), Uint16Array.from([...numbers(half), ...numbers(half)]));
  writeFileSync(join(folder, 'set/train/c0.bin'), Int8Array.from(numbers(() => Math.floor(100 * random()))));
  writeFileSync(join(folder, 'set/train/c1.bin'), Int32Array.from(numbers(() => Math.floor(70_000 * random()))));
}

const criteoText = (id: string, inPlace: boolean) => `pipeline: { id: ${id}, seed: 1 }
dataset:
  id: ${id}
  source: { format: criteo, path: set, inPlace: ${inPlace} }
  time: { start: 2024-01-01, step: 10m }
  label: { column: label }
  columns: { n0: f32, n1: f32, c0.bin: { category: 100 }, c1.bin: i32 }
features: { dense: [{ column: n0, log: true, min: 0 }, { column: n1 }], categorical: [{ column: c0.bin, buckets: 100 }, { column: c1.bin, buckets: 5000 }] }
${rest.slice(rest.indexOf('model:'))}`;

test("NVIDIA's Criteo layout, a file for each feature, gives the same models, too", () =>
  inWorkplace(async ({ folder, data, write }) => {
    criteo(folder);
    for (const [id, inPlace] of [
      ['copied', false],
      ['placed', true],
    ] as const)
      await runExperiment(await loadPipeline(write(`${id}.yaml`, criteoText(id, inPlace))), { dataFolder: data });
    assert.equal(weights(data, 'placed', 2), weights(data, 'copied', 2));
  }));

test('new files are taken up; moved and touched ones are found, changed ones refused', () =>
  inWorkplace(async ({ folder, write }) => {
    mkdirSync(join(folder, 'data'));
    const a = join(folder, 'data/a.bin');
    writeFileSync(a, records(2000));
    write('p.yaml', text('p', true));
    assert.match(sluice(folder, 'ingest', 'p.yaml').out, '2,000 samples appended, 2,000 in all');
    writeFileSync(join(folder, 'data/b.bin'), records(1000, 2000));
    assert.match(sluice(folder, 'ingest', 'p.yaml').out, '1,000 samples appended, 3,000 in all');

    utimesSync(a, new Date(), new Date());
    assertUnchanged(folder);

    renameSync(join(folder, 'data'), join(folder, 'elsewhere'));
    write('p.yaml', text('p', true, '"elsewhere/*.bin"'));
    assertUnchanged(folder);
    assert.match(sluice(folder, 'ls', 'datasets', '--stats').out, new RegExp(`of 3,000 samples in 2 files .*${folder}/elsewhere`));
    assert.is(sluice(folder, 'fsck', 'p').code, 0);
    renameSync(join(folder, 'elsewhere'), join(folder, 'data'));
    write('p.yaml', text('p', true));
    assertUnchanged(folder);
    const run = sluice(folder, 'run', 'p.yaml');
    assert.is(run.code, 0, run.err);

    const bytes = readFileSync(a);
    bytes[5 + 700 * 16 + 9]! ^= 1;
    writeFileSync(a, bytes);
    assert.match(sluice(folder, 'ingest', 'p.yaml').err, /E_CHANGED.*data\/a\.bin has changed/);
    const found = sluice(folder, 'fsck', 'p');
    assert.is(found.code, 1);
    assert.match(found.out, `${a}: records are not those that were taken up`);
    assert.match(found.out, 'bring them back as they were');
    truncateSync(a, 10_000);
    assert.match(sluice(folder, 'fsck', 'p').out, `${a}: it was cut off: it has 10000 bytes (samples 624 to 1999): cannot be repaired`);
    rmSync(a);
    assert.match(sluice(folder, 'fsck', 'p').out, `${a}: it is missing (samples 0 to 1999): cannot be repaired`);
  }));

test('a file that fails halfway is gone on with when it is mended', () =>
  inWorkplace(async ({ folder, write }) => {
    mkdirSync(join(folder, 'data'));
    writeFileSync(join(folder, 'data/a.bin'), records(2000));
    const b = join(folder, 'data/b.bin');
    const bytes = records(1000, 2000);
    bytes[5 + 10 * 16 + 14] = 7;
    writeFileSync(b, bytes);
    write('p.yaml', text('p', true));
    assert.match(
      sluice(folder, 'ingest', 'p.yaml').err,
      /E_LABEL_RANGE.*data\/b\.bin: column 'y', row 11: expected a class from 0 to 1, got 7/,
    );
    writeFileSync(b, records(1000, 2000));
    assert.match(sluice(folder, 'ingest', 'p.yaml').out, '1,000 samples appended, 3,000 in all');
    appendFileSync(b, Buffer.alloc(16));
    assert.match(sluice(folder, 'ingest', 'p.yaml').err, 'E_CHANGED');
  }));

test('deleted samples leave the files only by hand, for which the others are copied', () =>
  inWorkplace(async ({ folder, write }) => {
    mkdirSync(join(folder, 'data'));
    writeFileSync(join(folder, 'data/a.bin'), records(2000));
    write('p.yaml', text('p', true));
    assert.is(sluice(folder, 'ingest', 'p.yaml').code, 0);
    assert.is(sluice(folder, 'delete', 'p', '--keys', '5-9', '--yes').code, 0);
    const kept = sluice(folder, 'compact', 'p');
    assert.match(kept.out, "5 of the deleted samples have their records in files that are not Sluice's");
    assert.match(kept.out, 'sluice compact p --copy');
    assert.not.match(sluice(folder, 'compact', 'p', '--copy').out, 'in files');
    rmSync(join(folder, 'data/a.bin'));
    assert.is(sluice(folder, 'fsck', 'p').code, 0);
    assert.not.match(sluice(folder, 'ls', 'datasets', '--stats').out, 'in place');
  }));

test('what cannot stay in place is told with line and column', () =>
  inWorkplace(async ({ folder, write }) => {
    mkdirSync(join(folder, 'data'));
    writeFileSync(join(folder, 'data/a.bin'), records(20));
    write(
      'p.yaml',
      text('p', true).replace('c: { category: 4 }', 'c: category').replace('{ column: y }', '{ column: y, classes: [no, yes] }'),
    );
    const { code, err } = sluice(folder, 'validate', 'p.yaml');
    assert.is(code, 2, err);
    assert.match(err, /p\.yaml:\d+:\d+ +dataset\.columns\.c: expected f32, i32, a tensor or \{ category: <codes> \}/);
    assert.match(err, 'dataset.label.classes');
    write('q.yaml', text('q', true).replace('format: binary', 'format: csv'));
    assert.match(sluice(folder, 'validate', 'q.yaml').err, 'inPlace');
  }));

test.run();
