import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Dataset } from '../native/dataset.js';
import { expectError, frozen } from '../native/fixture.test.helper.js';
import { readTrainset } from '../native/trainset.js';
import type { KeyRange } from '../native/types.js';
import { affectedModels } from './affected.js';
import { parseComparisons, parseKeys } from './condition.js';
import { DeletionWatch } from './deletion-watch.js';
import type { RunEvent } from './events.js';
import { inWorkplace, rows } from './fixture.test.helper.js';
import { foldersOf } from './folders.js';
import { Journal } from './journal.js';
import { lengthOf, uniformLiving } from './living.js';
import { SluiceError } from '../errors.js';

const test = suite('deletion');

const datasetOf = (data: string) => foldersOf(data).dataset('tiny');

async function remove(data: string, ...keys: KeyRange[]): Promise<number> {
  using dataset = Dataset.open(datasetOf(data));
  return await dataset.delete(keys, 'a test');
}

async function keysOfSet(data: string, trainset: string | undefined): Promise<Set<number>> {
  const { keys } = await readTrainset(foldersOf(data).trainsets, trainset ?? '');
  return new Set(Array.from(keys, Number));
}

test('deleted samples are in no set and no window; what was trained before stands, and the run goes on', () =>
  inWorkplace(async ({ run, data, models }) => {
    await run({}, { signal: AbortSignal.timeout(600_000) });
    const before = models(5);
    assert.is(await remove(data, { first: 100, end: 200 }, { first: 671, end: 680 }), 109);
    const resumed = await run();
    assert.is(resumed.status, 'complete');
    assert.equal(models(5), before);
    assert.is(resumed.triggers[0]?.training?.trainsetSize, 672);

    const anew = await run({}, { restart: true });
    assert.is(anew.triggers[0]?.training?.trainsetSize, 671 - 100);
    assert.is(anew.triggers[0]?.evaluation?.[0]?.samples, 672 - 8);
    const keys = await keysOfSet(data, anew.triggers[0]?.training?.trainset);
    for (const key of [100, 150, 199, 671]) assert.not.ok(keys.has(key), `${key}`);
    assert.ok(keys.has(99) && keys.has(200) && keys.has(670));
  }));

test('a run that was cut off goes on after a deletion with its triggers where they were', () =>
  inWorkplace(async ({ run, data }) => {
    const trigger = { 'trigger: { id: time, every: 1w }': 'trigger: { id: amount, samples: 500 }' };
    const controller = new AbortController();
    const stopAt2 = (event: RunEvent) => event.type === 'trained' && event.training.triggerId === 2 && controller.abort();
    await run(trigger, { signal: controller.signal, onEvent: stopAt2 }).catch(() => {});
    await remove(data, { first: 300, end: 400 }, { first: 1700, end: 1750 });
    const result = await run(trigger);
    const keys = result.triggers.map((t) => t.trigger.key);
    assert.equal(keys.slice(0, 3), [499, 999, 1499]);
    assert.is(result.status, 'complete');
    assert.not.ok((await keysOfSet(data, result.triggers[3]?.training?.trainset)).has(1700));
  }));

test('a training whose set loses a sample is done again without it, and the journal tells', () =>
  inWorkplace(async ({ run, data }) => {
    const events: RunEvent[] = [];
    let pending: Promise<unknown> | undefined;
    const result = await run(
      {},
      {
        onEvent(event) {
          events.push(event);
          if (event.type === 'trigger' && event.trigger.id === 1)
            pending = remove(data, { first: 700, end: 710 }, { first: 3000, end: 3001 });
        },
      },
    );
    assert.is(await pending, 11);
    const discarded = events.filter((event) => event.type === 'discarded');
    const training = result.triggers[1]?.training;
    assert.is(training?.trainsetSize, 662);
    // The deletion may have come before the set was selected, or after.
    if (discarded.length > 0) assert.equal(training?.discarded?.length, discarded.length);
    assert.not.ok((await keysOfSet(data, result.triggers[1]?.training?.trainset)).has(705));
    assert.is(result.triggers[4]?.training?.trainsetSize, 671);
  }));

test('a deletion aborts the training of a set that holds the sample, and of no other', () =>
  inWorkplace(async ({ run, data }) => {
    await run();
    const folder = foldersOf(data).trainsets;
    using dataset = Dataset.open(datasetOf(data), { readOnly: true });
    using snapshot = dataset.snapshot();
    const with50 = await frozen(folder, { first: 0, end: 100 }, snapshot);
    const without = await frozen(folder, { first: 100, end: 200 }, snapshot);
    const hit = new DeletionWatch(dataset, folder, with50, dataset.deletionCount());
    const other = new DeletionWatch(dataset, folder, without, dataset.deletionCount());
    const training = setInterval(() => {}, 10_000); // which keeps the process alive, as the watch does not
    const aborted = new Promise((resolve) => hit.signal.addEventListener('abort', resolve));
    await remove(data, { first: 50, end: 51 });
    await aborted;
    clearInterval(training);
    assert.ok(await hit.look());
    assert.not.ok(await other.look());
    assert.not.ok(other.signal.aborted);
    await Promise.all([hit.stop(), other.stop()]);
  }));

test('a set that was frozen but not trained is frozen anew without the sample', () =>
  inWorkplace(async ({ run, data }) => {
    const record = { 'epochs: 3,': 'epochs: 3, record: [loss],' };
    const controller = new AbortController();
    const stop = (event: RunEvent) => event.type === 'trained' && event.training.triggerId === 0 && controller.abort();
    assert.is((await run(record, { signal: controller.signal, onEvent: stop }).catch((e) => e)).code, 'E_ABORTED');
    // As a run leaves it that is cut off between freezing and training.
    const journal = await Journal.open(foldersOf(data).state);
    const dataset = Dataset.open(datasetOf(data), { readOnly: true });
    const trainset = await frozen(foldersOf(data).trainsets, { first: 672, end: 1344 }, dataset.snapshot());
    dataset.close();
    await journal.putSet('tiny', 1, { trainset, size: 672 });
    await journal.close();
    await remove(data, { first: 800, end: 805 });
    const result = await run(record);
    assert.is(result.triggers[1]?.training?.trainsetSize, 667);
  }));

test('models are affected by their set and by the models they began from', () =>
  inWorkplace(async ({ run, data }) => {
    await run();
    const journal = await Journal.open(foldersOf(data).state);
    const affected = (...keys: KeyRange[]) => affectedModels(journal, foldersOf(data), 'tiny', keys);
    try {
      const third = await affected({ first: 1400, end: 1402 });
      assert.equal(
        third.map(({ modelId, samples, parent }) => [modelId, samples, parent]),
        [
          ['tiny/2', 2, null],
          ['tiny/3', 0, 'tiny/2'],
          ['tiny/4', 0, 'tiny/3'],
        ],
      );
      assert.is((await affected({ first: 0, end: 1 })).length, 5);
      assert.is((await affected({ first: 3900, end: 3901 })).length, 0);
    } finally {
      await journal.close();
    }
  }));

test('samplers draw from the living', () =>
  inWorkplace(async ({ run, data }) => {
    await run();
    await remove(data, { first: 10, end: 20 }, { first: 30, end: 31 });
    using dataset = Dataset.open(datasetOf(data), { readOnly: true });
    using snapshot = dataset.snapshot();
    const drawn = Array.from(await uniformLiving(snapshot, 0, 40, 25, 7), Number);
    assert.is(new Set(drawn).size, 25);
    assert.ok(drawn.every((key) => key < 40 && key !== 30 && (key < 10 || key >= 20)));
    assert.is((await uniformLiving(snapshot, 0, 40, 100, 7)).length, 29);
  }));

test('conditions find what they say', () =>
  inWorkplace(async ({ run, data }) => {
    await run();
    await remove(data, { first: 0, end: 4 });
    using dataset = Dataset.open(datasetOf(data), { readOnly: true });
    using snapshot = dataset.snapshot();
    const find = (where: string, keys?: string) =>
      snapshot.findRanges({ where: parseComparisons(where), ...(keys === undefined ? {} : { keys: parseKeys(keys) }) });
    // A quarter of an hour apart from 2020-01-06 on.
    assert.equal(await find('time < 2020-01-06T02:00:00Z'), [{ first: 4, end: 8 }]);
    assert.equal(await find('time >= 2020-01-06T02:00:00Z and time <= 2020-01-06T02:30:00Z'), [{ first: 8, end: 11 }]);
    assert.equal(await find('time = 2020-01-06T02:00:00Z'), [{ first: 8, end: 9 }]);
    assert.equal(await find('key > 10 and key <= 12.5'), [{ first: 11, end: 13 }]);
    assert.equal(await find('key != 12', '10-14,100'), [
      { first: 10, end: 12 },
      { first: 13, end: 15 },
      { first: 100, end: 101 },
    ]);
    const [ones, zeros] = [await find('label = 1'), await find('label < 1')];
    assert.is(lengthOf(ones) + lengthOf(zeros), rows - 4);
    const labels = snapshot.labels(0, rows).slice();
    assert.ok(ones.every(({ first, end }) => labels.subarray(first, end).every((label) => label === 1)));
    for (const wrong of ['time < yesterday', 'time = 2020-13-01', 'labels = 1', 'label', 'label = 1 or key = 2', ''])
      assert.throws(
        () => parseComparisons(wrong),
        (e: unknown) => e instanceof SluiceError && e.code === 'E_USAGE',
        wrong,
      );
    for (const wrong of ['', '5-3', 'x', '1,,2', '-5'])
      assert.throws(
        () => parseKeys(wrong),
        (e: unknown) => e instanceof SluiceError && e.code === 'E_USAGE',
        wrong,
      );
    await expectError('E_ARGUMENT', () => find('label = 1', `${rows}`), /does not exist/);
  }));

test.run();
