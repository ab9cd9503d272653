// The parts of production mode that need no server: who waits, what is recorded, where windows end.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { stream } from '../policies/conformance-data.js';
import { inWorkplace } from './fixture.test.helper.js';
import { Journal } from './journal.js';
import { Pending } from './pending.js';
import type { TriggerRecord } from './results.js';
import { readTrace, type TraceEntry, traceEnd, TraceWriter } from './trace.js';
import { GrowingWindows } from './windows.js';

const test = suite('live');

const trigger = (id: number): TriggerRecord => ({ id, key: 10 * id, timeMs: id, reason: 'test' });
const outcomes = (records: TriggerRecord[]) => records.map(({ id, outcome }) => [id, outcome]);

test('queue: every trigger waits', () => {
  const pending = new Pending('queue');
  for (const id of [0, 1, 2]) assert.equal(outcomes(pending.add(trigger(id))), [[id, undefined]]);
  assert.is(pending.begin()?.id, 0);
  assert.is(pending.length, 2);
  pending.end();
  assert.is(pending.begin()?.id, 1);
});

test('merge: the newest takes the place of those that wait, not of the one that is trained', () => {
  const pending = new Pending('merge');
  pending.add(trigger(0));
  pending.begin();
  assert.equal(outcomes(pending.add(trigger(1))), [[1, undefined]]);
  assert.equal(outcomes(pending.add(trigger(2))), [
    [1, 'merged'],
    [2, undefined],
  ]);
  pending.end();
  assert.is(pending.begin()?.id, 2);
  assert.is(pending.begin(), undefined);
});

test('drop: none waits behind another', () => {
  const pending = new Pending('drop');
  pending.add(trigger(0));
  assert.equal(outcomes(pending.add(trigger(1))), [[1, 'dropped']]);
  pending.begin();
  assert.equal(outcomes(pending.add(trigger(2))), [[2, 'dropped']]);
  pending.end();
  assert.equal(outcomes(pending.add(trigger(3))), [[3, undefined]]);
});

test('a trace of many pages is read as it was written, also by a writer that goes on', () =>
  inWorkplace(async ({ data }) => {
    const journal = await Journal.open(data);
    const expected: TraceEntry[] = [];
    for (let round = 0; round < 3; round++) {
      const writer = new TraceWriter(journal, 'p');
      for (let i = 0; i < 700; i++) {
        const entry = i % 7 === 3 ? { trained: i } : { end: 1000 * round + i + 1 };
        writer.push(entry);
        expected.push(entry);
        if (i % 100 === 99) await journal.putArrival('p', writer.pages(), []);
      }
    }
    assert.equal([...readTrace(journal, 'p')], expected);
    assert.is(traceEnd(journal, 'p'), 2700);
    assert.is(traceEnd(journal, 'q'), 0);
    await journal.close();
  }));

const day = 86_400_000;

test('windows end at the first sample of a later one; late samples count where they arrive; empty windows have a number', () => {
  const times = [0.5, 0.9, 1.1, 0.7, 1.9, 4.2, 4.1, 5].map((days) => Math.round(days * day));
  for (const step of [1, 3, 8]) {
    const { batch } = stream('test', times);
    const windows = new GrowingWindows(day);
    const ended = [];
    for (let at = 0; at < times.length; at += step) ended.push(...windows.add(batch(at, Math.min(step, times.length - at))));
    assert.equal(
      [...ended, ...windows.rest(times.length)].map(({ index, first, end, startMs }) => [index, first, end, startMs / day]),
      [
        [0, 0, 2, 0],
        [1, 2, 5, 1],
        [4, 5, 7, 4],
        [5, 7, 8, 5],
      ],
    );
  }
});

test.run();
