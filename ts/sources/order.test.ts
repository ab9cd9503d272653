import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { failure, generatedPart, generatedSpec } from './fixture.test.helper.js';
import { orderOf, stableOrder } from './order.js';

const noCheck = () => {};

test('the order of a part: first, last, whether it is sorted', async () => {
  const sorted = generatedPart('a', 25_000, (i) => 100 + Math.floor(i / 3));
  assert.equal(await orderOf(sorted, generatedSpec, 0, noCheck), { rows: 25_000, sorted: true, firstMs: 100_000, lastMs: 8_433_000 });
  const oneBack = generatedPart('b', 25_000, (i) => (i === 24_999 ? 5 : 10 + i));
  assert.equal(await orderOf(oneBack, generatedSpec, 0, noCheck), { rows: 25_000, sorted: false, firstMs: 5000, lastMs: 25_008_000 });
  assert.equal(
    await orderOf(
      generatedPart('c', 0, () => 0),
      generatedSpec,
      0,
      noCheck,
    ),
    { rows: 0, sorted: true, firstMs: null, lastMs: null },
  );
});

test('a bad time is told with its row in the part', async () => {
  const part = generatedPart('a', 25_000, (i) => (i === 20_001 ? Number.NaN : i));
  await failure('E_SOURCE', ['a:', "'t'", 'row 20002', 'NaN'], () => orderOf(part, generatedSpec, 0, noCheck));
});

test('rows are ordered by (time, row)', () => {
  const times = BigInt64Array.from({ length: 30_000 }, (_, i) => BigInt(((i * 7919) % 1009) * 10 ** 9 - 5 * 10 ** 11));
  const expected = Array.from(times.keys()).sort((a, b) => Number(times[a]! - times[b]!) || a - b);
  assert.equal([...stableOrder(times)], expected);
});

test('the ends of the range of times are ordered, and no rows or equal rows are', () => {
  const [least, most] = [-62_167_219_200_000n, 253_402_300_799_999n];
  assert.equal([...stableOrder(BigInt64Array.of(most, 0n, least, most, least))], [2, 4, 1, 0, 3]);
  assert.equal([...stableOrder(new BigInt64Array(0))], []);
  assert.equal([...stableOrder(BigInt64Array.of(7n, 7n, 7n))], [0, 1, 2]);
});

test.run();
