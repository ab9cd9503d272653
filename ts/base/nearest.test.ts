import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { nearest } from './nearest.js';

test('finds the word that was meant', () => {
  const known = ['samples', 'every', 'epochs', 'seed'];
  assert.is(nearest('sample', known), 'samples');
  assert.is(nearest('smaples', known), 'samples');
  assert.is(nearest('Epoch', known), 'epochs');
  assert.is(nearest('sed', known), 'seed');
});

test('suggests nothing for words that are far from all', () => {
  assert.is(nearest('precision', ['samples', 'every']), undefined);
  assert.is(nearest('x'.repeat(100_000), ['samples']), undefined);
  assert.is(nearest('x', []), undefined);
});

test.run();
