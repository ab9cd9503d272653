// The built-in models of images and texts, from their config to a trained file.
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Dataset } from '../native/dataset.js';
import { evaluate } from '../native/evaluator.js';
import { expectError, makeEvalPlan, makeTrainPlan, optimizer, temporaryFolder } from '../native/fixture.test.helper.js';
import { modelHeader } from '../native/models.js';
import { setComputeThreads } from '../native/threads.js';
import { train } from '../native/trainer.js';
import type { Features, Model, Optimizer, TrainPlan } from '../native/types.js';
import type { ModelInputs } from './define.js';
import { modelDefinition } from './registry.js';

const folder = temporaryFolder();
const rows = 96;
const side = 16;
const length = 12;
setComputeThreads(1);

/** Pictures that are brighter, and texts that hold more of one token, where the label is 1. */
async function makeDataset(): Promise<Dataset> {
  const dataset = Dataset.create(path.join(folder, 'pictures'), {
    columns: [
      { name: 'picture', type: 'u8', shape: [side, side, 3] },
      { name: 'text', type: 'i32', shape: [length] },
    ],
    label: 'class',
    classes: 2,
  });
  const picture = Uint8Array.from(
    { length: rows * side * side * 3 },
    (_, i) => ((i * 7919) % 97) + (Math.floor(i / (side * side * 3)) % 2) * 120,
  );
  const text = Int32Array.from({ length: rows * length }, (_, i) =>
    i % length > 8 ? 0 : Math.floor(i / length) % 2 === 1 ? 7 : 2 + ((i * 31) % 40),
  );
  const labels = Float32Array.from({ length: rows }, (_, i) => i % 2);
  await dataset.append({
    timestamps: BigInt64Array.from({ length: rows }, (_, i) => BigInt(i)),
    labels,
    columns: [picture, text],
    state: {},
  });
  return dataset;
}

const picture: Features['tensor'] = {
  column: 0,
  crop: 'none',
  height: 0,
  width: 0,
  pad: 0,
  flip: false,
  mean: [0.5, 0.5, 0.5],
  deviation: [0.25, 0.25, 0.25],
};
const ofPictures = { dense: [], categorical: [], tensor: picture, tokens: null, parse: null };
const ofTexts = { dense: [], categorical: [], tensor: null, tokens: { column: 1 }, parse: null };
const inputs: ModelInputs = { dense: 0, tables: [], values: [side, side, 3], ids: 0, outputs: 1, dir: folder };
const textInputs: ModelInputs = { ...inputs, values: [], ids: length };
const small = { layers: 2, width: 32, heads: 4, hidden: 64, vocabulary: 50, positions: 16 };

function build(id: string, config: object, given: ModelInputs): Model {
  const definition = modelDefinition(id);
  return definition.build(definition.config.parse(config), given);
}

const dataset = await makeDataset();
const adam: Optimizer = { ...optimizer, kind: 'adam', lr: 0.003, eps: 1e-8 };

async function trained(name: string, model: Model, features: Features, changes: Partial<TrainPlan> = {}) {
  const output = path.join(folder, `${name}.safetensors`);
  const plan = await makeTrainPlan(folder, dataset, {
    model,
    features,
    batchSize: 32,
    epochs: 8,
    denseOptimizer: adam,
    output,
    ...changes,
  });
  const result = await train(dataset, plan);
  const [metrics] = await evaluate(dataset, { ...makeEvalPlan(output, [{ first: 0, end: rows }]), model, features, batchSize: 40 });
  return { result, auc: metrics?.auc ?? 0, names: modelHeader(output).tensors.map((t) => t.name) };
}

for (const [name, model, features, tensor] of [
  ['resnet', build('resnet', { stem: 'cifar' }, inputs), ofPictures, 'layer4.1.bn2.running_var'],
  ['cnn', build('cnn', {}, inputs), ofPictures, 'enc.3.0.weight'],
  ['bert', build('bert', small, textInputs), ofTexts, 'bert.encoder.layer.1.output.LayerNorm.weight'],
  ['distilbert', build('distilbert', small, textInputs), ofTexts, 'distilbert.transformer.layer.1.ffn.lin2.bias'],
] as const) {
  test(`${name} learns, and its file has the names of its origin`, async () => {
    const { result, auc, names } = await trained(name, model, features, { epochs: name === 'resnet' ? 5 : 8 });
    assert.ok(auc > 0.9, `AUC ${auc}`);
    assert.ok(names.includes(tensor), names.join());
    assert.equal(result.untouched, []);
    const half = await trained(`${name}-bf16`, model, features, { precision: 'bf16', epochs: 1 });
    assert.ok(Number.isFinite(half.result.loss));
  });
}

test('weights of another program are where a training starts; what they lack is told', async () => {
  const weights = fileURLToPath(new URL('../../native/tests/fixtures/transformers/distilbert.safetensors', import.meta.url));
  const model = build('distilbert', small, textInputs);
  const { result } = await trained('started', model, ofTexts, { weights });
  assert.equal(result.untouched, ['pre_classifier.weight', 'pre_classifier.bias', 'classifier.weight', 'classifier.bias']);
  await expectError(
    'E_SHAPE',
    () => trained('bert', build('bert', small, textInputs), ofTexts, { weights }),
    /its weights do not fit the model/,
  );
  await expectError('E_NOT_FOUND', () => trained('none', model, ofTexts, { weights: path.join(folder, 'none.safetensors') }));
  assert.is(modelDefinition('distilbert').weights?.({ weights: 'a.safetensors' }), 'a.safetensors');
  assert.equal(modelDefinition('resnet').files?.({ weights: 'a.safetensors' }), ['a.safetensors']);
});

test('features that a model cannot take are named', async () => {
  await expectError('E_CONFIG', () => build('resnet', {}, { ...inputs, values: [] }), /takes an image .* but the pipeline has none/);
  await expectError('E_CONFIG', () => build('resnet', {}, { ...inputs, dense: 2 }), /takes an image only/);
  await expectError('E_CONFIG', () => build('cnn', {}, { ...inputs, values: [8, 16, 3] }), /at least 16 x 16, found 8 x 16/);
  await expectError('E_CONFIG', () => build('bert', {}, inputs), /takes token ids as features.tokens/);
  await expectError(
    'E_CONFIG',
    () => build('bert', {}, { ...textInputs, ids: 1024 }),
    /has 512 positions, but the texts have 1024 token ids/,
  );
  for (const id of ['dlrm', 'mlp'])
    for (const more of [
      { values: [4], ids: 0 },
      { values: [], ids: 5 },
    ])
      await expectError('E_CONFIG', () => build(id, {}, { ...inputs, ...more, dense: 1 }), /takes dense .*features only/);
  await expectError('E_CONFIG', () => build('distilbert', { width: 100, heads: 3 }, textInputs), /its heads divide/);
});

test.run();
