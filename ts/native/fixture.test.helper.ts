// Small generated datasets and plans for the tests beside this file.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as assert from 'uvu/assert';
import { SluiceError } from '../errors.js';
import { Dataset, type Snapshot } from './dataset.js';
import { freezeTrainset } from './trainset.js';
import type { Batch, EvalPlan, Optimizer, Schema, Selection, TrainPlan } from './types.js';

export const schema: Schema = {
  columns: [
    { name: 'distance', type: 'f32', shape: [] },
    { name: 'origin', type: 'category', shape: [] },
    { name: 'seats', type: 'i32', shape: [] },
  ],
  label: 'class',
  classes: 2,
};

/** Rows first … first + rows - 1, a second apart; the label follows from the distance. */
export function makeBatch(first: number, rows: number): Batch {
  const key = (i: number) => first + i;
  const distance = Float32Array.from({ length: rows }, (_, i) => ((key(i) * 7919) % 1000) / 500 - 1);
  return {
    timestamps: BigInt64Array.from({ length: rows }, (_, i) => BigInt(key(i) * 1000)),
    labels: distance.map((x) => (x > 0 ? 1 : 0)),
    columns: [
      distance,
      Int32Array.from({ length: rows }, (_, i) => key(i) % 17),
      Int32Array.from({ length: rows }, (_, i) => key(i) % 300),
    ],
    state: {},
  };
}

const folders: string[] = [];
process.once('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A new folder that goes away with the process. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'sluice-native-'));
  folders.push(folder);
  return folder;
}

/** A dataset of `rows` generated samples in `folder`/dataset. */
export async function makeDataset(folder: string, rows: number): Promise<Dataset> {
  mkdirSync(folder, { recursive: true });
  const dataset = Dataset.create(path.join(folder, 'dataset'), schema);
  const block = 50_000;
  for (let first = 0; first < rows; first += block) await dataset.append(makeBatch(first, Math.min(block, rows - first)));
  return dataset;
}

export const optimizer: Optimizer = {
  kind: 'adagrad',
  lr: 0.05,
  eps: 1e-10,
  beta1: 0.9,
  beta2: 0.999,
  momentum: 0,
  dampening: 0,
  nesterov: false,
  weightDecay: 0,
};

const schedule: TrainPlan['schedule'] = {
  kind: 'constant',
  perEpoch: false,
  warmup: 0,
  warmupFrom: 0,
  hold: 0,
  length: 0,
  every: 1,
  gamma: 0.1,
  end: 0,
  power: 1,
  rise: 0.3,
  initialDivision: 25,
  finalDivision: 1e4,
};

export const modelPlan = {
  features: {
    dense: [{ op: 'value', column: 0, mean: 0, scale: 1 }],
    categorical: [
      { op: 'column', column: 1, other: 0, buckets: 32 },
      { op: 'cross', column: 1, other: 2, buckets: 512 },
    ],
    tensor: null,
    tokens: null,
    parse: null,
  },
  model: { kind: 'dlrm', dense: 1, tables: [32, 512], embedding: 8, bottom: [16, 8], top: [16, 1] },
  criterion: { kind: 'bce', labelSmoothing: 0, delta: 1 },
  device: 'cpu',
  deterministic: true,
} satisfies Partial<TrainPlan>;

/** The id of a set that is not empty. */
export async function frozen(folder: string, selection: Selection, snapshot: Snapshot): Promise<string> {
  const set = await freezeTrainset(folder, selection, snapshot);
  if (set === null) throw new Error('no sample of the selection is left');
  return set.id;
}

/** A plan that trains on all of the dataset's samples and writes `folder`/model.safetensors. */
export async function makeTrainPlan(folder: string, dataset: Dataset, changes: Partial<TrainPlan> = {}): Promise<TrainPlan> {
  using snapshot = dataset.snapshot();
  const trainsetFolder = path.join(folder, 'trainsets');
  mkdirSync(trainsetFolder, { recursive: true });
  return {
    ...modelPlan,
    trainsetFolder,
    trainset: await frozen(trainsetFolder, { first: 0, end: snapshot.size }, snapshot),
    precision: 'fp32',
    denseOptimizer: optimizer,
    embeddingOptimizer: optimizer,
    seed: 1,
    batchSize: 256,
    epochs: 1,
    groups: [],
    maxSteps: 0,
    accumulate: 1,
    clipNorm: 0,
    schedule,
    earlyStop: { heldOut: 0, patience: 1, leastGain: 0 },
    inTraining: { keep: 1, score: 'uniform', choice: 'sampled', mode: 'batch-then-sample', every: 1 },
    record: { folder: '', values: [] },
    checkpoints: { path: '', everySteps: 0, everySeconds: 0 },
    shuffle: 'global',
    shuffleBlock: 65_536,
    loader: { threads: 0, memory: 2 ** 30 },
    parent: '',
    weights: '',
    output: path.join(folder, 'model.safetensors'),
    metadata: { made: 'by a test' },
    ...changes,
  };
}

export function makeEvalPlan(modelFile: string, windows: EvalPlan['windows']): EvalPlan {
  return { ...modelPlan, batchSize: 1000, modelFile, windows };
}

/** An epoch count that no test waits for. */
export const endless = 1_000_000;

/** The SluiceError that `action` throws or rejects with; fails when there is none, or it has another code. */
export async function expectError(code: string, action: () => unknown, message?: RegExp): Promise<SluiceError> {
  try {
    await action();
  } catch (error) {
    assert.instance(error, SluiceError, `expected a SluiceError, got ${error}`);
    const sluiceError = error as SluiceError;
    assert.is(sluiceError.code, code, sluiceError.message);
    if (message) assert.match(sluiceError.message, message);
    return sluiceError;
  }
  throw new assert.Assertion({
    message: `expected ${code}, but nothing was thrown`,
    generated: false,
    operator: 'expectError',
    expects: code,
    actual: undefined,
  });
}
