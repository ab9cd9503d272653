// Whatever JavaScript passes to the addon, it gets an Error with a code and goes on living.
import path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadAddon } from './addon.js';
import { native } from './call.js';
import { expectError, makeBatch, makeDataset, makeEvalPlan, makeTrainPlan, schema, temporaryFolder } from './fixture.test.helper.js';
import type { Addon, DatasetHandle, SnapshotHandle, StopHandle } from './raw.js';
import type { TrainPlan } from './types.js';

const folder = temporaryFolder();
const dataset = await makeDataset(folder, 1000);
const snapshot = dataset.snapshot({ leaseMs: 0 });
const plan = await makeTrainPlan(folder, dataset);
const stop = native((addon) => addon.stop_create());
const ignore = () => {};

/** The addon without its types: what a caller may get wrong. */
type Loose = { [name in keyof Addon]: (...args: unknown[]) => unknown };

const detached = new Float32Array(4);
structuredClone(detached, { transfer: [detached.buffer] });
const shared = new Float32Array(new SharedArrayBuffer(16));

function append(changes: object): (addon: Loose) => unknown {
  return (addon) => addon.dataset_append(dataset.handle, { ...makeBatch(0, 4), ...changes });
}
function training(changes: object): (addon: Loose) => unknown {
  return (addon) => addon.train(dataset.handle, { ...plan, ...changes }, stop, ignore);
}
function trainingWith(change: (plan: TrainPlan) => void): (addon: Loose) => unknown {
  const changed = structuredClone(plan);
  change(changed);
  return training(changed);
}

const table: [what: string, call: (addon: Loose) => unknown, message: RegExp, code?: string][] = [
  ['no argument', (a) => a.dataset_info(), /\[dataset_info\] dataset: expected a dataset handle, got undefined/],
  ['a plain object as handle', (a) => a.dataset_info({}), /expected a dataset handle, got an object/],
  ['a handle of another kind', (a) => a.dataset_info(snapshot.handle), /expected a dataset handle, got a snapshot handle/],
  ['a stop handle as snapshot', (a) => a.snapshot_size(stop), /expected a snapshot handle, got a stop handle/],
  [
    'an object that inherits from a handle',
    (a) => a.dataset_info(Object.create(dataset.handle)),
    /expected a dataset handle, got an object/,
  ],
  ['a proxy of a handle', (a) => a.dataset_close(new Proxy(dataset.handle, {})), /expected a dataset handle, got an object/],
  ['a number as path', (a) => a.dataset_open(7, true), /path: expected a string of 1 to 4095 bytes without NUL, got 7/],
  ['an empty path', (a) => a.dataset_open('', true), /got ""/],
  ['a path with NUL', (a) => a.dataset_open('a\0b', true), /got "a\\u0000b"/],
  ['a path that is too long', (a) => a.dataset_open('ä'.repeat(4000), true), /got "ä+…"/],
  ['a truthy value as boolean', (a) => a.dataset_open(folder, 1), /readOnly: expected true or false, got 1/],
  [
    'a parsed tensor that no memory holds',
    (a) => a.parser_create('p', { dense: 0, categorical: [], values: [65_536, 65_536, 65_536, 65_536], ids: 0 }, 1),
    /shape\.values: expected a shape of at most 268435456 values/,
  ],
  [
    'an unknown column type',
    (a) => a.dataset_create(folder, { ...schema, columns: [{ name: 'x', type: 'f64' }] }),
    /schema\.columns\[0\]\.type: expected "f32", "i32", "category", "u8" or "bytes", got "f64"/,
  ],
  [
    'columns that are no array',
    (a) => a.dataset_create(folder, { ...schema, columns: { length: 1 } }),
    /schema\.columns: expected an array, got an object/,
  ],
  ['one class', (a) => a.dataset_create(folder, { ...schema, classes: 1 }), /schema\.classes: expected an integer from 2/],

  [
    'timestamps as numbers',
    append({ timestamps: new Float64Array(4) }),
    /batch\.timestamps: expected a BigInt64Array, got a Float64Array of length 4/,
  ],
  [
    'arrays of different lengths',
    append({ labels: new Float32Array(5) }),
    /batch\.labels: expected a Float32Array of length 4, got a Float32Array of length 5/,
  ],
  ['a detached array', append({ labels: detached }), /batch\.labels: .*whose buffer was detached/],
  ['an array over shared memory', append({ labels: shared }), /over shared memory/],
  ['too few columns', append({ columns: [] }), /batch\.columns: expected an array of length 3/],
  [
    'a column of another type',
    append({ columns: [new Int32Array(4), new Int32Array(4), new Int32Array(4)] }),
    /batch\.columns\[0\]: expected a Float32Array of length 4, got an Int32Array of length 4/,
  ],
  ['state that is not a string', append({ state: { a: 1 } }), /batch\.state\["a"\]: expected a string/],
  ['no state', append({ state: undefined }), /batch\.state: expected an object, got undefined/],
  ['an empty state key', (a) => a.dataset_state(dataset.handle, ''), /key: expected a string of 1/],

  ['a negative row', (a) => a.snapshot_labels(snapshot.handle, -1, 1), /first: expected an integer from 0 to 1000, got -1/],
  ['rows beyond the end', (a) => a.snapshot_labels(snapshot.handle, 990, 11), /rows: expected an integer from 0 to 10, got 11/],
  ['half a row', (a) => a.snapshot_timestamps(snapshot.handle, 0.5, 1), /got 0\.5/],
  ['NaN rows', (a) => a.snapshot_timestamps(snapshot.handle, 0, Number.NaN), /got NaN/],
  ['a BigInt row', (a) => a.snapshot_timestamps(snapshot.handle, 0n, 1), /got a BigInt/],
  ['a huge row', (a) => a.snapshot_timestamps(snapshot.handle, 2 ** 60, 1), /first: expected an integer from 0 to 1000/],
  ['end before first', (a) => a.snapshot_lower_bound_time(snapshot.handle, 0, 5, 4), /first: expected an integer from 0 to 4, got 5/],

  ['an infinite count', (a) => a.select_uniform(0, 10, Number.POSITIVE_INFINITY, 0), /count: expected an integer .* got Infinity/],
  ['a negative seed', (a) => a.select_uniform(0, 10, 1, -1), /seed: expected/],
  ['more keys than an array holds', (a) => a.select_uniform(0, 2 ** 40, 2 ** 40, 0), /4 GiB/],
  [
    'candidates beyond the end',
    (a) => a.select_freshness(snapshot.handle, 0, 1001, 0, 1, 1, 0),
    /end: expected an integer from 0 to 1000, got 1001/,
  ],
  ['no half-life', (a) => a.select_freshness(snapshot.handle, 0, 10, 0, 0, 1, 0), /halfLifeMs: expected a number/],

  [
    'keys as numbers',
    (a) => a.trainset_freeze(folder, { keys: [1, 2], weights: null }, 10),
    /selection\.keys: expected a BigUint64Array, got an array of length 2/,
  ],
  [
    'too few weights',
    (a) => a.trainset_freeze(folder, { keys: new BigUint64Array(2), weights: new Float32Array(1) }, 10),
    /selection\.weights: expected a Float32Array of length 2/,
  ],
  ['a selection of nothing', (a) => a.trainset_freeze(folder, {}, 10), /selection\.end: expected an integer/],
  ['a short set id', (a) => a.trainset_read(folder, 'abc'), /id: expected a training set's id of 32 hexadecimal digits, got "abc"/],
  ['a set id that is a path', (a) => a.trainset_read(folder, `../../${'a'.repeat(26)}`), /id: expected a training set's id/],

  ['no plan', (a) => a.train(dataset.handle), /\[train\] plan: expected an object, got undefined/],
  ['a batch size below 1', training({ batchSize: -3 }), /\[train\] plan\.batchSize: expected an integer from 1 to 1000000, got -3/],
  ['a symbol as seed', training({ seed: Symbol('x') }), /plan\.seed: .* got a symbol/],
  ['an unknown precision', training({ precision: 'fp8' }), /plan\.precision: expected "fp32", "bf16" or "fp16", got "fp8"/],
  [
    'an infinite mean',
    trainingWith((p) => Object.assign(p.features.dense[0] ?? {}, { mean: 1e300 })),
    /plan\.features\.dense\[0\]\.mean: expected a finite number/,
  ],
  ['a beta of 1', trainingWith((p) => Object.assign(p.denseOptimizer, { beta1: 1 })), /plan\.denseOptimizer\.beta1/],
  [
    'a model that is unknown',
    training({ model: { kind: 'vgg' } }),
    /plan\.model\.kind: expected "dlrm", "mlp", "resnet", "cnn", "transformer" or "torchscript", got "vgg"/,
  ],
  [
    'more features than the model has',
    trainingWith((p) => p.features.dense.push({ op: 'sin-day', column: 0, mean: 0, scale: 1 })),
    /dense features is 2, but the model takes 1/,
    'E_SHAPE',
  ],
  [
    'a table that is too small',
    trainingWith((p) => p.model.kind === 'dlrm' && p.model.tables.splice(1, 1, 8)),
    /512 buckets, but its embedding table 8 rows/,
    'E_SHAPE',
  ],
  [
    'a criterion that does not fit',
    training({ criterion: { kind: 'cross-entropy', labelSmoothing: 0, delta: 1 } }),
    /2 outputs or more, but the model has 1/,
    'E_SHAPE',
  ],
  ['a column that does not exist', trainingWith((p) => Object.assign(p.features.dense[0] ?? {}, { column: 9 })), /column 9/],
  ['no stop handle', (a) => a.train(dataset.handle, plan, undefined, ignore), /stop: expected a stop handle, got undefined/],
  ['no progress function', (a) => a.train(dataset.handle, plan, stop), /progress: expected a function, got undefined/],
  ['a set that does not exist', training({ trainset: '0'.repeat(32) }), /0{32}/, 'E_NOT_FOUND'],
  ['a parent that does not exist', training({ parent: path.join(folder, 'none') }), /none/, 'E_NOT_FOUND'],

  [
    'a window beyond the end',
    (a) => a.evaluate(dataset.handle, makeEvalPlan('x', [{ first: 0, end: 1001 }]), stop, ignore),
    /plan\.windows\[0\]\.end: .* 1000, got 1001/,
  ],
  [
    'a model file that does not exist',
    (a) => a.evaluate(dataset.handle, makeEvalPlan(path.join(folder, 'none'), [{ first: 0, end: 10 }]), stop, ignore),
    /none/,
    'E_NOT_FOUND',
  ],
  ['the header of no file', (a) => a.model_header(path.join(folder, 'none')), /none/, 'E_NOT_FOUND'],
  ['a NaN score', (a) => a.roc_auc(Float32Array.of(1, Number.NaN), Float32Array.of(0, 1)), /scores\[1\] is NaN/, 'E_NOT_FINITE'],
  [
    'a label that is no class',
    (a) => a.roc_auc(Float32Array.of(1, 2), Float32Array.of(0, 2)),
    /labels\[1\]: expected 0 or 1, got 2/,
    'E_LABEL_RANGE',
  ],
  ['labels of another length', (a) => a.roc_auc(new Float32Array(2), new Float32Array(3)), /labels: expected a Float32Array of length 2/],
  ['a negative number of threads', (a) => a.set_compute_threads(-1), /threads: expected an integer from 0/],
  ['a stop handle that is none', (a) => a.stop_request(null), /stop: expected a stop handle, got null/],
];

for (const [what, call, message, code = 'E_ARGUMENT'] of table) {
  test(`${code}: ${what}`, async () => {
    await expectError(code, () => native((addon) => call(addon as unknown as Loose)), message);
  });
}

test('what a getter throws passes as it is', () => {
  for (const thrown of [new RangeError('mine'), null, undefined, 'text', 7, Symbol('s')]) {
    const batch = {
      get timestamps(): never {
        throw thrown;
      },
    };
    try {
      (loadAddon() as unknown as Loose).dataset_append(dataset.handle, batch);
      assert.unreachable();
    } catch (error) {
      assert.is(error, thrown);
    }
  }
});

test('a getter that closes the dataset or detaches an array is noticed', async () => {
  const victim = await makeDataset(temporaryFolder(), 10);
  const batch = makeBatch(0, 4);
  const hostile = {
    ...batch,
    get state() {
      structuredClone(batch.labels, { transfer: [batch.labels.buffer as ArrayBuffer] });
      return {};
    },
  };
  await expectError('E_ARGUMENT', () => native((addon) => addon.dataset_append(victim.handle, hostile)), /detached/);
  const closing = {
    ...makeBatch(0, 4),
    get state() {
      victim.close();
      return {};
    },
  };
  await expectError('E_CLOSED', () => victim.append(closing));
});

test('calling as a constructor or with a foreign this is harmless', () => {
  const addon = loadAddon();
  assert.ok(addon.dataset_info.call(null as unknown as Addon, dataset.handle).size === 1000);
  assert.type(Reflect.construct(addon.dataset_info as unknown as new (handle: DatasetHandle) => object, [dataset.handle]), 'object');
});

test('handles do not cross to other threads or lose their kind', () => {
  const clones = [structuredClone(dataset.handle), structuredClone(snapshot.handle), structuredClone(stop)];
  const [d, s, t] = clones as [DatasetHandle, SnapshotHandle, StopHandle];
  assert.throws(() => loadAddon().dataset_info(d), /expected a dataset handle/);
  assert.throws(() => loadAddon().snapshot_size(s), /expected a snapshot handle/);
  assert.throws(() => loadAddon().stop_request(t), /expected a stop handle/);
});

test.after(() => dataset.close());

test.run();
