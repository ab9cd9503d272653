// Batches of records, format 2 (kafka.apache.org/documentation/#recordbatch): a header, and records that are compressed together. Only records of
// transactions that were committed are given.
import { SluiceError } from '../../errors.js';
import { crc32c } from '../../native/checksum.js';
import { decompress } from './compression.js';
import { WireError } from './wire.js';

export type Record = { partition: number; offset: number /** null: a tombstone. */; value: Buffer | null };

export type AbortedTransaction = { producerId: number; firstOffset: number };

/** Of one partition, as a broker gave them; the last batch may be cut off. */
export type Fetched = {
  partition: number /** Earlier records are not asked for. */;
  from: number;
  bytes: Buffer;
  aborted: readonly AbortedTransaction[];
};

/** One batch. `problem`: its records cannot be read, and are none. */
export type RecordBatch = { firstOffset: number; lastOffset: number; leaderEpoch: number; records: Record[]; problem?: string };

/** A batch may have so many bytes when it is decompressed. */
const maxBatchBytes = 2 ** 28;
const headerBytes = 61;
/** Of the header, before what its length counts. */
const lengthEnd = 12;
const [crcAt, attributesAt] = [17, 21];
const transactional = 0x10;
const control = 0x20;

type Header = {
  firstOffset: number;
  lastOffset: number;
  leaderEpoch: number;
  attributes: number;
  producerId: number;
  count: number;
  /** Place of the next batch. */
  end: number;
};

/** Where reading goes on behind the complete batches, and the epoch of the leader that wrote the last; undefined where there is none. */
export function endOf({ bytes, partition }: Fetched): { next: number; epoch: number } | undefined {
  let last: Header | undefined;
  for (const header of headers(bytes, partition)) last = header;
  return last && { next: last.lastOffset + 1, epoch: last.leaderEpoch };
}

/** Batch by batch, decompressed as it is asked for. E_CORRUPT where a checksum does not fit; E_SOURCE for the format of Kafka before 0.11. */
export function* batchesOf(fetched: Fetched): Generator<RecordBatch> {
  const { partition, bytes, from } = fetched;
  const visible = visibility(fetched.aborted);
  let start = 0;
  for (const header of headers(bytes, partition)) {
    const batch = bytes.subarray(start, header.end);
    start = header.end;
    if (crc32c(batch.subarray(attributesAt)) !== batch.readUInt32BE(crcAt)) {
      const where = `offset ${header.firstOffset} of partition ${partition}`;
      throw new SluiceError('E_CORRUPT', `Kafka: the batch of records at ${where} fails its checksum`);
    }
    const { firstOffset, lastOffset, leaderEpoch } = header;
    if (!visible(header, batch)) continue;
    try {
      yield { firstOffset, lastOffset, leaderEpoch, records: records(header, batch, partition, from) };
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      yield { firstOffset: Math.max(from, firstOffset), lastOffset, leaderEpoch, records: [], problem: error.message };
    }
  }
}

function* headers(bytes: Buffer, partition: number): Generator<Header> {
  for (let at = 0; at + headerBytes <= bytes.length; ) {
    const firstOffset = int64(bytes, at);
    const end = at + lengthEnd + bytes.readInt32BE(at + 8);
    const magic = bytes[at + 16]!;
    if (magic !== 2) {
      const hint = 'rewrite the topic with a producer of Kafka 0.11 or newer';
      throw new SluiceError('E_SOURCE', `Kafka: offset ${firstOffset} of partition ${partition} has the old message format ${magic}`, {
        hint,
      });
    }
    if (end < at + headerBytes) throw new WireError('a batch of records has a wrong length');
    if (end > bytes.length) return;
    yield {
      firstOffset,
      end,
      leaderEpoch: bytes.readInt32BE(at + 12),
      attributes: bytes.readInt16BE(at + attributesAt),
      lastOffset: firstOffset + bytes.readInt32BE(at + 23),
      producerId: int64(bytes, at + 43),
      count: bytes.readInt32BE(at + 57),
    };
    at = end;
  }
}

/** Whether the records of a batch are those of a user, and were committed. To be asked batch by batch. */
function visibility(aborted: readonly AbortedTransaction[]): (header: Header, batch: Buffer) => boolean {
  const begun = aborted.toSorted((a, b) => b.firstOffset - a.firstOffset);
  const aborting = new Set<number>();
  return ({ attributes, producerId, lastOffset }, batch) => {
    while (begun.length > 0 && begun.at(-1)!.firstOffset <= lastOffset) aborting.add(begun.pop()!.producerId);
    if ((attributes & control) !== 0) {
      if (isAbort(batch)) aborting.delete(producerId);
      return false;
    }
    return (attributes & transactional) === 0 || !aborting.has(producerId);
  };
}

/** The marker at the end of a transaction: its key has a version and a type, 0 for one that was aborted. Markers are never compressed. */
function isAbort(batch: Buffer): boolean {
  const cursor = { at: headerBytes };
  varint(batch, cursor);
  cursor.at++;
  varint(batch, cursor);
  varint(batch, cursor);
  const key = varint(batch, cursor);
  return key >= 4 && cursor.at + 4 <= batch.length && batch.readInt16BE(cursor.at + 2) === 0;
}

function records({ attributes, firstOffset, lastOffset, count }: Header, batch: Buffer, partition: number, from: number): Record[] {
  const content = decompress(attributes & 7, batch.subarray(headerBytes), maxBatchBytes);
  const found: Record[] = [];
  const cursor = { at: 0 };
  for (let n = 0; n < count; n++) {
    const length = varint(content, cursor);
    const end = cursor.at + length;
    if (length < 0 || end > content.length) throw new WireError('a record is cut off');
    cursor.at++; // attributes
    varint(content, cursor); // time
    const offset = firstOffset + varint(content, cursor);
    const keyBytes = varint(content, cursor);
    cursor.at += Math.max(0, keyBytes);
    const valueBytes = varint(content, cursor);
    const valueEnd = cursor.at + Math.max(0, valueBytes);
    if (valueEnd > end || offset > lastOffset) throw new WireError('a record has wrong lengths');
    if (offset >= from) found.push({ partition, offset, value: valueBytes < 0 ? null : content.subarray(cursor.at, valueEnd) });
    cursor.at = end;
  }
  return found;
}

const int64 = (bytes: Buffer, at: number) => bytes.readInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4);

/** Signed, at most 64 bits: zigzag. */
function varint(bytes: Buffer, cursor: { at: number }): number {
  let value = 0;
  for (let shift = 0; shift < 70; shift += 7) {
    const byte = bytes[cursor.at++];
    if (byte === undefined) throw new WireError('a record is cut off');
    value = shift < 21 ? value | ((byte & 0x7f) << shift) : value + (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }
  throw new WireError('a number in a record is too long');
}
