import { appendFileSync, copyFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Dataset } from '../native/dataset.js';
import { failure, generatedPart, generatedSpec, MemoryStore, temporaryFolder, vega } from './fixture.test.helper.js';
import { ingest, openSource, schemaOf } from './ingest.js';
import type { DatasetSpec } from './spec.js';
import type { Source, SourcePart } from './types.js';

const chunkRows = 65_536;
const spec = generatedSpec;

function sourceOf(...parts: SourcePart[]): Source {
  return { parts: async () => parts };
}

/** What a user sees of a store: every sample, categories as text. */
function contents(store: MemoryStore): string {
  const dictionary = JSON.parse(store.state('dict:c') ?? '[]') as string[];
  return JSON.stringify([
    store.timestamps,
    store.labels,
    store.columns[0],
    store.columns[1],
    store.columns[2]?.map((code) => dictionary[code]),
  ]);
}

/** Sorted, not sorted, empty, small ones, given in another order than that of time. */
const mixedParts = () => [
  generatedPart('late', 20_000, (i) => 2_000_000 + i),
  generatedPart('none', 0, () => 0),
  generatedPart('early', 80_000, (i) => Math.floor(i / 2)),
  generatedPart('shuffled', 70_000, (i) => 1_000_000 + ((i * 7919) % 30_011)),
  generatedPart('between', 10, (i) => 500_000 + i),
];

async function ingested(): Promise<MemoryStore> {
  const store = new MemoryStore();
  await ingest({ store, source: sourceOf(...mixedParts()), spec });
  return store;
}

test('parts go in by their first sample, rows by (time, row), in full chunks', async () => {
  const store = await ingested();
  assert.is(store.size(), 170_010);
  for (let i = 1; i < store.size(); i++) assert.ok(store.timestamps[i - 1]! <= store.timestamps[i]!);
  assert.equal(store.batchRows.slice(0, -1), new Array(2).fill(chunkRows));
  // Rows with equal times keep their order: n is the row.
  const [first, end] = [80_010, 150_010];
  const rows = store.columns[1]!.slice(first, end);
  for (let i = 1; i < rows.length; i++) {
    const same = store.timestamps[first + i] === store.timestamps[first + i - 1];
    assert.ok(!same || rows[i]! > rows[i - 1]!, `row ${i}`);
  }
  assert.is(new Set(rows).size, 70_000);
  assert.equal(
    store.labels.slice(first, end),
    rows.map((n) => n % 2),
  );
});

test('a second run appends nothing and reads nothing', async () => {
  const store = await ingested();
  const before = store.batchRows.length;
  const untouched = mixedParts().map((part) => ({ ...part, read: () => assert.unreachable('read') as never }));
  assert.equal(await ingest({ store, source: sourceOf(...untouched), spec }), { appended: 0, total: 170_010, parts: 5, skipped: 0 });
  assert.is(store.batchRows.length, before);
});

test('a run that is killed at any append goes on with nothing lost and nothing doubled', async () => {
  const whole = await ingested();
  const wanted = contents(whole);
  for (const committed of [false, true]) {
    for (let at = 0; at < whole.batchRows.length; at++) {
      const store = new MemoryStore();
      store.crash = { at, committed };
      try {
        await ingest({ store, source: sourceOf(...mixedParts()), spec });
        assert.unreachable('the crash was not told');
      } catch (error) {
        assert.is((error as Error).message, 'killed');
      }
      store.crash = undefined;
      await ingest({ store, source: sourceOf(...mixedParts()), spec });
      assert.ok(contents(store) === wanted, `append ${at}, ${committed ? 'after' : 'before'} its commit`);
    }
  }
});

test('a run that is killed again and again gets there', async () => {
  const store = new MemoryStore();
  let runs = 0;
  for (let done = false; !done; runs++) {
    assert.ok(runs < 20);
    store.crash = { at: store.batchRows.length + 1, committed: false };
    done = await ingest({ store, source: sourceOf(...mixedParts()), spec }).then(
      () => true,
      () => false,
    );
  }
  assert.ok(runs > 2);
  assert.ok(contents(store) === contents(await ingested()));
});

test('parts that are added later go in after what is there', async () => {
  const store = new MemoryStore();
  const [early, late] = [generatedPart('early', 1000, (i) => i), generatedPart('late', 1000, (i) => 999 + i)];
  assert.equal(await ingest({ store, source: sourceOf(early), spec }), { appended: 1000, total: 1000, parts: 1, skipped: 0 });
  assert.equal(await ingest({ store, source: sourceOf(late, early), spec }), { appended: 1000, total: 2000, parts: 2, skipped: 0 });
});

test('parts whose times overlap, or lie before what is there, are refused before anything is appended', async () => {
  const store = new MemoryStore();
  const [first, second] = [generatedPart('first', 1000, (i) => i), generatedPart('second', 1000, (i) => 500 + i)];
  await failure('E_SOURCE', ['second begins', 'the end of first'], () => ingest({ store, source: sourceOf(second, first), spec }));
  assert.is(store.size(), 0);
  await ingest({ store, source: sourceOf(second), spec });
  await failure('E_SOURCE', ['first begins', 'newest sample'], () => ingest({ store, source: sourceOf(second, first), spec }));
  assert.is(store.size(), 1000);
});

test('an aborted run stops between batches and is continued', async () => {
  const store = new MemoryStore();
  const stop = new AbortController();
  const onProgress = ({ samples }: { samples: number }) => {
    if (samples > 140_000) stop.abort();
  };
  const error = await failure('E_ABORTED', ['stopped'], () =>
    ingest({ store, source: sourceOf(...mixedParts()), spec, signal: stop.signal, onProgress }),
  );
  assert.match(error.hint ?? '', 'again');
  assert.is(store.size(), 2 * chunkRows);
  await ingest({ store, source: sourceOf(...mixedParts()), spec });
  assert.ok(contents(store) === contents(await ingested()));
  await failure('E_ABORTED', ['stopped'], () => ingest({ store, source: sourceOf(...mixedParts()), spec, signal: AbortSignal.abort() }));
});

test('progress is told for each part up to its last row', async () => {
  const last = new Map<string, number>();
  const totals = new Map<string, number | undefined>();
  let samples = 0;
  const onProgress = (p: { part: string; rowsDone: number; rowsTotal?: number; samples: number }) => {
    assert.ok(p.rowsDone > (last.get(p.part) ?? 0) && p.samples > samples);
    last.set(p.part, p.rowsDone);
    totals.set(p.part, p.rowsTotal);
    samples = p.samples;
  };
  await ingest({ store: new MemoryStore(), source: sourceOf(...mixedParts()), spec, onProgress });
  assert.equal(
    [...last],
    [
      ['early', 80_000],
      ['between', 10],
      ['shuffled', 70_000],
      ['late', 20_000],
    ],
  );
  assert.equal([...totals], [...last]);
  assert.is(samples, 170_010);
});

test('the batches before a bad value stay, and the value is told', async () => {
  const store = new MemoryStore();
  const part = generatedPart('bad', 100_000, (i) => i);
  async function* read(columns: string[], startRow: number) {
    for await (const batch of part.read(columns, startRow)) {
      const x = batch.columns['x'] as (number | null)[] | undefined;
      if (x && startRow === 0 && x.length > 0 && (batch.columns['n'] as number[])[0] === 90_000) x[3] = null;
      yield batch;
    }
  }
  await failure('E_NOT_FINITE', ['bad:', "'x'", 'row 90004'], () => ingest({ store, source: sourceOf({ ...part, read }), spec }));
  assert.is(store.size(), chunkRows);
});

test('a part that became another one is refused, one that was only touched is not', async () => {
  const folder = temporaryFolder();
  const file = join(folder, 'a.csv');
  const text = `t,y,x,n,c\n${Array.from({ length: 1000 }, (_, i) => `${i},0,1.5,${i},c\n`).join('')}`;
  writeFileSync(file, text);
  const store = new MemoryStore();
  const run = async () =>
    await ingest({
      store,
      source: await openSource({ ...generatedSpec, id: 'd', source: { format: 'csv', path: ['a.csv'] } }, folder),
      spec,
    });
  await run();
  utimesSync(file, 1, 1);
  assert.is((await run()).appended, 0);
  appendFileSync(file, '1000,0,1.5,1,c\n');
  const error = await failure('E_CHANGED', ['a.csv', '1000 of its 1000 rows'], run);
  assert.match(error.hint ?? '', 'file of their own');
  writeFileSync(file, text.replace('999,0', '999,1'));
  await failure('E_CHANGED', ['a.csv'], run);
  writeFileSync(file, text);
  assert.is((await run()).appended, 0);
});

test('a part that changed half-way is refused', async () => {
  const store = new MemoryStore();
  store.crash = { at: 1, committed: false };
  await ingest({ store, source: sourceOf(generatedPart('a', 200_000, (i) => i)), spec }).catch(() => {});
  assert.is(store.size(), chunkRows);
  const other = generatedPart('a', 200_000, (i) => i, { fingerprint: 'other' });
  await failure('E_CHANGED', ['65536 of its 200000 rows'], () => ingest({ store, source: sourceOf(other), spec }));
});

test('a part that grows while it is read is told', async () => {
  let rows = 1000;
  const read = (columns: string[], startRow: number) => generatedPart('a', rows++, (i) => i).read(columns, startRow);
  await failure('E_CHANGED', ['a:', '1001', '1000'], () =>
    ingest({ store: new MemoryStore(), source: sourceOf({ name: 'a', fingerprint: 'a', read }), spec }),
  );
});

test('what a source of a user does wrong is told', async () => {
  const run = (source: unknown) => ingest({ store: new MemoryStore(), source: source as Source, spec });
  const part = generatedPart('p', 10, (i) => i);
  await failure('E_SOURCE', ['the source', 'no network'], () => run({ parts: () => Promise.reject(new Error('no network')) }));
  await failure('E_SOURCE', ['the source', 'no network'], () =>
    run({
      parts: () => {
        throw new Error('no network');
      },
    }),
  );
  await failure('E_SOURCE', ['a list'], () => run({ parts: async () => 'x' }));
  for (const wrong of [null, {}, { ...part, name: '' }, { ...part, fingerprint: 1 }, { ...part, read: 1 }]) {
    await failure('E_SOURCE', ['part 0'], () => run({ parts: async () => [wrong] }));
  }
  await failure('E_SOURCE', ['two parts', 'p'], () => run(sourceOf(part, part)));
  for (const rows of [-1, 0.5, Number.NaN, '10' as never])
    await failure('E_SOURCE', ['part p', 'rows', String(rows)], () => run(sourceOf({ ...part, rows })));
  const reading = (batch: unknown) =>
    sourceOf({
      ...part,
      read: async function* () {
        yield batch as never;
      },
    });
  for (const batch of [null, 1, {}, { rows: -1, columns: {} }, { rows: 1 }])
    await failure('E_SOURCE', ['p: expected batches'], () => run(reading(batch)));
  await failure('E_SOURCE', ["'t'", 'no such column'], () => run(reading({ rows: 1, columns: {} })));
  const throwing = {
    ...part,
    read: () => {
      throw new Error('disk gone');
    },
  };
  await failure('E_SOURCE', ['p: reading failed', 'disk gone'], () => run(sourceOf(throwing)));
});

test('a damaged record of a part is told', async () => {
  const store = await ingested();
  store.entries.set('part:late', '{"rows":"many"}');
  await failure('E_CORRUPT', ['late'], () => ingest({ store, source: sourceOf(...mixedParts()), spec }));
});

test('long names of parts are kept apart', async () => {
  const store = new MemoryStore();
  const parts = ['a', 'b'].map((letter, k) => ({ ...generatedPart(letter, 10, (i) => 100 * k + i), name: `${letter}${'x'.repeat(5000)}` }));
  assert.is((await ingest({ store, source: sourceOf(...parts), spec })).appended, 20);
  assert.is((await ingest({ store, source: sourceOf(...parts), spec })).appended, 0);
  for (const key of store.entries.keys()) assert.ok(Buffer.byteLength(key) <= 500);
});

const weather: DatasetSpec = {
  time: { column: 'date', unit: 'ms' },
  label: { column: 'weather', classes: ['drizzle', 'rain', 'sun', 'snow', 'fog'] },
  columns: { wind: 'f32', location: 'category' },
};

test('weather.csv into a dataset on disk: two places one after the other, sorted into one order of time', async () => {
  const store = Dataset.create(join(temporaryFolder(), 'weather'), schemaOf(weather));
  const source = await openSource(
    { ...generatedSpec, id: 'weather', source: { format: 'csv', path: [vega('weather.csv')] } },
    temporaryFolder(),
  );
  assert.equal(await ingest({ store, source, spec: weather }), { appended: 2922, total: 2922, parts: 1, skipped: 0 });
  assert.equal(await ingest({ store, source, spec: weather }), { appended: 0, total: 2922, parts: 1, skipped: 0 });
  assert.ok(store.info().sorted);
  assert.is(store.state('dict:location'), '["Seattle","New York"]');
  const snapshot = store.snapshot();
  assert.equal([...snapshot.timestamps(0, 3)], [1_325_376_000_000n, 1_325_376_000_000n, 1_325_462_400_000n]);
  assert.equal([...snapshot.labels(0, 3)], [0, 1, 1]);
  store.close();
});

test('several files by a pattern are one source', async () => {
  const folder = temporaryFolder();
  const source = await openSource({ ...generatedSpec, id: 'weather', source: { format: 'csv', path: [vega('weather.csv')] } }, folder);
  const part = (await source.parts())[0]!;
  assert.is(part.name, vega('weather.csv'));
  const header = 'date,weather,wind,location\n';
  writeFileSync(join(folder, 'b.csv'), `${header}2024-01-01,sun,1,x\n`);
  writeFileSync(join(folder, 'a.csv'), `${header}2024-01-02,rain,2,y\n`);
  copyFileSync(join(folder, 'a.csv'), join(folder, 'a.txt'));
  const store = new MemoryStore();
  const both = await openSource({ ...generatedSpec, id: 'weather', source: { format: 'csv', path: ['*.csv'] } }, folder);
  assert.equal(await ingest({ store, source: both, spec: weather }), { appended: 2, total: 2, parts: 2, skipped: 0 });
  assert.equal(store.labels, [2, 1]);
});

test('a dataset without a source is told', async () => {
  await failure('E_ARGUMENT', ['dataset d'], () => openSource({ ...generatedSpec, id: 'd' }, '.'));
});

test.run();
