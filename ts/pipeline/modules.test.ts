import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SluiceError } from '../errors.js';
import { inWorkplace, type Workplace } from './fixture.test.helper.js';

const test = suite('modules');

const trigger = (body: string) => `
import { defineTrigger } from 'sluice';
import { z } from 'zod';
export default defineTrigger({ id: 'mine', summary: 'A test.', config: z.strictObject({}), create: () => ({ inform(batch) { ${body} } }) });
`;
const selection = (body: string) => `
import { defineSelection } from 'sluice';
import { z } from 'zod';
export default defineSelection({ id: 'mine', summary: 'A test.', config: z.strictObject({}), reset: true, select: async (_, c) => { ${body} } });
`;

const withTrigger = (place: Workplace, body: string) => {
  place.write('trigger.ts', trigger(body));
  return place.run({ '{ id: time, every: 1w }': '{ id: ./trigger.ts }' });
};
const withSelection = (place: Workplace, body: string) => {
  place.write('selection.ts', selection(body));
  return place.run({ 'selection: { id: new-data }': 'selection: { id: ./selection.ts }' });
};

test('a trigger and a selection of the user’s own run like built-in ones', () =>
  inWorkplace(async (place) => {
    const byTrigger = await withTrigger(
      place,
      'return batch.firstKey === 0 ? [{ at: 999, reason: "first", score: 2, threshold: 1 }, { at: 1999, reason: "second" }] : [];',
    );
    assert.equal(
      byTrigger.triggers.map((t) => [t.trigger.key, t.trigger.reason, t.trigger.score]),
      [
        [999, 'first', 2],
        [1999, 'second', undefined],
      ],
    );
  }));

test('weights of a selection reach the training', () =>
  inWorkplace(async (place) => {
    const keys = 'const keys = BigUint64Array.from({ length: c.end - c.first }, (_, i) => BigInt(c.first + i));';
    const plain = await withSelection(place, `${keys} return { keys };`);
    await place.run({}, { restart: true });
    const weighted = await withSelection(
      { ...place, run: (changes) => place.run(changes, { restart: true }) },
      `${keys} return { keys, weights: c.labels(c.first, c.end).map((l) => 1 + 3 * l) };`,
    );
    assert.ok((weighted.triggers[0]?.training?.loss ?? 0) > 1.2 * (plain.triggers[0]?.training?.loss ?? 0));
  }));

test('a trigger that selects nothing is recorded without a training', () =>
  inWorkplace(async (place) => {
    const result = await withSelection(place, 'return { first: c.end, end: c.end };');
    assert.is(result.triggers.length, 5);
    assert.ok(result.triggers.every((t) => t.training === null && t.evaluation === null));
  }));

const badTriggers: Record<string, [body: string, message: RegExp]> = {
  throws: ['throw new Error("boom")', /'mine' failed: boom/],
  'a position behind the batch': ['return [{ at: batch.length, reason: "" }]', /at: expected a position from -1 to \d+, got \d+/],
  'no position': ['return [{ at: NaN, reason: "" }]', /got NaN/],
  'positions that go back': ['return [{ at: 5, reason: "" }, { at: 5, reason: "" }]', /does not lie after the previous trigger/],
  'nothing before the first sample': ['return [{ at: -1, reason: "" }]', /does not lie after/],
  'no reason': ['return [{ at: 3 }]', /reason: expected a string/],
};
for (const [name, [body, message]] of Object.entries(badTriggers)) {
  test(`trigger: ${name} is E_POLICY`, () => inWorkplace((place) => refused(withTrigger(place, body), message)));
}

const badSelections: Record<string, [body: string, message: RegExp]> = {
  rejects: ['throw new Error("boom")', /'mine' failed: boom/],
  'a sample of the future': ['return { keys: BigUint64Array.of(BigInt(c.end)) }', /arrived after the trigger/],
  'a range of the future': ['return { first: 0, end: c.end + 1 }', /expected a range within/],
  'no typed array': ['return { keys: [1, 2] }', /expected a BigUint64Array/],
  'weights of another length': [
    'return { keys: BigUint64Array.of(1n), weights: Float32Array.of(1, 2) }',
    /weights: expected a Float32Array of 1/,
  ],
  nothing: ['', /expected \{ first, end \}/],
};
for (const [name, [body, message]] of Object.entries(badSelections)) {
  test(`selection: ${name} is E_POLICY`, () => inWorkplace((place) => refused(withSelection(place, body), message)));
}

async function refused(run: Promise<unknown>, message: RegExp): Promise<void> {
  const error: unknown = await run.then(
    () => undefined,
    (e: unknown) => e,
  );
  assert.instance(error, SluiceError);
  assert.is((error as SluiceError).code, 'E_POLICY');
  assert.match((error as SluiceError).message, message);
}

test.run();
