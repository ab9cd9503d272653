import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { z } from 'zod';
import { checkSelection, checkTrigger, memoryContext } from './conformance.js';
import { defineSelection, defineTrigger, type Trigger } from './define.js';

const config = z.strictObject({});
const trigger = (create: (context: { seed: number }) => Trigger, schema: z.ZodType<object> = config) =>
  defineTrigger({ id: 'mine', summary: 'Mine.', config: schema, create: (_config, context) => create(context) });
const selection = (select: Parameters<typeof defineSelection<object>>[0]['select']) =>
  defineSelection({ id: 'mine', summary: 'Mine.', config, reset: false, select });

const violations: Record<string, [Trigger['inform'] | (() => Trigger['inform']), RegExp]> = {
  'a position beyond the batch': [
    function* (batch) {
      yield { at: batch.length, reason: 'x' };
    },
    /at: expected a position/,
  ],
  'a position that is no number': [
    function* () {
      yield { at: Number.NaN, reason: 'x' };
    },
    /at: expected a position/,
  ],
  'a trigger before the first sample': [
    function* () {
      yield { at: -1, reason: 'x' };
    },
    /there is no sample before/,
  ],
  'positions that go back': [
    function* (batch) {
      if (batch.length > 1) {
        yield { at: 1, reason: 'x' };
        yield { at: 0, reason: 'x' };
      }
    },
    /does not lie after the previous/,
  ],
  'no reason': [
    function* () {
      yield { at: 0, reason: '' };
    },
    /reason/,
  ],
  'a score that is NaN': [
    function* () {
      yield { at: 0, reason: 'x', score: Number.NaN };
    },
    /score/,
  ],
  'decisions by batch': [
    function* (batch) {
      if (batch.length > 0) yield { at: batch.length - 1, reason: 'x' };
    },
    /other decisions than one batch/,
  ],
  'a batch that is written to': [
    (batch) => {
      batch.timestamps.fill(0n);
      return [];
    },
    /were changed/,
  ],
};

for (const [name, [inform, expected]] of Object.entries(violations)) {
  test(`checkTrigger refuses ${name}`, () => {
    assert.throws(
      () =>
        checkTrigger(
          trigger(() => ({ inform: inform as Trigger['inform'] })),
          {},
        ),
      expected,
    );
  });
}

test('checkTrigger refuses chance that does not come from the seed', () => {
  let calls = 0;
  const create = () => {
    const every = ++calls;
    let seen = 0;
    return {
      *inform(batch: { length: number }) {
        for (let i = 0; i < batch.length; i++) if (++seen % every === 0) yield { at: i, reason: 'x' };
      },
    };
  };
  assert.throws(() => checkTrigger(trigger(create), {}), /second time/);
});

test('checkTrigger refuses state that instances share', () => {
  let seen = 0;
  const create = () => {
    seen = 0;
    return {
      *inform(batch: { length: number }) {
        for (let i = 0; i < batch.length; i++) if (++seen % 10 === 0) yield { at: i, reason: 'x' };
      },
    };
  };
  assert.throws(() => checkTrigger(trigger(create), {}), /disturb each other/);
});

test('checkTrigger refuses a config that takes unknown fields, or does not take the one given', () => {
  const quiet = () => ({ *inform() {} });
  assert.throws(() => checkTrigger(trigger(quiet, z.object({})), {}), /z\.strictObject/);
  assert.throws(() => checkTrigger(trigger(quiet), { samples: 1 }), /config/);
  assert.not.throws(() => checkTrigger(trigger(quiet), {}));
});

const sets: Record<string, [Parameters<typeof selection>[0], RegExp]> = {
  'a key beyond the candidates': [(_c, { end }) => ({ keys: BigUint64Array.of(BigInt(end)) }), /no candidate/],
  'a key twice': [(_c, { first }) => ({ keys: BigUint64Array.of(BigInt(first), BigInt(first)) }), /increasing/],
  'keys that are numbers': [(_c, { first }) => ({ keys: [first] }) as never, /BigUint64Array/],
  'a range beyond the candidates': [(_c, { first, end }) => ({ first, end: end + 1 }), /within the candidates/],
  'a weight below 0': [(_c, { first }) => ({ keys: BigUint64Array.of(BigInt(first)), weights: Float32Array.of(-1) }), /weights\[0\]/],
  'a weight too few': [(_c, { first }) => ({ keys: BigUint64Array.of(BigInt(first)), weights: new Float32Array(0) }), /1 values/],
  nothing: [() => undefined as never, /expected \{ first, end \}/],
};

for (const [name, [select, expected]] of Object.entries(sets)) {
  test(`checkSelection refuses ${name}`, async () => {
    const error = await checkSelection(selection(select), {}).then(
      () => undefined,
      (e: Error) => e,
    );
    assert.match(String(error?.message), expected);
  });
}

test('checkSelection refuses sets that change from call to call', async () => {
  let calls = 0;
  const select: Parameters<typeof selection>[0] = (_c, { first, end }) => ({ first, end: end - (calls++ % 2) });
  const error = await checkSelection(selection(select), {}).then(
    () => undefined,
    (e: Error) => e,
  );
  assert.match(String(error?.message), /another set the second time/);
});

test('the in-memory samplers prefer fresh keys, and none without weights', async () => {
  const day = 86_400_000;
  const timestamps = BigInt64Array.from({ length: 1000 }, (_, i) => BigInt(i * day));
  const context = memoryContext({ first: 0, end: 1000, timestamps, seed: 5 });
  const mean = (keys: BigUint64Array) => Number(keys.reduce((sum, key) => sum + key, 0n)) / keys.length;
  assert.ok(Math.abs(mean(await context.uniform(0, 1000, 400)) - 500) < 60);
  assert.ok(mean(await context.freshness(0, 1000, 100, 30 * day)) > 900);
  assert.equal(await context.uniform(3, 5, 10), BigUint64Array.of(3n, 4n));
});

test.run();
