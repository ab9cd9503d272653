import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { collect, failure, fixturePath, localFile, writeTemporary } from '../fixture.test.helper.js';
import { parquetPart } from '../parquet.js';
import { decompress } from './codecs.js';
import { checkDeltaPacked, checkDeltaText } from './delta.js';
import { decodeHybrid } from './hybrid.js';
import { checkStruct } from './thrift.js';
import { checkFrames } from './zstd.js';

const columns = ['i32', 'i64', 'f64', 'flag', 'text', 'us', 'money'];

function read(bytes: Uint8Array) {
  const path = writeTemporary('bad.parquet', bytes);
  return collect(parquetPart(localFile('bad.parquet', path)), columns);
}

/** Repeatable numbers in [0, 1). */
function randomNumbers(seed: number): () => number {
  return () => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return seed / 2 ** 32;
  };
}

test('a file that is cut off anywhere is told as such', async () => {
  const bytes = readFileSync(fixturePath('snappy.parquet'));
  for (let length = 0; length < bytes.length; length += 197)
    await failure('E_SOURCE', ['bad.parquet'], () => read(bytes.subarray(0, length)));
});

test('a footer that claims more than the file has is refused', async () => {
  const bytes = readFileSync(fixturePath('snappy.parquet'));
  for (const length of [bytes.length - 11, 2 ** 31, 2 ** 32 - 1]) {
    const bad = Buffer.from(bytes);
    bad.writeUInt32LE(length, bad.length - 8);
    await failure('E_SOURCE', ['bad.parquet', String(length)], () => read(bad));
  }
});

test('other magic numbers are refused', async () => {
  const bytes = readFileSync(fixturePath('snappy.parquet'));
  for (const [at, text, told] of [
    [0, 'PARX', 'begin'],
    [-4, 'PARX', 'end'],
    [-4, 'PARE', 'encrypted'],
  ] as const) {
    const bad = Buffer.from(bytes);
    bad.write(text, at < 0 ? bad.length + at : at, 'latin1');
    await failure('E_SOURCE', ['bad.parquet', told], () => read(bad));
  }
});

test('bytes that lie in other places than the footer says are told with column and row group', async () => {
  const bytes = readFileSync(fixturePath('snappy.parquet'));
  const footer = bytes.length - 8 - bytes.readUInt32LE(bytes.length - 8);
  const moved = Buffer.concat([bytes.subarray(0, 4), Buffer.alloc(footer - 4), bytes.subarray(footer)]);
  await failure('E_SOURCE', ['bad.parquet', "column 'i32'", 'row group 0 (rows 0 to 24)'], () => read(moved));
});

// Whatever the bytes are, reading ends soon, with values or with E_SOURCE.
for (const name of ['none', 'plain', 'snappy', 'gzip-v2', 'zstd-v2', 'lz4', 'delta', 'brotli', 'int96']) {
  test(`${name}.parquet with wrong bytes`, async () => {
    const bytes = readFileSync(fixturePath(`${name}.parquet`));
    const random = randomNumbers(name.length);
    let refused = 0;
    for (let round = 0; round < 120; round++) {
      const bad = Buffer.from(bytes);
      for (let changes = 1 + (round % 3); changes > 0; changes--) {
        bad[4 + Math.floor(random() * (bad.length - 12))] = [0, 255, 128, 127, Math.floor(random() * 256)][round % 5]!;
      }
      const values = await read(bad).catch((error: { code?: string }) => {
        assert.is(error.code, 'E_SOURCE', String(error));
        refused++;
      });
      if (values) assert.is(values['i32']!.length, 40);
    }
    assert.ok(refused > 10, `${refused} files were refused`);
  });
}

test('a wrong checksum is told', async () => {
  if (!('crc32' in (await import('node:zlib')))) return;
  const bytes = readFileSync(fixturePath('gzip-v2.parquet'));
  // The first page's data: a gzip member begins with 1f 8b; its time stamp is not looked at when it is decompressed.
  const at = bytes.indexOf(Buffer.of(0x1f, 0x8b, 8)) + 5;
  bytes[at]! ^= 1;
  await failure('E_SOURCE', ['bad.parquet', 'row group 0', 'checksum'], () => read(bytes));
});

test('runs of values never leave their output', () => {
  const out = new Int32Array(5);
  decodeHybrid(Uint8Array.of(0xfe, 0xff, 0xff, 0xff, 0x0f, 7), 0, 6, 3, out);
  assert.equal([...out], [7, 7, 7, 7, 7]);
  decodeHybrid(Uint8Array.of(2, 6, 3, 0b10_001_000, 0b1_100_011, 0), 0, 6, 3, out);
  assert.equal([...out], [6, 0, 1, 6, 1]);
  const bad = [[], [0x80], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], [10], [0, 1, 0, 1], [3], [0xff, 0xff, 0xff, 0xff, 0x0f, 1]];
  for (const bytes of bad) assert.throws(() => decodeHybrid(Uint8Array.from(bytes), 0, bytes.length, 3, out), /run|runs/);
  assert.throws(() => decodeHybrid(Uint8Array.of(10, 1, 1, 1, 1), 0, 5, 32, out), /32 bits/);
});

test('Thrift structures are bounded by their bytes', () => {
  assert.is(checkStruct(Uint8Array.of(0x15, 2, 0x19, 0x25, 2, 4, 0, 99)), 7);
  const list = [0x19, 0xf5, 0xff, 0xff, 0xff, 0x7f, 0];
  const number = [0x16, ...Array(20).fill(0x80), 0, 0];
  const deep = Array(5000).fill(0x1c);
  const text = [0x18, 0xff, 0xff, 0x7f, 1, 0];
  for (const bytes of [list, number, deep, text, [], [0x15], [0x1d, 0]]) assert.throws(() => checkStruct(Uint8Array.from(bytes)));
});

test('delta blocks are bounded by their bytes', () => {
  assert.throws(() => checkDeltaPacked(Uint8Array.of(128, 1, 0, 5, 0), 0, 5), /not possible/);
  assert.throws(() => checkDeltaPacked(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x0f, 1, 5, 0), 0, 5), /not possible/);
  assert.throws(() => checkDeltaPacked(Uint8Array.of(128, 1, 4, 5, 0, 0, 65, 0, 0, 0), 0, 5), /64 bits/);
  assert.throws(() => checkDeltaPacked(Uint8Array.of(128, 1, 4, 5, 0, 0, 8, 0, 0, 0, 1), 0, 5), /cut off/);
  assert.throws(() => checkDeltaPacked(Uint8Array.of(128, 1, 4, 5, ...Array(20).fill(0x80)), 0, 5), /64 bits/);
  assert.is(checkDeltaPacked(Uint8Array.of(128, 1, 4, 1, 0), 0, 1), 5);
  // One text whose length is beyond the page.
  assert.throws(() => checkDeltaText(Uint8Array.of(128, 1, 4, 1, 20, 65), 0, 1, false), /longer/);
  assert.throws(() => checkDeltaText(Uint8Array.of(128, 1, 4, 1, 20, 128, 1, 4, 1, 2, 65), 0, 1, true), /impossible/);
});

test('compressed pages cannot grow beyond what they claim, nor claim beyond what is possible', () => {
  assert.throws(() => decompress('SNAPPY', new Uint8Array(10), 2 ** 29), /claims/);
  assert.throws(() => decompress('ZSTD', new Uint8Array(10), 2 ** 31), /claims/);
  assert.throws(() => decompress('UNCOMPRESSED', new Uint8Array(10), 11), /instead of 11/);
  const magic = [0x28, 0xb5, 0x2f, 0xfd];
  // No content size, a window of 2 GiB; then a content size of 4 GiB; then 1000 blocks that repeat a byte 128 Ki times.
  const window = [...magic, 0, 0xa8, 1, 0, 0];
  const content = [...magic, 0xe0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0];
  const blocks = [...magic, 0, 0x58, ...Array(1000).fill([0x02, 0, 0x10, 7]).flat(), 1, 0, 0];
  for (const bytes of [window, content, blocks]) assert.throws(() => checkFrames(Uint8Array.from(bytes), 1000), /Zstandard/);
  for (const bytes of [
    [1, 2, 3, 4, 5],
    [...magic, 0],
    [...magic, 0, 0, 1, 0],
  ])
    assert.throws(() => checkFrames(Uint8Array.from(bytes), 1000), /Zstandard/);
  assert.not.throws(() => checkFrames(Uint8Array.from([...magic, 0x20, 3, 0x19, 0, 0, 1, 2, 3]), 3));
});

test.run();
