import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { memoryContext } from '../conformance.js';
import type { SelectedSet } from '../define.js';
import { allData } from './all-data.js';
import { freshness } from './freshness.js';
import { newData } from './new-data.js';
import { recorded } from './recorded.js';
import { uniform } from './uniform.js';

const day = 86_400_000;

/** Keys 100 … 199, one a day. */
function candidates(seed = 1) {
  const timestamps = BigInt64Array.from({ length: 200 }, (_, i) => BigInt(i * day));
  return memoryContext({ first: 100, end: 200, timestamps, seed });
}

function keysOf(set: SelectedSet): number[] {
  assert.ok('keys' in set, 'expected keys');
  return 'keys' in set ? [...set.keys].map(Number) : [];
}

test('new-data takes all candidates', async () => {
  assert.equal(await newData.select(newData.config.parse({}), candidates()), { first: 100, end: 200 });
  assert.equal(await newData.select(newData.config.parse({ limit: 100 }), candidates()), { first: 100, end: 200 });
});

test('new-data keeps the latest within its limit', async () => {
  assert.equal(await newData.select(newData.config.parse({ limit: 30 }), candidates()), { first: 170, end: 200 });
});

test('new-data keeps a uniform sample within its limit', async () => {
  const set = await newData.select(newData.config.parse({ limit: 30, keep: 'uniform' }), candidates());
  const keys = keysOf(set);
  assert.is(keys.length, 30);
  assert.ok(Math.min(...keys) < 130 && Math.max(...keys) > 170);
});

test('all-data takes all candidates', async () => {
  assert.equal(await allData.select({}, candidates()), { first: 100, end: 200 });
});

test('uniform takes a number or a part of the candidates', async () => {
  const size = async (config: unknown) => keysOf(await uniform.select(uniform.config.parse(config), candidates())).length;
  assert.is(await size({ samples: 17 }), 17);
  assert.is(await size({ ratio: 0.25 }), 25);
  assert.is(await size({ ratio: 0.0001 }), 1);
});

test('uniform takes all candidates where there are not more', async () => {
  for (const config of [{ samples: 100 }, { samples: 1000 }, { ratio: 1 }]) {
    assert.equal(await uniform.select(config, candidates()), { first: 100, end: 200 });
  }
});

test('uniform draws another set with another seed', async () => {
  const draw = async (seed: number) => keysOf(await uniform.select({ samples: 20 }, candidates(seed)));
  assert.equal(await draw(1), await draw(1));
  assert.not.equal(await draw(1), await draw(2));
});

test('freshness passes its half-life in milliseconds and prefers recent candidates', async () => {
  const keys = keysOf(await freshness.select(freshness.config.parse({ ratio: 0.2, halfLife: '5d' }), candidates()));
  assert.is(keys.length, 20);
  assert.ok(keys.filter((key) => key >= 170).length >= 14, keys.join());
});

test('amounts are either samples or ratio, in range', () => {
  for (const config of [{}, { samples: 1, ratio: 0.5 }, { samples: 0 }, { ratio: 0 }, { ratio: 1.1 }, { ratio: 'x' }]) {
    assert.not(uniform.config.safeParse(config).success, JSON.stringify(config));
    assert.not(freshness.config.safeParse({ ...config, halfLife: '1d' }).success, JSON.stringify(config));
  }
  assert.not(freshness.config.safeParse({ samples: 5 }).success);
});

test('recorded takes unseen samples first, then the greatest or least values', async () => {
  const timestamps = BigInt64Array.from({ length: 8 }, (_, i) => BigInt(i));
  const values = Float32Array.from([0.5, 0.1, Number.NaN, 0.9, 0.2, 0.8, 0.3, 0.4]);
  const context = { ...memoryContext({ first: 0, end: 8, timestamps }), recorded: async () => values };
  const by = (choice: string, samples: number) => recorded.select(recorded.config.parse({ by: 'loss', choice, samples }), context);
  assert.equal(keysOf(await by('greatest', 3)), [2, 3, 5]);
  assert.equal(keysOf(await by('least', 3)), [1, 2, 4]);
  assert.equal(await by('greatest', 8), { first: 0, end: 8 });
});

test('recorded samples in proportion to the value, and by doubt where it goes by confidence', async () => {
  const n = 4000;
  const timestamps = BigInt64Array.from({ length: n }, (_, i) => BigInt(i));
  const values = Float32Array.from({ length: n }, (_, i) => (i % 2 === 0 ? 0.9 : 0.6));
  const evenShare = async (by: string) => {
    const context = { ...memoryContext({ first: 0, end: n, timestamps, seed: 3 }), recorded: async () => values };
    const keys = keysOf(await recorded.select(recorded.config.parse({ by, samples: 200 }), context));
    return keys.filter((key) => key % 2 === 0).length / 200;
  };
  assert.ok(Math.abs((await evenShare('loss')) - 0.6) < 0.1, 'loss: 0.9 against 0.6');
  assert.ok(Math.abs((await evenShare('confidence')) - 0.2) < 0.1, 'confidence: 0.1 against 0.4');
  assert.ok(Math.abs((await evenShare('margin')) - 0.2) < 0.1, 'margin: 0.1 against 0.4');
  assert.ok(Math.abs((await evenShare('entropy')) - 0.6) < 0.1, 'entropy: 0.9 against 0.6');
});

test.run();
