import zlib from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { crc32c } from '../../native/checksum.js';
import { batches, transactions } from './batches.test.helper.js';
import { encodeBatch } from './broker.test.helper.js';
import { decompress } from './compression.js';
import { type AbortedTransaction, batchesOf, endOf, type RecordBatch } from './record-batch.js';

const read = (bytes: Buffer, from = 0, aborted: AbortedTransaction[] = []): RecordBatch[] => [
  ...batchesOf({ partition: 3, from, bytes, aborted }),
];
const fromText = (text: string) => Buffer.from(text, 'base64');
const numbers = (found: RecordBatch[]) =>
  found.flatMap(({ records }) => records.map(({ value }) => value && JSON.parse(value.toString()).n));

/** Gives a batch that was changed its checksum. */
function sealed(batch: Buffer): Buffer {
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17);
  return batch;
}

for (const [name, text] of Object.entries(batches)) {
  test(`a batch of ${name}`, () => {
    const [batch, ...more] = read(fromText(text));
    assert.equal(more, []);
    const expected = Array.from({ length: 20 }, (_, n) => ({
      partition: 3,
      offset: n,
      value: n === 7 ? null : `{"n": ${n}, "text": "record number ${n}"}`,
    }));
    assert.equal(
      batch?.records.map((record) => ({ ...record, value: record.value?.toString() ?? null })),
      expected,
    );
    assert.equal(
      read(fromText(text), 15)[0]?.records.map(({ offset }) => offset),
      [15, 16, 17, 18, 19],
    );
  });
}

test('records of transactions that were aborted are invisible, also those of a producer that aborts and commits by turns', () => {
  const records = fromText(transactions.records);
  assert.equal(numbers(read(records, 0, transactions.aborted)), [0, 1, 2, 3, 4, 5]);
  const other = transactions.aborted.toReversed();
  assert.equal(numbers(read(records, 0, other)), [0, 1, 2, 3, 4, 5]);
  assert.is(endOf({ partition: 0, from: 0, bytes: records, aborted: [] })?.next, 17);
});

test('a batch that is cut off is left for the next answer', () => {
  const bytes = Buffer.concat([encodeBatch(0, ['{"n":0}', '{"n":1}']), encodeBatch(2, ['{"n":2}'], 5)]);
  for (let length = 0; length < bytes.length; length++) {
    const cut = bytes.subarray(0, length);
    const whole = length >= encodeBatch(0, ['{"n":0}', '{"n":1}']).length;
    assert.equal(numbers(read(cut)), whole ? [0, 1] : []);
    assert.is(endOf({ partition: 0, from: 0, bytes: cut, aborted: [] })?.next, whole ? 2 : undefined);
  }
  assert.equal(endOf({ partition: 0, from: 0, bytes, aborted: [] }), { next: 3, epoch: 5 });
});

test('a flipped bit is told', () => {
  const bytes = fromText(batches['librdkafka, lz4']!);
  for (let at = 21; at < bytes.length; at += 5) {
    const flipped = Buffer.from(bytes);
    flipped[at]! ^= 4;
    assert.throws(
      () => read(flipped),
      (error: { code: string }) => error.code === 'E_CORRUPT',
    );
  }
});

test('whatever has a right checksum is read or has a problem, and throws nothing else', () => {
  let seed = 7;
  const random = (n: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return seed % n;
  };
  for (const text of Object.values(batches)) {
    for (let round = 0; round < 300; round++) {
      const bytes = fromText(text);
      for (let n = 0; n < 3; n++) bytes[61 + random(bytes.length - 61)] = random(256);
      if (round % 3 === 0) bytes.writeInt32BE(random(2 ** 31 - 1), 57);
      for (const { records, problem } of read(sealed(bytes)))
        assert.ok(problem !== undefined ? records.length === 0 : records.length <= 20);
    }
  }
});

test('a batch of the time before Kafka 0.11 is told', () => {
  const old = encodeBatch(9, ['{}']);
  old[16] = 1;
  assert.throws(() => read(old), /offset 9 of partition 3 has the old message format 1/);
});

test('few bytes that stand for many are refused', () => {
  const many = Buffer.alloc(2 ** 20);
  const length = Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f]);
  const codecs: [number, Buffer][] = [
    [1, zlib.gzipSync(many)],
    [2, Buffer.concat([length, Buffer.alloc(10)])],
    [3, lz4Zeros(2 ** 20)],
    [4, zstdZeros(2 ** 20)],
  ];
  for (const [codec, data] of codecs) {
    assert.throws(() => decompress(codec, data, 2 ** 16), /it is larger than 65536 bytes when it is decompressed/);
    if (codec !== 2) assert.ok(decompress(codec, data, 2 ** 20).equals(many), String(codec));
  }
  assert.throws(() => decompress(5, many, 10), /compressed in an unknown way \(5\)/);
});

/** A frame of one block: a zero, and copies of it. */
function lz4Zeros(bytes: number): Buffer {
  const extra = bytes - 1 - 1 - 19;
  const lengths = Buffer.concat([Buffer.alloc(Math.floor(extra / 255), 255), Buffer.from([extra % 255])]);
  const block = Buffer.concat([Buffer.from([0x1f, 0, 1, 0]), lengths, Buffer.from([0x10, 0])]);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(block.length);
  return Buffer.concat([Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0]), size, block, Buffer.alloc(4)]);
}

/** A frame of RLE blocks of 128 KiB (RFC 8878, 3.1.1.2.2), with a window of 128 KiB and no size. */
function zstdZeros(bytes: number): Buffer {
  const blocks = Array.from({ length: bytes / 2 ** 17 }, (_, n, last = n === bytes / 2 ** 17 - 1) => {
    const header = Buffer.alloc(4);
    header.writeUIntLE(((2 ** 17) << 3) | (1 << 1) | Number(last), 0, 3);
    return header;
  });
  return Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38]), ...blocks]);
}

test.run();
