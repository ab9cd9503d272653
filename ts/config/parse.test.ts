import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ConfigError } from './issues.js';
import { loadPipeline, parsePipeline } from './parse.js';
import { changed, smallPipeline } from './pipeline.test.helper.js';

const parse = (text: string) => parsePipeline(text, 'folder/p.yaml');

test('defaults are filled in', async () => {
  const { config, model } = await parse(smallPipeline);
  assert.equal(config.training, {
    batchSize: 512,
    accumulate: 1,
    optimizer: { id: 'sgd', lr: 0.1, momentum: 0, dampening: 0, nesterov: false, weightDecay: 0 },
    groups: [],
    schedule: { id: 'constant', per: 'step', warmupFrom: 0 },
    checkpoint: { everySeconds: 60 },
    record: [],
    criterion: 'bce',
    precision: 'fp32',
    device: 'cpu',
    deterministic: true,
    shuffle: 'global',
    shuffleBlock: 65_536,
    loader: { memory: 1024 },
    start: 'previous',
  });
  assert.equal(config.evaluation, { window: 604_800_000, windows: 'following', batchSize: 8192 });
  assert.equal(config.replay, { batch: 8192 });
  assert.equal(model.config, { embedding: 16, bottom: [32], top: [64, 32] });
  assert.is(model.policy.id, 'dlrm');
  assert.equal(config.features.dense, [{ column: 'a', log: false, mean: 0, scale: 1 }]);
  assert.equal(config.dataset.time, { column: 'when', unit: 'ms' });
});

test('policies come with their checked configuration', async () => {
  const loaded = await parse(changed('{ id: amount, samples: 10 }', '{ id: time, every: 1d, start: 2001-01-01 }'));
  assert.is(loaded.trigger.policy.id, 'time');
  assert.equal(loaded.trigger.config, { every: 86_400_000, start: 978_307_200_000 });
  assert.is(loaded.selection.policy.id, 'new-data');
  assert.equal(loaded.selection.config, { keep: 'latest' });
  assert.equal(loaded.modules, []);
});

test('reset is the policy’s unless the pipeline says otherwise', async () => {
  const reset = async (selection: string) => (await parse(changed('{ id: new-data }', selection))).selection.reset;
  assert.is(await reset('{ id: new-data }'), true);
  assert.is(await reset('{ id: new-data, reset: false }'), false);
  assert.is(await reset('{ id: all-data }'), false);
  assert.is(await reset('{ id: all-data, reset: true }'), true);
});

test('the criterion follows the classes', async () => {
  const criterion = async (label: string) => (await parse(changed('{ column: y }', label))).config.training.criterion;
  assert.is(await criterion('{ column: y, atLeast: 3.5 }'), 'bce');
  assert.is(await criterion('{ column: y, classes: 2 }'), 'bce');
  assert.is(await criterion('{ column: y, classes: 3 }'), 'cross-entropy');
  assert.is(await criterion('{ column: y, real: true }'), 'mse');
  assert.is(await criterion('{ column: y, classes: [sun, rain, fog] }'), 'cross-entropy');
});

test('one optimizer, or one for each part, with PyTorch’s defaults', async () => {
  const both = 'mlp: { id: adam, lr: 0.001, beta1: 0.8 }, embedding: { id: adagrad, lr: 0.02 }';
  const { config } = await parse(changed('id: sgd, lr: 0.1', both));
  assert.equal(config.training.optimizer, {
    mlp: { id: 'adam', lr: 0.001, eps: 1e-8, beta1: 0.8, beta2: 0.999, weightDecay: 0 },
    embedding: { id: 'adagrad', lr: 0.02, eps: 1e-10 },
  });
});

test('Criteo as it is published, and categories of many values', async () => {
  const source = changed('{ format: csv, path: numbers.csv }', '{ format: criteo-tsv, path: day_* }');
  const text = source.replace('c: category', 'c: { category, atLeast: 15 }, d: { hash: 1000 }, e: { category: 10 }');
  const { dataset } = (await parse(text.replace('{ column: when }', '{ column: when, format: YYMMDDHH }'))).config;
  assert.equal('source' in dataset && dataset.source, { format: 'criteo-tsv', path: ['day_*'], start: 0, days: 1, missing: 0 });
  assert.equal(dataset.columns, { a: 'f32', n: 'i32', c: { atLeast: 15 }, d: { hash: 1000 }, e: { category: 10 } });
  assert.equal(dataset.time, { column: 'when', format: 'YYMMDDHH' });
});

test('paths: sources as written, in a list; the first model absolute', async () => {
  const { config, dir } = await parse(changed('training:', 'training:\n  first: ./m.safetensors'));
  assert.equal('source' in config.dataset && 'path' in config.dataset.source && config.dataset.source.path, ['numbers.csv']);
  assert.is(dir, resolve('folder'));
  assert.is(config.training.first, resolve('folder/m.safetensors'));
});

test('JSON is accepted', async () => {
  const { config } = await parse(smallPipeline);
  const file = { ...config, evaluation: { window: '1d' } };
  for (const indent of [0, 2, '\t']) {
    const again = await parsePipeline(JSON.stringify(file, null, indent), 'p.json');
    assert.is(again.config.evaluation.window, 86_400_000);
    assert.equal(again.config.features, config.features);
  }
});

test('a byte order mark and Windows line ends do not matter', async () => {
  const { hash } = await parse(smallPipeline);
  assert.is((await parse(`\ufeff${smallPipeline.replaceAll('\n', '\r\n')}`)).hash, hash);
});

test('anchors and aliases stand for what they name', async () => {
  const text = changed('{ id: sgd, lr: 0.1 }', '{ mlp: &o { id: sgd, lr: 0.1 }, embedding: *o }');
  const { optimizer } = (await parse(text)).config.training;
  assert.equal('embedding' in optimizer && optimizer.embedding, { id: 'sgd', lr: 0.1 });
});

async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-parse-'));
  try {
    await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const failure = async (path: string) =>
  loadPipeline(path).then(
    () => assert.unreachable('expected an error'),
    (e: ConfigError) => e,
  ) as Promise<ConfigError>;

test('a file is read and its paths are relative to it', () =>
  withFolder(async (folder) => {
    const file = join(folder, 'p.yaml');
    await writeFile(file, smallPipeline);
    const loaded = await loadPipeline(file);
    assert.is(loaded.dir, folder);
    assert.is(loaded.file, file);
    assert.is(loaded.text, smallPipeline);
  }));

test('a file that is missing, a folder, bytes that are not UTF-8, a file that is too big', () =>
  withFolder(async (folder) => {
    const missing = await failure(join(folder, 'no.yaml'));
    assert.is(missing.code, 'E_NOT_FOUND');
    assert.match(missing.message, join(folder, 'no.yaml'));
    assert.is((await failure(folder)).code, 'E_IO');

    const latin = join(folder, 'latin.yaml');
    await writeFile(latin, Buffer.concat([Buffer.from('a: 1\nb: für', 'latin1'), Buffer.from('\n')]));
    const encoding = await failure(latin);
    assert.is(encoding.code, 'E_CONFIG');
    assert.match(encoding.message, `${latin}:2:5  expected UTF-8 text`);

    const big = join(folder, 'big.yaml');
    await writeFile(big, Buffer.alloc(1024 * 1024 + 1, '#'));
    assert.match((await failure(big)).message, 'at most 1 MiB');
    assert.match((await failure('/dev/zero')).message, 'at most 1 MiB');
  }));

test('text of 1 MiB is still read', async () => {
  const { hash } = await parse(smallPipeline);
  const text = `${smallPipeline}#${' '.repeat(1024 * 1024 - smallPipeline.length - 1)}`;
  assert.is((await parse(text)).hash, hash);
});

test.run();
