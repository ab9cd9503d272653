import { Ajv } from 'ajv';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parse } from 'yaml';
import { z } from 'zod';
import { defineTrigger } from '../policies/define.js';
import type { JsonSchema } from './expectations.js';
import { pipelineJsonSchema } from './json-schema.js';
import { parsePipeline } from './parse.js';
import { changed, smallPipeline } from './pipeline.test.helper.js';

const ajv = new Ajv({ strict: true, strictTypes: false, strictTuples: false, allErrors: true });
const accepts = ajv.compile(pipelineJsonSchema());

const column = (form: string) => changed('{ a: f32, n: i32, c: category }', `{ a: f32, n: i32, c: category, x: ${form} }`);
const source = (text: string) => changed('{ format: csv, path: numbers.csv }', text);

const good: Record<string, string> = {
  'the small pipeline': smallPipeline,
  'a list of files': changed('path: numbers.csv', 'path: [a.csv, b.csv]'),
  'a unit of time': changed('{ column: when }', '{ column: when, unit: ns }'),
  'a threshold label': changed('{ column: y }', '{ column: y, atLeast: 0.5 }'),
  'named classes': changed('{ column: y }', '{ column: y, classes: [sun, rain] }'),
  'numbered classes': changed('{ column: y }', '{ column: y, classes: 5 }'),
  'time features': changed('dense: [', 'dense: [{ time: sin-day }, { column: n, log: true, mean: 1, scale: -2 }, '),
  'a cross': changed('categorical: [', 'categorical: [{ time: month }, { cross: [c, n], buckets: 100 }, '),
  'no hidden layers': changed('{ id: dlrm }', '{ id: dlrm, bottom: [], top: [], embedding: 1 }'),
  'two optimizers': changed(
    '{ id: sgd, lr: 0.1 }',
    '{ mlp: { id: adam, lr: 0.1, beta2: 0.9 }, embedding: { id: adagrad, lr: 1, eps: 0.1 } }',
  ),
  'all of training': changed(
    'training:',
    'training:\n  { batchSize: 1, epochs: 2, criterion: bce, precision: bf16, shuffle: none, start: scratch, first: x.safetensors, optimizer: { id: sgd, lr: 0.1 } }',
  ).replace('\n  optimizer: { id: sgd, lr: 0.1 }\n', '\n'),
  'by time': changed('{ id: amount, samples: 10 }', '{ id: time, every: 1w, start: 2001-01-01T00:00:00Z }'),
  'all data': changed('{ id: new-data }', '{ id: all-data, reset: true }'),
  'new data within a limit': changed('{ id: new-data }', '{ id: new-data, limit: 5, keep: uniform }'),
  'a uniform sample': changed('{ id: new-data }', '{ id: uniform, samples: 5 }'),
  'a part, by freshness': changed('{ id: new-data }', '{ id: freshness, ratio: 0.5, halfLife: 3d, reset: false }'),
  'a tensor': column('{ tensor: u8, shape: [32, 32, 3] }'),
  'a picture': column('{ image: [224, 224, 3], fit: contain, onError: skip }'),
  'tokens of a tokenizer': column('{ tokens: 128, tokenizer: ./tokenizer.json }'),
  'tokens by hashing': column('{ tokens: 128, hash: 30000 }'),
  bytes: column('{ bytes: 1000 }'),
  codes: column('{ category: 7 }'),
  'made times': changed('{ column: when }', '{ start: 2024-01-01, step: 10ms }'),
  'folders of pictures': source('{ format: images, path: [a, b], labels: labels.csv, timePattern: "{YYYY}{MM}{DD}" }'),
  'binary records': source(
    '{ format: binary, path: "*.bin", skip: 16, fields: [{ name: a, type: uint8, shape: [3, 2, 2], permute: [1, 2, 0] }] }',
  ),
  'the Criteo layout': source('{ format: criteo, path: criteo, splits: [train, test] }'),
  evaluation: `${smallPipeline}evaluation: { window: 1d, windows: all, batchSize: 100 }\nreplay: { batch: 10, maxTriggers: 1 }\n`,
};

const bad: Record<string, string> = {
  'a tensor without a shape': column('{ tensor: u8 }'),
  'a tensor of another type': column('{ tensor: f64, shape: [1] }'),
  'an empty side': column('{ tensor: u8, shape: [3, 0] }'),
  'a picture of two sides': column('{ image: [224, 224] }'),
  'two channels': column('{ image: [224, 224, 2] }'),
  'an unknown fit': column('{ image: [2, 2, 3], fit: inside }'),
  'tokens without a tokenizer': column('{ tokens: 128 }'),
  'no tokens': column('{ tokens: 0, hash: 100 }'),
  'no bytes': column('{ bytes: 0 }'),
  'a step without a start': changed('{ column: when }', '{ step: 1s }'),
  'column and step': changed('{ column: when }', '{ column: when, start: 2024-01-01, step: 1s }'),
  'a step of nothing': changed('{ column: when }', '{ start: 2024-01-01, step: 0ms }'),
  'a binary source without fields': source('{ format: binary, path: a.bin }'),
  'an unknown field type': source('{ format: binary, path: a.bin, fields: [{ name: a, type: uint64 }] }'),
  'labels of a CSV source': source('{ format: csv, path: a.csv, labels: b.csv }'),
  'no pipeline id': changed('id: small, ', ''),
  'a bad id': changed('id: small', 'id: -small'),
  'a negative seed': changed('seed: 7', 'seed: -7'),
  'a fraction as seed': changed('seed: 7', 'seed: 0.5'),
  'an unknown section': `${smallPipeline}more: 1\n`,
  'no model': changed('model: { id: dlrm }\n', ''),
  'an unknown model': changed('dlrm', 'perceptron'),
  'an unknown format': changed('csv', 'xml'),
  'no files': changed('path: numbers.csv', 'path: []'),
  'no path': changed('path: numbers.csv', 'path: ""'),
  'source and module': changed('id: numbers', 'id: numbers\n  module: ./x.ts'),
  'both labels': changed('{ column: y }', '{ column: y, atLeast: 1, classes: 2 }'),
  'one class': changed('{ column: y }', '{ column: y, classes: [a] }'),
  'no columns': changed('{ a: f32, n: i32, c: category }', '{}'),
  'an unknown column type': changed('a: f32', 'a: f64'),
  'a feature of two kinds': changed('{ column: a }', '{ column: a, time: sin-day }'),
  'a scale of 0': changed('{ column: a }', '{ column: a, scale: 0 }'),
  'no buckets': changed(', buckets: 10', ''),
  'a cross of three': changed('column: c', 'cross: [c, n, c]'),
  'a learning rate of 0': changed('lr: 0.1', 'lr: 0'),
  'beta of sgd': changed('lr: 0.1', 'lr: 0.1, beta1: 0.9'),
  'half of two optimizers': changed('{ id: sgd, lr: 0.1 }', '{ mlp: { id: sgd, lr: 0.1 } }'),
  'a batch too big': changed('training:', 'training:\n  batchSize: 1000001'),
  'an unknown policy': changed('id: amount', 'id: amonut'),
  'a policy without its field': changed(', samples: 10', ''),
  'a policy with a field too many': changed('samples: 10', 'samples: 10, every: 1d'),
  'a field of another policy': changed('{ id: new-data }', '{ id: all-data, limit: 5 }'),
  'no duration': changed('{ id: amount, samples: 10 }', '{ id: time, every: 10 }'),
  'no date': changed('{ id: amount, samples: 10 }', '{ id: time, every: 1d, start: today }'),
  'samples and ratio': changed('{ id: new-data }', '{ id: uniform, samples: 5, ratio: 0.5 }'),
  'a ratio above 1': changed('{ id: new-data }', '{ id: uniform, ratio: 1.5 }'),
  'reset that is text': changed('{ id: new-data }', '{ id: new-data, reset: yes please }'),
  'a list': '- 1\n',
};

for (const [name, text] of Object.entries(good)) {
  test(`zod and JSON Schema accept ${name}`, async () => {
    await parsePipeline(text, 'p.yaml');
    assert.ok(accepts(parse(text)), ajv.errorsText(accepts.errors));
  });
}

for (const [name, text] of Object.entries(bad)) {
  test(`zod and JSON Schema refuse ${name}`, async () => {
    const error = await parsePipeline(text, 'p.yaml').then(
      () => undefined,
      (e: { code: string }) => e,
    );
    assert.is(error?.code, 'E_CONFIG');
    assert.not(accepts(parse(text)));
  });
}

test('policies of the user’s own are checked where they are given, and open where not', () => {
  const policy = defineTrigger({ id: 'x', summary: 'X.', config: z.strictObject({ labels: z.int() }), create: () => ({ *inform() {} }) });
  const own = new Ajv({ strict: false }).compile(pipelineJsonSchema({ triggers: [{ id: './x.ts', policy }] }));
  const withTrigger = (section: string) => parse(changed('{ id: amount, samples: 10 }', section));
  assert.ok(own(withTrigger('{ id: ./x.ts, labels: 3 }')));
  assert.not(own(withTrigger('{ id: ./x.ts, labels: many }')));
  assert.ok(own(withTrigger('{ id: ./y.ts, anything: 3 }')));
  assert.ok(accepts(withTrigger('{ id: ./x.ts, labels: many }')));
});

/** Fields without a description, by path. */
function undescribed(schema: JsonSchema | boolean | undefined, path: string): string[] {
  if (typeof schema !== 'object') return [];
  const own = Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const described = typeof field === 'object' && field.description !== undefined;
    return [...(described ? [] : [`${path}.${name}`]), ...undescribed(field, `${path}.${name}`)];
  });
  const inner = [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])].flatMap((s) => undescribed(s, path));
  return [...own, ...inner, ...undescribed(schema.items as JsonSchema | undefined, `${path}[]`)];
}

test('every field has a description for editors', () => assert.equal(undescribed(pipelineJsonSchema(), ''), []));

test('it is draft 7 and plain JSON', () => {
  const schema = pipelineJsonSchema();
  assert.is(schema.$schema, 'http://json-schema.org/draft-07/schema#');
  assert.equal(JSON.parse(JSON.stringify(schema)), schema);
});

test.run();
