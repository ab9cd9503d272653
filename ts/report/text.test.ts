import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { day, makeResult } from './fixture.test.helper.js';
import { clean, compact, partialNote, seconds, shortTimes, statusNote, timeText, timeTicks, windowSpan } from './text.js';

const start = Date.UTC(2001, 0, 1, 6, 30, 15);

test('text of users keeps no terminal control, no bidirectional marks, no line breaks', () => {
  assert.is(clean('a\u001b[31mred\nb\u202Ec\uD800d'), 'a [31mred b c d');
  assert.is(clean('Zürich → 東京 🙂'), 'Zürich → 東京 🙂');
});

test('times are as exact as the step and survive what no calendar holds', () => {
  assert.is(timeText(start, 7 * day), '2001-01-01');
  assert.is(timeText(start, 3_600_000), '2001-01-01 06:30');
  assert.is(timeText(start, 1000), '2001-01-01 06:30:15');
  assert.is(timeText(1e17, day), '100000000000000000 ms');
});

test('the year or the day is left out where all share it', () => {
  assert.equal(shortTimes(['2001-01-01', '2001-02-01']), ['01-01', '02-01']);
  assert.equal(shortTimes(['2001-01-01 06:30', '2001-01-01 07:30']), ['06:30', '07:30']);
  assert.equal(shortTimes(['2001-12-31', '2002-01-01']), ['2001-12-31', '2002-01-01']);
});

test('a metric takes one character more than its digits', () => {
  assert.equal(
    [0.7132, 0.9999, 1.254, 12.54, 123.4, 12345].map((v) => compact(v, 3)),
    ['.713', '1.00', '1.25', '12.5', '123', ' 1e4'],
  );
  assert.equal(
    [0.7132, 0.999, 12.54].map((v) => compact(v, 2)),
    ['.71', '1.0', '13'],
  );
});

test('seconds grow into minutes and hours without a 60', () => {
  assert.equal([0.42, 12.34, 59.97, 119.6, 3599.7, 7620].map(seconds), [
    '0.42 s',
    '12.3 s',
    '1 min 00 s',
    '2 min 00 s',
    '1 h 00 min',
    '2 h 07 min',
  ]);
});

test('ticks are whole steps apart, within the range and not too many', () => {
  assert.equal(timeTicks(0, 10, 1, 5), [0, 2, 4, 6, 8, 10]);
  assert.equal(timeTicks(0, 8, 8, 4), [0, 2, 4, 6, 8]);
  assert.equal(timeTicks(5, 5, 1, 4), [5]);
});

test('notes tell a partial window and what an interrupted run lacks', () => {
  assert.is(partialNote(makeResult({ lastCoverage: 0.2 })), 'the last window, of 2001-06-25, is partial: the stream covers 20% of it');
  assert.is(partialNote(makeResult()), null);
  const result = makeResult({ windows: 6, models: 4 });
  assert.is(statusNote(result), null);
  result.status = 'incomplete';
  result.triggers[2]!.evaluation = null;
  Object.assign(result.triggers[3]!, { training: null, evaluation: null });
  assert.is(
    statusNote(result),
    'incomplete run: it stopped before the end of the stream (1 trigger without training, 1 model not evaluated)',
  );
});

test('a span of windows is told by its first and last day', () => {
  const { windows } = makeResult();
  assert.is(windowSpan(windows.slice(22)), '4 windows from 2001-06-04 to 2001-07-01');
  assert.is(windowSpan(windows.slice(25)), 'the window of 2001-06-25');
});

test.run();
