// Whatever the bytes of a source are, reading them ends soon, with rows or with an error that has one of our codes: mutations of sound
// files, the same each time, for a bounded time.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import * as zlib from 'node:zlib';
import sharp from 'sharp';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { errorCodes, SluiceError } from '../errors.js';
import { parseRows, requestName, toBatch } from '../services/rows.js';
import { Dictionary } from './dictionary.js';
import { encode } from './encode.js';
import { timeTaken } from './exif.js';
import { fixturePath, MemoryStore, temporaryFolder } from './fixture.test.helper.js';
import { ingest, openSource } from './ingest.js';
import type { DatasetSpec, SourceSpec } from './spec.js';

const test = suite('mutations');
/** For one format. */
const secondsEach = 0.8;
/** For one input: what takes longer hangs. */
const patienceMs = 10_000;
/** Beyond what the test begins with. */
const mostBytes = 2 ** 29;

type Random = (end: number) => number;

/** Repeatable numbers 0 … end - 1 (xorshift, 32 bits). */
function randomNumbers(seed: number): Random {
  let state = seed;
  return (end) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % end;
  };
}

const pieces = [
  '0',
  '-1',
  '1e999',
  '99999999999999999999',
  'NaN',
  '"',
  "'",
  ',',
  '\n',
  '\r',
  '\0',
  '[',
  '{"',
  '}',
  '../',
  '\ufeff',
  '\ud83d\ude00',
  '\xff',
  '__proto__',
];

/** Some changes of the kinds that a fuzzer makes: bits, bytes, numbers, pieces taken out, put in, doubled, or cut off. */
function mutated(bytes: Buffer, random: Random): Buffer {
  let result = Buffer.from(bytes);
  for (let changes = 1 + random(6); changes > 0; changes--) {
    const at = random(result.length + 1);
    const [before, after] = [result.subarray(0, at), result.subarray(at)];
    const kind = random(8);
    if (kind < 2 && at < result.length) result[at]! ^= 1 << random(8);
    else if (kind === 2 && at < result.length) result[at] = [0, 127, 128, 255, random(256)][random(5)]!;
    else if (kind === 3 && at + 4 <= result.length) result.writeUInt32LE([0, 2 ** 31, 2 ** 32 - 1, random(2 ** 20)][random(4)]!, at);
    else if (kind === 4) result = Buffer.concat([before, after.subarray(random(32))]);
    else if (kind === 5) result = Buffer.concat([before, Buffer.from(pieces[random(pieces.length)]!, 'latin1'), after]);
    else if (kind === 6) result = Buffer.concat([before, after.subarray(0, random(64)), after]);
    else if (random(4) === 0) result = Buffer.from(before);
  }
  return result;
}

/** Runs `work`, which must end in time with a result or with one of our errors. Returns whether it gave a result. */
async function survives(work: () => unknown, what: () => string): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end within ${patienceMs} ms`)), patienceMs);
  });
  try {
    await Promise.race([work(), late]);
    return true;
  } catch (error) {
    const ours = error instanceof SluiceError && Object.hasOwn(errorCodes, error.code) && error.code !== 'E_INTERNAL';
    if (!ours) assert.unreachable(`${error instanceof Error ? error.stack : String(error)}\n${what()}`);
    return false;
  } finally {
    clearTimeout(timer);
  }
}

/** Mutations of `bytes` given to `read` until the time is over; some of them are refused. */
async function runs(seed: number, bytes: Buffer, read: (bytes: Buffer) => unknown, change = mutated, most = mostBytes): Promise<void> {
  const rejections: unknown[] = [];
  const onRejection = (reason: unknown) => rejections.push(reason);
  process.on('unhandledRejection', onRejection);
  const random = randomNumbers(seed);
  const before = process.memoryUsage.rss();
  const end = performance.now() + secondsEach * 1000;
  await read(bytes);
  let refused = 0;
  for (let round = 0; performance.now() < end; round++) {
    const bad = change(bytes, random);
    if (
      !(await survives(
        () => read(bad),
        () => `seed ${seed}, round ${round}: ${bad.toString('base64').slice(0, 20_000)}`,
      ))
    )
      refused++;
  }
  await new Promise(setImmediate);
  process.off('unhandledRejection', onRejection);
  assert.equal(rejections, []);
  assert.ok(refused > 0);
  const more = process.memoryUsage.rss() - before;
  assert.ok(more < most, `${more} bytes more than before`);
}

/** Reads a file of a source as ingestion does. */
function ingesting(name: string, source: SourceSpec, spec: DatasetSpec): (bytes: Buffer) => Promise<void> {
  const folder = temporaryFolder();
  return async (bytes) => {
    writeFileSync(join(folder, name), bytes);
    const store = new MemoryStore();
    await ingest({ store, source: await openSource({ ...spec, id: 'd', source }, folder), spec, folder });
    for (const t of store.timestamps) assert.ok(Number.isSafeInteger(t));
    for (const label of store.labels) assert.ok(label === 0 || label === 1);
  };
}

const table: DatasetSpec = {
  time: { column: 't', unit: 's' },
  label: { column: 'y' },
  columns: { x: 'f32', n: 'i32', c: 'category', v: { tensor: 'f32', shape: [2] }, b: { bytes: 8 }, w: { tokens: 4, hash: 100 } },
};
const rows = Array.from({ length: 30 }, (_, i) => ({
  t: 1000 + i,
  y: i % 2,
  x: i / 8,
  n: -i,
  c: `c${i % 5}`,
  v: [i, -i],
  b: 'bytes',
  w: 'some words',
}));
const lines = Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
const csv = Buffer.from(
  `t,y,x,n,c,v,b,w\n${rows.map(({ v, ...row }) => `${row.t},${row.y},${row.x},${row.n},${row.c},${v.join(' ')},${row.b},"some ""words"""\n`).join('')}`,
);

test('CSV', () => runs(1, csv, ingesting('d.csv', { format: 'csv', path: ['d.csv'] }, table)));
test('JSON lines', () => runs(2, lines, ingesting('d.jsonl', { format: 'jsonl', path: ['d.jsonl'] }, table)));

const zstd = (zlib as { zstdCompressSync?: (bytes: Buffer) => Buffer }).zstdCompressSync;
for (const [name, compress] of [
  ['gz', gzipSync],
  ['zst', zstd],
] as const) {
  if (compress === undefined) continue; // Node 20
  test(`compressed text, .${name}`, () => {
    const read = ingesting(`d.csv.${name}`, { format: 'csv', path: [`d.csv.${name}`] }, table);
    return runs(3, compress(csv), read, (bytes, random) => (random(2) === 0 ? mutated(bytes, random) : compress(mutated(csv, random))));
  });
}

test('fixed-width binary', () => {
  const fields = [
    { name: 'y', type: 'uint8', shape: [] },
    { name: 'x', type: 'float32', shape: [] },
    { name: 'v', type: 'uint8', shape: [2, 3] },
  ];
  const spec: DatasetSpec = {
    time: { start: 0, step: 1 },
    label: { column: 'y' },
    columns: { x: 'f32', v: { tensor: 'u8', shape: [2, 3] } },
  };
  const bytes = Buffer.concat(
    rows.map(({ y, x }) => Buffer.concat([Buffer.of(y), Buffer.from(Float32Array.of(x).buffer), Buffer.alloc(6, 9)])),
  );
  return runs(4, bytes, ingesting('d.bin', { format: 'binary', path: ['d.bin'], fields, skip: 0 } as SourceSpec, spec));
});

/** A member of a tar archive; without a size of its own it has that of its content. */
function member(name: string, content: Buffer, { type = '0', link = '', size = content.length } = {}): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0, 100);
  header.write(
    `${Math.min(size, 8 ** 11 - 1)
      .toString(8)
      .padStart(11, '0')}\0`,
    124,
  );
  header.write(type, 156);
  header.write(link, 157, 100);
  header.write('ustar\x0000', 257, 'latin1');
  return Buffer.concat([sealed(header), content, Buffer.alloc(-content.length & 511)]);
}

function sealed(header: Buffer): Buffer {
  header.fill(' ', 148, 156);
  header.write(
    `${header
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
  );
  return header;
}

const members = rows
  .slice(0, 6)
  .flatMap((row, i) => [
    member(`s/${i}.json`, Buffer.from(JSON.stringify(row))),
    member(`s/${i}.cls`, Buffer.from(`${row.y}`)),
    member(`s/${i}.bin`, Buffer.alloc(5, i)),
  ]);
const shard = Buffer.concat([...members, Buffer.alloc(1024)]);
const shardSpec: DatasetSpec = {
  time: { column: 'json.t', unit: 's' },
  label: { column: 'cls' },
  columns: { bin: { bytes: 8 }, 'json.x': 'f32', key: 'category' },
};
const readShard = ingesting('d.tar', { format: 'webdataset', path: ['d.tar'] }, shardSpec);

test('tar archives, with and without checksums that hold', () =>
  runs(5, shard, readShard, (bytes, random) => {
    const bad = mutated(bytes, random);
    if (random(2) === 0) return bad;
    for (let at = 0; at + 512 <= bad.length; at += 512) {
      if (bad.toString('latin1', at + 257, at + 262) === 'ustar') sealed(bad.subarray(at, at + 512));
    }
    return bad;
  }));

test('members of archives that climb, link or claim too much are refused', async () => {
  const good = Buffer.from('1');
  const bad = [
    member('../up.cls', good),
    member('/etc/root.cls', good),
    member('s/../../up.cls', good),
    member('s/link.cls', Buffer.alloc(0), { type: '2', link: '/etc/passwd' }),
    member('s/hard.cls', Buffer.alloc(0), { type: '1', link: '../up' }),
    member('s/device.cls', Buffer.alloc(0), { type: '3' }),
    member('s/huge.cls', good, { size: 8 ** 11 - 1 }),
  ];
  for (const one of bad)
    assert.not(
      await survives(
        () => readShard(Buffer.concat([...members, one, Buffer.alloc(1024)])),
        () => one.toString('latin1', 0, 100),
      ),
    );
});

test('Parquet', async () => {
  const spec: DatasetSpec = {
    time: { start: 0, step: 1 },
    label: { column: 'money', atLeast: 5 },
    columns: { i32: 'i32', text: 'category', us: 'category' },
  };
  for (const [seed, name] of ['snappy', 'zstd-v2', 'delta'].entries()) {
    const bytes = readFileSync(fixturePath(`${name}.parquet`));
    await runs(6 + seed, bytes, ingesting('d.parquet', { format: 'parquet', path: ['d.parquet'] }, spec));
  }
});

const pictureSpec: DatasetSpec = {
  time: { column: 'json.t', unit: 's' },
  label: { column: 'cls' },
  columns: { image: { image: [4, 4, 3], fit: 'cover', onError: 'fail' } },
};

test('pictures', async () => {
  for (const [seed, format] of (['jpeg', 'png', 'webp'] as const).entries()) {
    const picture = await sharp({ create: { width: 12, height: 9, channels: 3, background: '#a05' } })
      .withExif({ IFD2: { DateTimeOriginal: '2020:01:02 03:04:05' } })
      .toFormat(format)
      .toBuffer();
    const read = ingesting('d.tar', { format: 'webdataset', path: ['d.tar'] }, pictureSpec);
    const shardOf = (bytes: Buffer) =>
      Buffer.concat([
        member('1.json', Buffer.from('{"t":5}')),
        member('1.cls', Buffer.from('1')),
        member(`1.${format === 'jpeg' ? 'jpg' : format}`, bytes),
        Buffer.alloc(1024),
      ]);
    // libvips may decode a picture of 100 million pixels, which a changed header claims, as a whole.
    await runs(10 + seed, picture, (bytes) => read(shardOf(bytes)), mutated, 2 ** 31);
  }
});

test('EXIF', async () => {
  const picture = await sharp({ create: { width: 4, height: 4, channels: 3, background: '#000' } })
    .withExif({ IFD2: { DateTimeOriginal: '2020:01:02 03:04:05' } })
    .jpeg()
    .toBuffer();
  const exif = (await sharp(picture).metadata()).exif!;
  assert.is(timeTaken(exif), '2020-01-02T03:04:05Z');
  const random = randomNumbers(20);
  for (let round = 0; round < 20_000; round++) {
    const found = timeTaken(mutated(exif, random));
    assert.ok(found === undefined || /^\d{4}-\d\d-\d\dT/.test(found));
  }
});

test('bodies of requests', async () => {
  const place = { part: requestName, firstRow: 1 };
  const state = { dictionaries: new Map([['c', new Dictionary('c', () => null)]]), frequencies: new Map(), tokenizers: new Map() };
  const { w: _, ...columns } = table.columns;
  const read = (form: 'lines' | 'array') => (body: Buffer) =>
    encode(toBatch(parseRows(body, form), { ...table, columns }).samples!, { ...table, columns }, state, place);
  await runs(30, lines, read('lines'));
  await runs(31, Buffer.from(JSON.stringify(rows)), read('array'));
});

test('what is compressed to almost nothing does not fill the memory', async () => {
  const before = process.memoryUsage.rss();
  const zeros = Buffer.alloc(2 ** 27);
  const line = ingesting('d.csv.gz', { format: 'csv', path: ['d.csv.gz'] }, table);
  assert.not(
    await survives(
      () => line(gzipSync(Buffer.concat([csv, zeros.fill('x')]), { level: 1 })),
      () => 'a line without an end',
    ),
  );
  const claimed = ingesting('d.jsonl.gz', { format: 'jsonl', path: ['d.jsonl.gz'] }, table);
  assert.not(
    await survives(
      () => claimed(gzipSync(zeros.fill('['), { level: 1 })),
      () => 'nested lists without an end',
    ),
  );
  assert.ok(process.memoryUsage.rss() - before < mostBytes + zeros.length);
});

test.run();
