import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { timeMs } from './times.js';

const iso = (text: string) => {
  const ms = timeMs(text, 'ms');
  return Number.isNaN(ms) ? 'none' : new Date(ms).toISOString();
};

test('ISO text without a zone is UTC, wherever the machine is', () => {
  assert.is(iso('2024-02-29'), '2024-02-29T00:00:00.000Z');
  assert.is(iso('2024/02/29 23:59'), '2024-02-29T23:59:00.000Z');
  assert.is(iso('2024-02-29T23:59:58.123456'), '2024-02-29T23:59:58.123Z');
  assert.is(iso('2024-02-29T23:59:58,5'), '2024-02-29T23:59:58.500Z');
  assert.is(iso(' 0050-01-01 '), '0050-01-01T00:00:00.000Z');
});

test('zones are applied', () => {
  assert.is(iso('2024-02-29T12:00:00Z'), '2024-02-29T12:00:00.000Z');
  assert.is(iso('2024-02-29T12:00:00+05:30'), '2024-02-29T06:30:00.000Z');
  assert.is(iso('2024-02-29 12:00:00-0130'), '2024-02-29T13:30:00.000Z');
  assert.is(iso('2024-02-29T12:00:00 +02'), '2024-02-29T10:00:00.000Z');
});

test('what is no time gives NaN', () => {
  const bad = [
    '',
    ' ',
    'soon',
    '2023-02-29',
    '2024-13-01',
    '2024-00-10',
    '2024-04-31',
    '2024-1-1',
    '2024-01/02',
    '2024-01-01T24:00',
    '2024-01-01T10:60',
    'May 5, 2024',
  ];
  for (const text of [...bad, '2024-01-01T10:00+25:00', '1e99', '99999999999999999999']) assert.is(iso(text), 'none', text);
  for (const value of [null, undefined, true, Number.NaN, Number.POSITIVE_INFINITY, new Date(Number.NaN), {}])
    assert.ok(Number.isNaN(timeMs(value, 'ms')));
});

test('numbers, bigints and digits count the unit', () => {
  assert.is(timeMs(1.5, 's'), 1500);
  assert.is(timeMs('90', 'min'), 5_400_000);
  assert.is(timeMs(2, 'h'), 7_200_000);
  assert.is(timeMs('19000.5', 'd'), 19_000.5 * 86_400_000);
  assert.is(timeMs(-1, 'us'), -1);
  assert.is(timeMs(-1n, 'us'), -1);
  assert.is(timeMs(-1_000_000n, 'ns'), -1);
});

test('a Date needs no unit', () => {
  assert.is(timeMs(new Date(1234), 'd'), 1234);
});

test('whole milliseconds in smaller units stay whole', () => {
  for (let ms = 1_700_000_000_000; ms < 1_700_000_001_000; ms += 7) {
    assert.is(timeMs(ms * 1000, 'us'), ms);
    assert.is(timeMs(`${ms}000000`, 'ns'), ms);
    assert.is(timeMs(BigInt(ms) * 1_000_000n, 'ns'), ms);
  }
});

test('times beyond the years 0 to 9999 are refused', () => {
  assert.is(timeMs(253_402_300_799_999, 'ms'), 253_402_300_799_999);
  assert.ok(Number.isNaN(timeMs(253_402_300_800_000, 'ms')));
  assert.ok(Number.isNaN(timeMs(1_700_000_000_000, 's')));
  assert.ok(Number.isNaN(timeMs(2n ** 70n, 'ms')));
});

test.run();
