import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { canonicalJson } from './hash.js';
import { parsePipeline } from './parse.js';
import { changed, smallPipeline } from './pipeline.test.helper.js';

const hashOf = async (text: string) => (await parsePipeline(text, 'p.yaml')).hash;

test('is a SHA-256 in hex', async () => assert.match(await hashOf(smallPipeline), /^[0-9a-f]{64}$/));

const same: Record<string, string> = {
  'another layout': smallPipeline.replaceAll(': ', ':   '),
  'fields in another order': changed('{ id: small, seed: 7 }', '{ seed: 7, id: small }'),
  'a default written out': changed('training:', 'training:\n  batchSize: 512'),
  'reset written out': changed('{ id: new-data }', '{ id: new-data, reset: true }'),
  'another name': changed('id: small', 'id: other'),
  threads: changed('seed: 7', 'seed: 7, threads: 3'),
  maxTriggers: `${smallPipeline}replay: { maxTriggers: 3 }\n`,
  'the same duration': `${smallPipeline}evaluation: { window: 7d }\n`,
};

for (const [name, text] of Object.entries(same)) {
  test(`${name} does not change it`, async () => assert.is(await hashOf(text), await hashOf(smallPipeline)));
}

const different: Record<string, string> = {
  'the seed': changed('seed: 7', 'seed: 8'),
  'a source': changed('numbers.csv', 'others.csv'),
  'a feature': changed('buckets: 10', 'buckets: 11'),
  'the learning rate': changed('lr: 0.1', 'lr: 0.2'),
  'the trigger': changed('samples: 10', 'samples: 11'),
  'the selection': changed('new-data', 'all-data'),
  reset: changed('{ id: new-data }', '{ id: new-data, reset: false }'),
  'the windows': `${smallPipeline}evaluation: { window: 8d }\n`,
};

for (const [name, text] of Object.entries(different)) {
  test(`${name} changes it`, async () => assert.is.not(await hashOf(text), await hashOf(smallPipeline)));
}

test('canonical JSON sorts keys and keeps values apart that JSON confuses', () => {
  assert.is(canonicalJson({ b: [1, null], a: { d: 'x', c: undefined } }), '{"a":{"d":"x"},"b":[1,null]}');
  const values = [
    null,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    1n,
    1,
    '1',
    new Date(0),
    new Date(1),
    new Map([[1, 2]]),
    new Set([1]),
    [],
    {},
  ];
  assert.is(new Set(values.map(canonicalJson)).size, values.length);
});

test.run();
