import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import zlib, { gzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MemoryStore, collect, failure, localFile, temporaryFolder } from './fixture.test.helper.js';
import { ingest, openSource } from './ingest.js';
import { jsonlPart } from './jsonl.js';
import { maxLineBytes } from './lines.js';
import type { DatasetSpec, SourceSpec } from './spec.js';

const test = suite('jsonl');
const folder = temporaryFolder();

function partOf(content: string | Uint8Array, name = 'x.jsonl') {
  writeFileSync(join(folder, name), content);
  return jsonlPart(localFile(name, join(folder, name)));
}

const lines = (...objects: unknown[]) => objects.map((object) => `${JSON.stringify(object)}\n`).join('');

const refused = (content: string | Uint8Array, texts: string[], columns = ['a']) =>
  failure('E_SOURCE', ['x.jsonl', ...texts], () => collect(partOf(content), columns));

test('fields, null and missing ones, numbers, truth values and texts', async () => {
  const part = partOf(lines({ a: 1.5, b: 'x', c: true }, { a: null, b: 'é\n', c: false }, { b: '' }));
  const { a, b, c } = await collect(part, ['a', 'b', 'c']);
  assert.equal(a, [1.5, null, null]);
  assert.equal(b, ['x', 'é\n', '']);
  assert.equal(c, [true, false, null]);
});

test('a path leads to what lies deeper, also in lists; a name with dots comes first', async () => {
  const object = { user: { name: 'u', tags: { n: 3 } }, versions: [{ created: 'x' }], 'a.b': 1, a: { b: 2 } };
  const columns = ['user.name', 'user.tags.n', 'versions.0.created', 'a.b'];
  const found = await collect(partOf(lines(object, { user: null, versions: [], a: { b: 4 } })), columns);
  assert.equal(Object.values(found), [
    ['u', null],
    [3, null],
    ['x', null],
    [1, 4],
  ]);
});

test('names of Object.prototype are not fields', async () => {
  await refused(lines({ b: 1 }), ["none of its first 1 rows has a 'constructor'"], ['constructor']);
  const { ['__proto__.x']: x } = await collect(partOf('{"__proto__": {"x": 1}}\n'), ['__proto__.x']);
  assert.equal(x, [1]);
});

test('lists are tensors, row-major', async () => {
  const { a } = await collect(
    partOf(
      lines(
        { a: [1, 2] },
        {
          a: [
            [1, 2],
            [3, 4],
          ],
        },
        { a: [] },
        { a: [[[1], [2]]] },
      ),
    ),
    ['a'],
  );
  assert.equal(a, [[1, 2], [1, 2, 3, 4], [], [1, 2]]);
});

for (const [what, content] of Object.entries({
  'blank lines': '\n{"a":1}\n  \n\t{"a":2}\r\n\n',
  'CR LF': '{"a":1}\r\n{"a":2}\r\n',
  'byte order mark': '\ufeff{"a":1}\n{"a":2}\n',
  'no line end at the end': '{"a":1}\n{"a":2}',
})) {
  for (const packed of [false, true]) {
    test(`${what}${packed ? ', gzip' : ''}`, async () => {
      assert.equal((await collect(partOf(packed ? gzipSync(content) : content), ['a']))['a'], [1, 2]);
    });
  }
}

test('gzip of several members is read as a whole', async () => {
  const content = Buffer.concat([gzipSync('{"a":1}\n{"a"'), gzipSync(':2}\n')]);
  assert.equal((await collect(partOf(content), ['a']))['a'], [1, 2]);
});

test('Zstandard is read where Node can, and told where it cannot', async () => {
  const compress = (zlib as { zstdCompressSync?: (text: string) => Buffer }).zstdCompressSync;
  if (!compress) return void (await refused(Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0, 0, 0]), ['Zstandard', process.versions.node]));
  const skippable = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 1, 2]);
  const many = compress(lines(...Array.from({ length: 50_000 }, (_, i) => ({ a: (i * 7919) % 10007 }))));
  const frames = Buffer.concat([skippable, compress('{"a":1}\n{"a"'), compress(':2}\n'), skippable, many]);
  const { a } = await collect(partOf(frames), ['a']);
  assert.is(a!.length, 50_002);
  assert.equal(a!.slice(0, 5), [1, 2, 0, 7919, 5831]);
  for (const end of [5, 100, many.length >> 1, many.length - 1]) await refused(many.subarray(0, end), []);
  await refused(Buffer.concat([compress('{"a":1}\n'), Buffer.from('more')]), ['not Zstandard']);
  const flipped = Buffer.from(many);
  flipped[flipped.length >> 1]! ^= 0xff;
  await refused(flipped, []);
});

test('what is not JSON is told with its line', async () => {
  await refused('{"a":1}\n\n{"a":2\n', ['x.jsonl:3: the line is not JSON']);
  await refused('{"a":1}\n{"a":2}{"a":3}\n', ['x.jsonl:2: the line is not JSON']);
  await refused('{"a":1}\nnull\n', ['x.jsonl:2: expected a JSON object, got null']);
  await refused('[{"a":1}]\n', ['x.jsonl:1: expected a JSON object, got a list']);
  await refused('5\n', ['x.jsonl:1: expected a JSON object, got a number']);
  await refused(`${'['.repeat(100_000)}\n`, ['x.jsonl:1: the line is not JSON']);
});

test('bytes that are not UTF-8 are told with their line', async () => {
  await refused(Buffer.concat([Buffer.from('{"a":1}\n{"a":"'), Buffer.from([0xe9]), Buffer.from('"}\n')]), ['x.jsonl:2', 'UTF-8']);
  await refused(Buffer.from('{"a":1}\n', 'utf16le'), ['x.jsonl:1']);
});

test('objects, lists of objects and ragged lists are no values', async () => {
  const place = "x.jsonl:2: column 'a': expected a text, a number or a list of numbers, got";
  await refused(lines({ a: 1 }, { a: { b: 1 } }), [`${place} an object`]);
  await refused(lines({ a: 1 }, { a: [{ b: 1 }] }), [`${place} a list of objects`]);
  await refused(lines({ a: 1 }, { a: [[1, 2], [3]] }), [`${place} lists of different lengths`]);
  await refused(lines({ a: 1 }, { a: [1, [2]] }), [`${place} lists of different`]);
  await refused(`{"a":1}\n{"a":${'['.repeat(5000)}1${']'.repeat(5000)}}\n`, [`${place} lists of different lengths or depths`]);
});

test('a field that is nowhere is told with those that there are', async () => {
  const error = await refused(lines({ b: 1, c: 2 }, { d: 1 }), ["none of its first 2 rows has a 'a'"]);
  assert.match(error.hint ?? '', 'b, c');
});

test('a line without an end does not fill the memory, also where it is packed', async () => {
  const bomb = gzipSync(Buffer.concat([Buffer.from('{"a":1}\n'), Buffer.alloc(4 * maxLineBytes, '{')]));
  await refused(bomb, [`x.jsonl:2: the line is longer than ${maxLineBytes} bytes`]);
  const long = 'x'.repeat(2 ** 20);
  assert.equal((await collect(partOf(lines({ a: long }, { a: 1 })), ['a']))['a'], [long, 1]);
});

test('gzip that is cut off or damaged is told, and so is a file that is gone', async () => {
  const whole = gzipSync(lines(...Array.from({ length: 5000 }, (_, i) => ({ a: (i * 7919) % 10007 }))));
  for (const end of [0.999, 0.5, 0.01]) await refused(whole.subarray(0, Math.ceil(whole.length * end)), []);
  const flipped = Buffer.from(whole);
  flipped[flipped.length >> 1]! ^= 0xff;
  await refused(flipped, []);
  const part = jsonlPart(localFile('gone.jsonl', join(folder, 'gone.jsonl')));
  await failure('E_SOURCE', ['gone.jsonl'], () => collect(part, ['a']));
});

test('reading goes on at any row', async () => {
  const rows = 100_000;
  const part = partOf(lines(...Array.from({ length: rows }, (_, i) => ({ n: i, t: 'some text' }))));
  for (const start of [0, 1, 65_536, rows - 1, rows, rows + 5]) {
    const { n } = await collect(part, ['n'], start);
    assert.is(n!.length, Math.max(0, rows - start));
    assert.ok(n!.every((value, i) => value === start + i));
  }
});

async function ingested(content: string, spec: DatasetSpec): Promise<MemoryStore> {
  writeFileSync(join(folder, 'data.jsonl'), content);
  const source: SourceSpec = { format: 'jsonl', path: ['data.jsonl'] };
  const store = new MemoryStore();
  await ingest({ store, source: await openSource({ ...spec, id: 'x', source }, folder), spec });
  return store;
}

test("a file like HuffPost's: newest first, dates, categories and headlines", async () => {
  const row = (category: string, headline: string, date: string) => ({
    category,
    headline,
    authors: '',
    link: 'https://x/y',
    short_description: '',
    date,
  });
  const content = lines(row('CRIME', 'Two', '2018-05-26'), row('WORLD NEWS', 'One', '2018-05-25'));
  const store = await ingested(content, {
    time: { column: 'date', unit: 'ms' },
    label: { column: 'category', classes: ['CRIME', 'WORLD NEWS'] },
    columns: { headline: { bytes: 4 }, authors: 'category' },
  });
  assert.equal(store.timestamps, [Date.UTC(2018, 4, 25), Date.UTC(2018, 4, 26)]);
  assert.equal(store.labels, [1, 0]);
  assert.equal(Buffer.from(store.columns[0]!).toString('latin1'), '\x03\0\0\0One\0\x03\0\0\0Two\0');
});

test("a file like Reddit's: seconds as numbers or text", async () => {
  const content = lines(
    { created_utc: 1514764800, subreddit: 'science', title: 'a', score: 3, author: null },
    { created_utc: '1514764801', subreddit: 'news', title: 'b', score: -1, author: 'x' },
  );
  const store = await ingested(content, {
    time: { column: 'created_utc', unit: 's' },
    label: { column: 'score', atLeast: 1 },
    columns: { subreddit: 'category', title: { tokens: 4, hash: 100 }, author: 'category' },
  });
  assert.equal(store.timestamps, [1514764800000, 1514764801000]);
  assert.equal(store.labels, [1, 0]);
  assert.equal(JSON.parse(store.state('dict:author')!), ['(missing)', 'x']);
});

test('a value that cannot be taken is told with file, column, row and value', async () => {
  const spec: DatasetSpec = { time: { start: 0, step: 1 }, label: { column: 'y' }, columns: { x: 'f32', c: 'category' } };
  const error = (texts: string[], ...rows: unknown[]) =>
    failure('E_SOURCE', ['data.jsonl', ...texts], () => ingested(lines(...rows), spec));
  await error(["column 'c', row 2", 'a text or a number', '2 values'], { x: 1, y: 0, c: 'a' }, { x: 1, y: 0, c: [1, 2] });
  await failure('E_NOT_FINITE', ['data.jsonl', "column 'x', row 2", '"many"'], () =>
    ingested(lines({ x: 1, y: 0, c: 'a' }, { x: 'many', y: 0, c: 'a' }), spec),
  );
});

test.run();
