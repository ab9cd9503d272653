import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { collect, failure, MemoryStore, temporaryFolder } from './fixture.test.helper.js';
import { ingest, openSource } from './ingest.js';
import { murmur3 } from './murmur3.js';
import type { ColumnType, CriteoTsvSource, DatasetSpec } from './spec.js';

const test = suite('criteo-tsv');
const dayMs = 86_400_000;

const integers = (values: (number | '')[]) => [...values, ...new Array(13 - values.length).fill('')];
const hex = (code: number) => code.toString(16).padStart(8, '0');
const line = (label: number | string, numbers: (number | '')[], categories: string[]) =>
  [label, ...integers(numbers), ...categories, ...new Array(26 - categories.length).fill('')].join('\t');

const rows = [
  line(0, [1, -2, '', 1382], ['68fd1e64', '80e26c9b', '', 'ffffffff']),
  line(1, ['', 0, 987654321012345], ['00000000', '', '05db9164']),
];

const spec: DatasetSpec = {
  time: { column: 'time', unit: 'ms' },
  label: { column: 'label' },
  columns: { I1: 'f32', I2: 'i32', C1: 'category', C26: 'category' },
};

async function sourceOf(files: Record<string, string | Uint8Array>, changes: Partial<CriteoTsvSource> = {}, columns = spec.columns) {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'data'));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, 'data', name), content);
  const source: CriteoTsvSource = { format: 'criteo-tsv', path: ['data/*'], start: 0, days: 1, missing: 0, ...changes };
  return await openSource({ ...spec, columns, id: 'x', source }, folder);
}

async function partOf(content: string | Uint8Array, changes: Partial<CriteoTsvSource> = {}) {
  return (await (await sourceOf({ day_0: content }, changes)).parts())[0]!;
}

for (const [what, content] of Object.entries({
  'line ends': `${rows.join('\n')}\n`,
  'no line end at the end': rows.join('\n'),
  'CR LF': `${rows.join('\r\n')}\r\n`,
  'CR at the end': `${rows.join('\r\n')}\r`,
  gzip: gzipSync(`${rows.join('\n')}\n`),
})) {
  test(`all columns, ${what}`, async () => {
    const part = await partOf(content, { missing: -7, start: 5 });
    const found = await collect(part, ['label', 'I1', 'I2', 'I3', 'I4', 'I13', 'C1', 'C2', 'C3', 'C4', 'C26', 'time']);
    assert.equal(found, {
      label: [0, 1],
      I1: [1, -7],
      I2: [-2, 0],
      I3: [-7, 987654321012345],
      I4: [1382, -7],
      I13: [-7, -7],
      C1: ['68fd1e64', '00000000'],
      C2: ['80e26c9b', null],
      C3: [null, '05db9164'],
      C4: ['ffffffff', null],
      C26: [null, null],
      time: [new Date(5), new Date(5 + dayMs / 2)],
    });
  });
}

test('reading goes on at any row, for any columns', async () => {
  const count = 140_000;
  const content = Array.from({ length: count }, (_, i) => `${line(i % 2, [i], [hex(i % 70_001)])}\n`).join('');
  const part = await partOf(gzipSync(content, { level: 1 }));
  for (const start of [0, 1, 65_535, 65_536, count - 1, count, count + 5]) {
    const { I1, C1, time } = await collect(part, ['C1', 'I1', 'time'], start);
    assert.is(I1!.length, Math.max(0, count - start));
    assert.ok(I1!.every((value, i) => value === start + i));
    assert.ok(C1!.every((value, i) => value === hex((start + i) % 70_001)));
    assert.ok(time!.every((value, i) => (value as Date).getTime() === Math.floor(((start + i) / count) * dayMs)));
    assert.equal((await collect(part, ['time'], start))['time'], time);
    assert.is((await collect(part, ['label'], start))['label']!.length, I1!.length);
  }
});

test('an empty file has no rows', async () => {
  assert.equal(await collect(await partOf(''), ['time', 'label']), { time: [], label: [] });
});

const place = '/day_0:2';
const bad: [string, string, string[]][] = [
  ['too few fields', rows[0]!.replace(/\t[^\t]*$/, ''), ['expected 40 fields, got 39']],
  ['too many fields', `${rows[0]}\t`, ['expected 40 fields, got 41']],
  ['no label', rows[0]!.replace(/^0/, ''), ['column \'label\': expected a whole number, got ""']],
  ['an empty line', '', ['expected 40 fields, got 1']],
  ['a number with a point', rows[0]!.replace('1382', '13.8'), ["column 'I4'", '"13.8"']],
  ['a sign without a number', rows[0]!.replace('-2', '-'), ["column 'I2'", '"-"']],
  ['a number of twenty digits', rows[0]!.replace('1382', '1'.repeat(20)), ["column 'I4'"]],
  ['seven digits', rows[0]!.replace('80e26c9b', '80e26c9'), ["column 'C2'", '"80e26c9"']],
  ['nine digits', rows[0]!.replace('80e26c9b', '80e26c9b0'), ["column 'C2'", '"80e26c9b0"']],
  ['upper case', rows[0]!.replace('80e26c9b', '80E26C9B'), ["column 'C2'", '"80E26C9B"']],
  ['other letters', rows[0]!.replace('80e26c9b', '80e26c9g'), ["column 'C2'"]],
  ['bytes that are no text', rows[0]!.replace('80e26c9b', '80e26c9\0'), ["column 'C2'"]],
  ['a last category that is too long', rows[0]! + '0'.repeat(9), ["column 'C26'"]],
  ['CR within a line', rows[0]!.replace('\t', '\r\t'), ["column 'label'"]],
];
for (const [what, content, texts] of bad) {
  test(`${what} is told with file, line, column and value`, async () => {
    for (const after of ['\n', `\n${rows[1]}\n`, '']) {
      if (content === '' && after === '') continue;
      const part = await partOf(`${rows[0]}\n${content}${after}`);
      await failure('E_SOURCE', [place, ...texts], () => collect(part, ['I1']));
    }
  });
}

test('a file that is cut off within a line, or within gzip, is told', async () => {
  const whole = `${rows.join('\n')}\n`;
  for (let end = rows[0]!.length + 2; end < whole.length - 1; end++) {
    const part = await partOf(whole.slice(0, end));
    await failure('E_SOURCE', [place], () => collect(part, ['I1']));
  }
  const packed = gzipSync(whole);
  for (const end of [15, packed.length >> 1, packed.length - 1]) {
    const part = await partOf(packed.subarray(0, end));
    await failure('E_SOURCE', ['day_0'], () => collect(part, ['I1', 'time']));
  }
});

test('columns of this format only', async () => {
  const error = await failure('E_SOURCE', ['day_0', "no column 'I14'"], async () => collect(await partOf(rows[0]!), ['I14']));
  assert.match(error.hint ?? '', 'C26');
});

test('days follow from names, in the order of their numbers, or from the list', async () => {
  const one = (label: number) => `${line(label, [], [])}\n`;
  const files = { 'day_10.gz': gzipSync(one(0)), day_2: one(1), 'day_9.tsv': one(0) + one(1) };
  const store = new MemoryStore();
  await ingest({ store, source: await sourceOf(files), spec });
  assert.equal(store.timestamps, [2 * dayMs, 9 * dayMs, 9.5 * dayMs, 10 * dayMs]);
  assert.equal(store.labels, [1, 0, 1, 0]);
  const listed = new MemoryStore();
  const start = Date.UTC(2014, 0, 1);
  await ingest({ store: listed, source: await sourceOf({ 'a.txt': one(0) + one(1), 'b.txt': one(1) }, { start, days: 7 }), spec });
  assert.equal(listed.timestamps, [start, start + 3.5 * dayMs, start + 7 * dayMs]);
  const twice = await sourceOf({ day_3: one(0), 'day_03.gz': one(1) });
  await failure('E_SOURCE', ['day_3', 'day_03.gz'], () => twice.parts());
});

test('another start is noticed, a copied file is the same', async () => {
  const store = new MemoryStore();
  const content = `${rows.join('\n')}\n`;
  await ingest({ store, source: await sourceOf({ day_0: content }), spec });
  const parts = await (await sourceOf({ day_0: content })).parts();
  const named = parts.map((part) => ({ ...part, name: 'data/day_0', fingerprint: 'touched' }));
  assert.is((await ingest({ store, source: { parts: async () => named }, spec })).appended, 0);
  await failure('E_CHANGED', ['day_0'], async () => ingest({ store, source: await sourceOf({ day_0: content }, { start: 1 }), spec }));
});

test('hashed, frequent and plain categories of one file', async () => {
  const codes = ['00000001', '00000002', '00000001', '00000001', ''];
  const forms: Record<string, ColumnType> = { I1: 'f32', C1: 'category', C2: { hash: 1000 }, C3: { atLeast: 3 } };
  const content = codes.map((code, i) => `${line(i % 2, [i], [code, code, code])}\n`).join('');
  const store = new MemoryStore();
  await ingest({ store, source: await sourceOf({ day_0: content }, {}, forms), spec: { ...spec, columns: forms } });
  assert.equal(store.columns[1], [0, 1, 0, 0, 2]);
  assert.equal(
    store.columns[2],
    codes.map((code) => murmur3(code || '(missing)') % 1000),
  );
  assert.equal(store.columns[3], [0, 0, 0, 1, 0]);
  assert.equal(JSON.parse(store.state('dict:C3')!), ['(rare)', '00000001']);
});

test.run();
