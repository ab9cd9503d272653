import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SluiceError } from '../errors.js';
import { Dictionary } from './dictionary.js';

const test = suite('dictionary');
const empty = () => new Dictionary('origin', () => null);

test('codes are dense, in the order of first appearance, and survive being stored', () => {
  const dictionary = empty();
  for (let i = 0; i < 10_000; i++) assert.is(dictionary.add(`v${i}`), i);
  const stored: Record<string, string> = dictionary.entries();
  const again = new Dictionary('origin', (key) => stored[key] ?? null);
  assert.is(again.size, 10_000);
  assert.is(again.find('v0'), 0);
  assert.is(again.find('v9999'), 9999);
  assert.is(again.find('other'), undefined);
  assert.is(again.add('other'), 10_000);
});

test('values stay what they are, also halves of characters', () => {
  const dictionary = empty();
  for (const value of ['\ud800', '\udc00', '\ufffd', '"', '']) assert.is(dictionary.find(value), undefined);
  for (const [code, value] of ['\ud800', '\udc00', '\ufffd', '"', ''].entries()) assert.is(dictionary.add(value), code);
  assert.is(dictionary.find('\udc00'), 1);
});

test('a dictionary is cut to what it was', () => {
  const dictionary = empty();
  for (let i = 0; i < 5000; i++) dictionary.add(`v${i}`);
  dictionary.entries();
  dictionary.truncate(4000);
  assert.is(dictionary.find('v4000'), undefined);
  assert.is(dictionary.add('w'), 4000);
  assert.equal(Object.keys(dictionary.entries()), ['dict:origin']);
});

test('only what grew is written again', () => {
  const dictionary = empty();
  for (let i = 0; i < 5000; i++) dictionary.add(`v${i}`);
  assert.is(Object.keys(dictionary.entries()).length, 2);
  assert.equal(dictionary.entries(), {});
  dictionary.add('new');
  assert.equal(Object.keys(dictionary.entries()), ['dict1:origin']);
});

for (const stored of ['["a"', '{"a":1}', '[1]', 'null', '["a","a"]']) {
  test(`stored as ${stored} it is E_CORRUPT`, () => {
    assert.throws(
      () => new Dictionary('origin', (key) => (key === 'dict:origin' ? stored : null)),
      (error: unknown) => error instanceof SluiceError && error.code === 'E_CORRUPT' && /'origin'/.test(error.message),
    );
  });
}

test.run();
