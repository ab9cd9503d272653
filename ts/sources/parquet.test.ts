import { readFileSync } from 'node:fs';
import { parquetMetadata, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { collect, failure, fixturePath, localFile, temporaryFolder, vega } from './fixture.test.helper.js';
import { parquetPart } from './parquet.js';
import { resolveFiles } from './paths.js';
import type { ColumnValues } from './types.js';

const rows = 40;
const startMs = Date.UTC(2024, 1, 28, 12, 0, 0, 250);
const hourMs = 3_600_000;

/** What scripts/fixtures/make_parquet.py wrote. */
const expected: Record<string, (i: number) => ColumnValues[number]> = {
  i32: (i) => i * 1000 - 5,
  i64: (i) => (i % 4 === 1 ? null : i * 1e12 - 7),
  big: (i) => 2n ** 62n + BigInt(i),
  u32: (i) => 2 ** 32 - 1 - i,
  f32: (i) => i / 4,
  f64: (i) => (i % 4 === 1 ? null : i / 3),
  text: (i) => (i % 4 === 1 ? null : `value ${i % 7} é`),
  ms: (i) => new Date(startMs + i * hourMs),
  us: (i) => (i % 4 === 1 ? null : new Date(startMs + i * hourMs)),
  ns: (i) => new Date(startMs + i * hourMs),
  day: (i) => new Date(Date.UTC(2024, 1, 28 + i)),
  money: (i) => i + 0.25,
};

const fixture = (name: string) => parquetPart(localFile(name, fixturePath(name)));

for (const name of ['snappy', 'plain', 'none', 'gzip-v2', 'zstd-v2', 'brotli', 'lz4', 'int96', 'delta']) {
  test(`${name}.parquet: every type, with nulls, over two row groups`, async () => {
    const values = await collect(fixture(`${name}.parquet`), [...Object.keys(expected), 'flag']);
    for (const [column, value] of Object.entries(expected)) {
      assert.equal(
        values[column],
        Array.from({ length: rows }, (_, i) => value(i)),
        column,
      );
    }
    // Booleans come as such or as 0 and 1.
    const flags = values['flag']!.map((flag) => (flag === null ? null : Boolean(flag)));
    assert.equal(
      flags,
      Array.from({ length: rows }, (_, i) => (i % 4 === 1 ? null : i % 3 === 0)),
    );
  });

  test(`${name}.parquet: reading starts at any row`, async () => {
    for (const start of [1, 24, 25, 39, 40, 50]) {
      const { i32, us } = await collect(fixture(`${name}.parquet`), ['i32', 'us'], start);
      assert.equal(
        i32,
        Array.from({ length: Math.max(0, rows - start) }, (_, i) => (start + i) * 1000 - 5),
      );
      assert.is(us!.length, i32!.length);
    }
  });
}

test('flat columns are read beside nested ones, which are refused', async () => {
  const { before, after } = await collect(fixture('nested.parquet'), ['before', 'after']);
  assert.equal([before![39], after![39]], [38_995, 'value 4 é']);
  for (const column of ['list', 'struct'])
    await failure('E_SOURCE', ['nested.parquet', `'${column}'`, 'nested'], () => collect(fixture('nested.parquet'), [column]));
  await failure('E_SOURCE', ["'bytes'", 'bytes'], () => collect(fixture('nested.parquet'), ['bytes']));
});

test('a missing column is told with those that are there', async () => {
  const error = await failure('E_SOURCE', ['snappy.parquet', "'i23'"], () => collect(fixture('snappy.parquet'), ['i32', 'i23']));
  assert.match(error.hint ?? '', 'i32, i64');
});

test('the first rows of flights-3m.parquet are what hyparquet reads', async () => {
  const file = (await resolveFiles([vega('flights-3m.parquet')], temporaryFolder()))[0]!;
  const columns = ['date', 'delay', 'distance', 'origin', 'destination'];
  const bytes = readFileSync(file.path);
  const buffer = { byteLength: bytes.length, slice: (start: number, end?: number) => new Uint8Array(bytes.subarray(start, end)).buffer };
  const count = 272_727 + 1000;
  const rowEnd = count;
  const objects = await parquetReadObjects({ file: buffer, metadata: parquetMetadata(bytes), compressors, columns, rowEnd });
  let row = 0;
  for await (const batch of parquetPart(file).read(columns, 0)) {
    for (let i = 0; i < batch.rows && row < count; i++, row++) {
      for (const column of columns) {
        const [got, wanted] = [batch.columns[column]![i], objects[row]![column]];
        if (String(got) !== String(wanted)) assert.unreachable(`row ${row}, ${column}: ${String(got)} instead of ${String(wanted)}`);
      }
    }
    if (row === count) break;
  }
  assert.is(row, count);
});

test.run();
