import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { generatedPart, generatedSpec, MemoryStore } from './fixture.test.helper.js';
import { ingest } from './ingest.js';
import type { DatasetSpec } from './spec.js';
import type { SourcePart } from './types.js';

const test = suite('ingest of frequent values');

const atLeast = 30;
const spec: DatasetSpec = { ...generatedSpec, columns: { n: 'i32', c: { atLeast } } };

/** In order of time and not, so that rows are encoded in the order of the file or all before the first is appended. */
const parts = () => [
  generatedPart('a', 80_000, (i) => Math.floor(i / 2)),
  generatedPart('a', 70_000, (i) => 1_000_000 + ((i * 7919) % 30_011), { name: 'shuffled' }),
  generatedPart('a', 10, (i) => 2_000_000 + i, { name: 'small' }),
  generatedPart('b', 40_000, (i) => 3_000_000 + i),
];

const run = (store: MemoryStore, given: SourcePart[] = parts()) => ingest({ store, source: { parts: async () => given }, spec });

const contents = (store: MemoryStore) => JSON.stringify([store.columns, store.state('dict:c')]);

async function ingested(): Promise<MemoryStore> {
  const store = new MemoryStore();
  await run(store);
  return store;
}

test('a value has a code from the occurrence on that makes it frequent, across parts', async () => {
  const store = await ingested();
  const names = JSON.parse(store.state('dict:c')!) as string[];
  assert.is(names[0], '(rare)');
  assert.is(new Set(names).size, names.length);
  // Rows of the first part are in order of time: n is the row, and every fifth one is null, which is a value like others.
  const seen = new Map<string, number>();
  for (let i = 0; i < 80_000; i++) {
    const row = store.columns[0]![i]!;
    const value = row % 5 === 0 ? '(missing)' : `a ${row % 1000}`;
    const times = (seen.get(value) ?? 0) + 1;
    seen.set(value, times);
    assert.is(names[store.columns[1]![i]!], times >= atLeast ? value : '(rare)', `row ${i}`);
  }
  assert.ok([...seen.values()].every((times) => times >= atLeast));
  // All values of the second part are known from the first.
  assert.ok(store.columns[1]!.slice(80_000, 150_000).every((code) => code > 0));
});

test('a run that is killed at any append ends with the same codes', async () => {
  const whole = await ingested();
  for (const committed of [false, true]) {
    for (let at = 0; at < whole.batchRows.length; at++) {
      const store = new MemoryStore();
      store.crash = { at, committed };
      await run(store).then(
        () => assert.unreachable('expected a crash'),
        () => {},
      );
      store.crash = undefined;
      await run(store);
      assert.ok(contents(store) === contents(whole), `killed at append ${at}`);
    }
  }
});

test('parts that come later go on with the counts', async () => {
  const store = new MemoryStore();
  for (let i = 1; i <= parts().length; i++) await run(store, parts().slice(0, i));
  assert.ok(contents(store) === contents(await ingested()));
});

test('counts lie in the transaction of the last rows of a part', async () => {
  const store = await ingested();
  assert.ok([...store.entries.keys()].some((key) => key.startsWith('seen')));
  assert.ok(Object.hasOwn(JSON.parse(store.state('part:shuffled')!).sizes, 'c'));
});

test.run();
