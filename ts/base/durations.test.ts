import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { formatDuration, parseDuration } from './durations.js';

const table: [string, number][] = [
  ['1s', 1000],
  ['30s', 30_000],
  ['15m', 900_000],
  ['6h', 21_600_000],
  ['1d', 86_400_000],
  ['1w', 604_800_000],
  ['36h', 129_600_000],
];

for (const [text, ms] of table) {
  test(`${text} is ${ms} ms, both ways`, () => {
    assert.is(parseDuration(text), ms);
    assert.is(formatDuration(ms), text);
  });
}

test('durations are shown in the largest unit that divides them', () => {
  assert.is(formatDuration(parseDuration('24h')), '1d');
  assert.is(formatDuration(parseDuration('14d')), '2w');
  assert.is(formatDuration(90_000), '90s');
  assert.is(formatDuration(1500), '1.5s');
  assert.is(formatDuration(0), '0s');
});

test('what is no duration is refused with what was found', () => {
  for (const text of ['', 'week', '1', '1 w', '-1d', '0d', '1.5h', '1y', '1W', '1d12h', '9999999999w', '٣d']) {
    assert.throws(
      () => parseDuration(text),
      (e: { code: string; message: string }) => e.code === 'E_ARGUMENT' && e.message.endsWith(`found ${JSON.stringify(text)}`),
      text,
    );
  }
});

test.run();
