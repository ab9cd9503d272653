import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { stream } from '../conformance-data.js';
import { time } from './time.js';

const at = (text: string) => Date.parse(text);

/** Decisions as 'key: reason' of a stream that arrives in batches of the given lengths (default: one batch). */
function run(config: unknown, dates: string[], lengths = [dates.length]): string[] {
  const { batch } = stream('test', dates.map(at));
  const trigger = time.create(time.config.parse(config), { seed: 0 });
  let first = 0;
  return lengths.flatMap((length) => {
    const decisions = [...trigger.inform(batch(first, length))].map((d) => `${first + d.at}: ${d.reason}`);
    first += length;
    return decisions;
  });
}

test('fires at the last sample before each boundary', () => {
  const dates = ['2001-01-01T09:00Z', '2001-01-07T23:59:59Z', '2001-01-08T00:00Z', '2001-01-14T12:00Z', '2001-01-15T12:00Z'];
  assert.equal(run({ every: '1w' }, dates), ['1: week 1 ended (2001-01-08T00:00Z)', '3: week 2 ended (2001-01-15T00:00Z)']);
});

test('a boundary between two batches belongs to the sample before the batch', () => {
  const { batch } = stream('two', [at('2001-01-01'), at('2001-01-02')]);
  const trigger = time.create({ every: 86_400_000, start: undefined }, { seed: 0 });
  assert.equal([...trigger.inform(batch(0, 1))], []);
  assert.equal([...trigger.inform(batch(1, 1))], [{ at: -1, reason: 'day 1 ended (2001-01-02T00:00Z)' }]);
});

test('periods without samples fire nothing', () => {
  const dates = ['2001-01-01', '2001-01-02', '2001-02-20', '2001-02-21', '2001-02-27'];
  assert.equal(run({ every: '1w' }, dates), ['1: week 1 ended (2001-01-08T00:00Z)', '3: week 8 ended (2001-02-26T00:00Z)']);
});

test('late samples fire nothing', () => {
  const dates = ['2001-01-01', '2001-01-02', '2001-01-01T23:00Z', '2001-01-02T01:00Z', '2001-01-01T22:00Z', '2001-01-03'];
  assert.equal(run({ every: '1d' }, dates), ['0: day 1 ended (2001-01-02T00:00Z)', '4: day 2 ended (2001-01-03T00:00Z)']);
});

test('periods below a day begin at multiples of the period', () => {
  const dates = ['2001-01-01T05:50:00Z', '2001-01-01T06:00:00Z', '2001-01-01T11:59:59.999Z', '2001-01-01T12:00:00Z'];
  assert.equal(run({ every: '6h' }, dates), ['0: period 1 of 6h ended (2001-01-01T06:00Z)', '2: period 2 of 6h ended (2001-01-01T12:00Z)']);
});

test('periods begin where start says, also before and after the first sample', () => {
  const dates = ['2001-01-01', '2001-01-03T11:00Z', '2001-01-03T12:00Z', '2001-01-10T12:00Z'];
  const expected = ['1: week 1 ended (2001-01-03T12:00Z)', '2: week 2 ended (2001-01-10T12:00Z)'];
  for (const start of ['2001-01-03T12:00Z', '2000-12-27T12:00:00Z', '2001-01-31T14:00:00+02:00']) {
    assert.equal(run({ every: '1w', start }, dates), expected, start);
  }
});

test('times before 1970', () => {
  const dates = ['1969-12-30T10:00Z', '1969-12-31T10:00Z', '1970-01-01T00:00Z'];
  assert.equal(run({ every: '1d' }, dates), ['0: day 1 ended (1969-12-31T00:00Z)', '1: day 2 ended (1970-01-01T00:00Z)']);
});

test('empty batches change nothing', () => {
  assert.equal(run({ every: '1d' }, ['2001-01-01', '2001-01-02'], [0, 1, 0, 1, 0]), ['0: day 1 ended (2001-01-02T00:00Z)']);
});

test('a timestamp beyond all dates is named in milliseconds', () => {
  const { batch } = stream('far', [9e15, 9.1e15]);
  const [decision] = time.create({ every: 1000, start: undefined }, { seed: 0 }).inform(batch(0, 2));
  assert.is(decision?.reason, 'second 1 ended (9000000000001000 ms)');
});

test('refuses what is no duration or date', () => {
  const good = { every: '1d', start: '2001-02-28T06:00:00Z' };
  assert.ok(time.config.safeParse(good).success);
  for (const every of [86_400_000, '1', '0d', '1 d', '-1d', '1.5h', '1y', '', undefined]) {
    assert.not(time.config.safeParse({ every }).success, String(every));
  }
  for (const start of ['2001-02-30', '2001', '1/2/2001', '2001-01-01T25:00Z', '2001-01-01T06:00', 978307200000, '']) {
    assert.not(time.config.safeParse({ every: '1d', start }).success, String(start));
  }
});

test.run();
