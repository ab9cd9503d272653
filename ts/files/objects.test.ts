// Sources in an object store: see ts/s3/server.test.helper.ts for the server.
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inEnvironment, quick, type TestServer, withServer } from '../s3/server.test.helper.js';
import { collect, failure, fixturePath, MemoryStore, temporaryFolder, writeTemporary } from '../sources/fixture.test.helper.js';
import { ingest, openSource } from '../sources/ingest.js';
import { resolveFiles, resolveFolders } from '../sources/paths.js';
import { parquetPart } from '../sources/parquet.js';
import type { DatasetSpec, SourceSpec } from '../sources/spec.js';
import { BlockCache } from './block-cache.js';
import { Stores } from './stores.js';

const test = suite('objects as files');

/** Writes files to a folder and to the bucket. */
async function upload({ s3, bucket }: TestServer, files: Record<string, string | Buffer>): Promise<string> {
  const folder = temporaryFolder();
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
    await s3.put(bucket, `in/${name}`, Buffer.from(content));
  }
  return folder;
}

const storesFor = ({ endpoint }: Pick<TestServer, 'endpoint'>, cache?: { folder: string; bytes: number }) =>
  new Stores({ s3: { endpoint }, cache, patience: quick });

const withBucket = (work: (server: TestServer) => Promise<void>) => withServer((server) => inEnvironment(server.env, () => work(server)));

const spec: DatasetSpec = {
  time: { column: 't', unit: 's' },
  label: { column: 'y' },
  columns: { x: 'f32', c: 'category' },
};
const csv = (first: number, end: number) =>
  `t,y,x,c\n${Array.from({ length: end - first }, (_, i) => `${first + i},${i % 2},${i / 8},k${i % 5}\n`).join('')}`;
const jsonl = (first: number, end: number) =>
  Array.from({ length: end - first }, (_, i) => `${JSON.stringify({ t: first + i, y: i % 2, x: i / 8, c: `k${i % 5}` })}\n`).join('');
const criteoLine = (i: number) =>
  `${i % 2}\t${Array.from({ length: 13 }, (_, n) => i * n).join('\t')}\t${Array(26).fill('0a1b2c3d').join('\t')}\n`;
const featureSpec = `channel_spec: {}
feature_spec: { label: { dtype: bool }, num: { dtype: float32 } }
source_spec:
  train:
    - { features: [label], files: [train/label.bin], type: split_binary }
    - { features: [num], files: [train/num.bin], type: split_binary }
`;

type Case = { files: Record<string, string | Buffer>; source: SourceSpec; spec: DatasetSpec };

const made = { start: 0, step: 1000 };
const cases: Record<string, Case> = {
  csv: {
    files: { 'a.csv': csv(0, 900), 'b.csv.gz': gzipSync(csv(900, 2000)), '.c.csv': 'no' },
    source: { format: 'csv', path: ['in/*csv*'] },
    spec,
  },
  jsonl: {
    files: { 'a.jsonl': jsonl(0, 500), 'b.jsonl': jsonl(500, 900) },
    source: { format: 'jsonl', path: ['in/b.jsonl', 'in/a.jsonl'] },
    spec,
  },
  parquet: {
    files: { 'a.parquet': readFileSync(fixturePath('snappy.parquet')) },
    source: { format: 'parquet', path: ['in/*.parquet'] },
    spec: { time: made, label: { column: 'i32', real: true }, columns: { f64: 'category', text: 'category' } },
  },
  webdataset: {
    files: { 'a.tar.gz': readFileSync(fixturePath('shard-pax.tar.gz')) },
    source: { format: 'webdataset', path: ['in/a.tar.gz'] },
    spec: { time: { column: 'json.time', unit: 's' }, label: { column: 'cls' }, columns: { key: { bytes: 1000 } } },
  },
  binary: {
    files: { 'a.bin': Buffer.from(Array.from({ length: 3000 }, (_, i) => (i % 3 === 0 ? (i / 3) % 2 : i % 251))) },
    source: {
      format: 'binary',
      path: ['in/*.bin'],
      skip: 0,
      fields: [
        { name: 'y', type: 'uint8', shape: [] },
        { name: 'v', type: 'uint8', shape: [2] },
      ],
    },
    spec: { time: made, label: { column: 'y' }, columns: { v: { tensor: 'u8', shape: [2] } } },
  },
  criteo: {
    files: {
      'set/feature_spec.yaml': featureSpec,
      'set/train/label.bin': Buffer.of(0, 1, 1),
      'set/train/num.bin': Buffer.from(Float32Array.of(1, 2, 3).buffer),
    },
    source: { format: 'criteo', path: ['in/set'], splits: ['train'] },
    spec: { time: made, label: { column: 'label' }, columns: { num: 'f32' } },
  },
  'criteo-tsv': {
    files: { day_0: [0, 1, 2].map(criteoLine).join(''), day_1: criteoLine(5) },
    source: { format: 'criteo-tsv', path: ['in/day_*'], start: 0, days: 1, missing: 0 },
    spec: { time: { column: 'time', unit: 'ms' }, label: { column: 'label' }, columns: { I3: 'f32', C1: 'category' } },
  },
};

for (const [format, { files, source, spec: stored }] of Object.entries(cases)) {
  test(`${format}: samples of objects are those of files`, () =>
    withBucket(async (server) => {
      const local = await upload(server, files);
      const ingested = async (paths: SourceSpec, folder: string) => {
        const store = new MemoryStore();
        await ingest({ store, source: await openSource({ ...stored, id: 'd', source: paths }, folder, storesFor(server)), spec: stored });
        return { timestamps: store.timestamps, labels: store.labels, columns: store.columns };
      };
      const path = 'path' in source ? source.path : [];
      const there = { ...source, path: path.map((name) => `s3://${server.bucket}/${name}`) } as SourceSpec;
      const here = { ...source, path: path.map((name) => name.replace('in/', '')) } as SourceSpec;
      const found = await ingested(there, '/');
      assert.ok(found.labels.length > 0);
      assert.equal(found, await ingested(here, local));
    }));
}

test('paths that name nothing, or something else, are told', () =>
  withBucket(async (server) => {
    await upload(server, { 'a.csv': 'x', 'sub/b.csv': 'x' });
    const at = `s3://${server.bucket}`;
    const stores = storesFor(server);
    const files = (...paths: string[]) => resolveFiles(paths, '/', stores);
    await failure('E_NOT_FOUND', [`${at}/in/none.csv`], () => files(`${at}/in/none.csv`));
    await failure('E_NOT_FOUND', [`${at}/in/*.tsv`, 'matches *.tsv'], () => files(`${at}/in/*.tsv`));
    await failure('E_NOT_FOUND', ['no such bucket'], () => files('s3://no-such-bucket-here/*.csv'));
    await failure('E_SOURCE', [`${at}/in/sub`, 'not a file'], () => files(`${at}/in/sub`));
    await failure('E_SOURCE', ['named twice'], () => files(`${at}/in/a.csv`, `${at}/in/*.csv`));
    await failure('E_ARGUMENT', ['last part'], () => files(`${at}/*/a.csv`));
    await failure('E_ARGUMENT', ['s3:///x'], () => files('s3:///x'));
    await failure('E_ARGUMENT', ['..'], () => files(`${at}/in/../a.csv`));
    await failure('E_NOT_FOUND', ['no folder'], () => resolveFolders([`${at}/none`], '/', stores));
    assert.equal(
      (await resolveFolders([`${at}/in/`, `${at}/in/s*`], '/', stores)).map(({ path }) => path),
      [`${at}/in`, `${at}/in/sub`],
    );
    const images = { ...spec, id: 'd', source: { format: 'images', path: [`${at}/in`] } as const };
    await failure('E_ARGUMENT', ['folders of pictures'], () => openSource(images, '/', stores));
  }));

async function streamed(file: { stream(): AsyncIterable<Buffer> }): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of file.stream()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const mebibyte = 2 ** 20;

test('a large object is read ahead in parallel, in order, also where answers break off', () =>
  withBucket(async (server) => {
    const bytes = randomBytes(14 * mebibyte + 12_345);
    await server.s3.put(server.bucket, 'large', bytes);
    let count = 0;
    let [open, most] = [0, 0];
    const proxy = await server.faulty(
      (_, response, pass) => {
        most = Math.max(most, ++open);
        response.on('close', () => open--);
        if (count++ % 5 !== 3) return pass();
        pass((answer) => answer.once('data', () => answer.destroy()));
      },
      { tries: 10 },
    );
    const stores = storesFor(proxy);
    const [file] = await resolveFiles([`s3://${server.bucket}/large`], '/', stores);
    assert.ok((await streamed(file!)).equals(bytes));
    assert.ok(most >= 3, `${most} requests at a time`);
    const opened = await file!.open();
    for (const [at, length] of [
      [0, 10],
      [mebibyte - 5, 10],
      [3 * mebibyte, 9 * mebibyte + 1],
      [bytes.length - 7, 7],
      [5, 0],
    ] as const)
      assert.ok((await opened.read(at, length)).equals(bytes.subarray(at, at + length)), `${at} ${length}`);
    const beyond = await opened.read(bytes.length - 7, 8).catch((error: Error) => error.message);
    assert.match(String(beyond), 'ends at byte');
    await opened.close();
  }));

test('a reader that stops early ends its requests', () =>
  withBucket(async (server) => {
    await server.s3.put(server.bucket, 'large', Buffer.alloc(14 * mebibyte));
    const proxy = await server.faulty((_, _response, pass) => pass());
    const [file] = await resolveFiles([`s3://${server.bucket}/large`], '/', storesFor(proxy));
    for await (const _ of file!.stream()) break;
    assert.ok(proxy.requests.length <= 3, proxy.requests.join('\n'));
  }));

test('what was read lies in the cache: read again without requests, fetched anew where it is damaged or the object is another one', () =>
  withBucket(async (server) => {
    const bytes = randomBytes(3 * mebibyte + 5);
    await server.s3.put(server.bucket, 'x', bytes);
    const proxy = await server.faulty((_, _response, pass) => pass());
    const cache = { folder: join(temporaryFolder(), 'cache'), bytes: 100 * mebibyte };
    const gets = () => proxy.requests.filter((line) => line.startsWith('GET') && line.includes('bytes=')).length;
    const read = async () => await streamed((await resolveFiles([`s3://${server.bucket}/x`], '/', storesFor(proxy, cache)))[0]!);
    assert.ok((await read()).equals(bytes));
    const first = gets();
    assert.ok((await read()).equals(bytes));
    assert.is(gets(), first);
    const stored = readdirSync(cache.folder, { recursive: true, encoding: 'utf8' }).map((name) => join(cache.folder, name));
    const blocks = stored.filter((path) => statSync(path).isFile());
    assert.is(blocks.length, 4);
    truncateSync(blocks[0]!, 1000);
    writeFileSync(blocks[1]!, randomBytes(mebibyte));
    assert.ok((await read()).equals(bytes));
    assert.ok(gets() > first);
    const other = randomBytes(bytes.length);
    await server.s3.put(server.bucket, 'x', other);
    assert.ok((await read()).equals(other));
  }));

test('the cache keeps its bound, and what was used last', async () => {
  const folder = join(temporaryFolder(), 'cache');
  const cache = new BlockCache(folder, 10 * 1100);
  const source = { s3: { config: { endpoint: undefined, region: 'r' } }, bucket: 'b', object: { key: 'k', size: 1, etag: 'e' } } as never;
  for (let i = 0; i < 60; i++) {
    await cache.put(source, i, Buffer.alloc(1000, i));
    // Files written within one tick of the clock would be of the same age.
    const name = readdirSync(folder, { recursive: true, encoding: 'utf8' }).find((path) => path.endsWith(`/${i}`))!;
    utimesSync(join(folder, name), 1000 + i, 1000 + i);
    assert.equal(await cache.get(source, 0), Buffer.alloc(1000, 0));
  }
  const sizes = readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => statSync(join(folder, name)));
  assert.ok(sizes.filter((s) => s.isFile()).reduce((sum, { size }) => sum + size, 0) <= 10 * 1100 + 1032);
  assert.equal(await cache.get(source, 59), Buffer.alloc(1000, 59));
  assert.is(await cache.get(source, 30), undefined);
});

test('a cache that cannot be written is none', async () => {
  const cache = new BlockCache(join(writeTemporary('file', ''), 'cache'), 1000);
  const source = { s3: { config: { endpoint: undefined, region: 'r' } }, bucket: 'b', object: { key: 'k', size: 1, etag: 'e' } } as never;
  await cache.put(source, 0, Buffer.alloc(10));
  assert.is(await cache.get(source, 0), undefined);
});

test('an object that is replaced between two reads of an ingest is told', () =>
  withBucket(async (server) => {
    await server.s3.put(server.bucket, 'a.parquet', readFileSync(fixturePath('snappy.parquet')));
    const [file] = await resolveFiles([`s3://${server.bucket}/a.parquet`], '/', storesFor(server));
    await collect(parquetPart(file!), ['i32']);
    await server.s3.put(server.bucket, 'a.parquet', readFileSync(fixturePath('plain.parquet')));
    await failure('E_CHANGED', [`s3://${server.bucket}/a.parquet`, 'replaced'], () => collect(parquetPart(file!), ['i32']));
  }));

test.run();
