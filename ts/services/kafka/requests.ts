// The three requests of a consumer without a group: who leads which partition, where logs begin and end, records.
// Layouts: kafka.apache.org/protocol#protocol_api_keys.
import type { Address, Api, Connection } from './connection.js';
import type { AbortedTransaction } from './record-batch.js';

const metadataApi: Api = { key: 3, name: 'Metadata', least: 4, most: 12, flexible: 9 };
const listOffsetsApi: Api = { key: 2, name: 'ListOffsets', least: 2, most: 6, flexible: 6 };
/** From version 13 on topics are named by their ids. */
const fetchApi: Api = { key: 1, name: 'Fetch', least: 4, most: 13, flexible: 12 };
const fetchByName = { ...fetchApi, most: 12 };

const readCommitted = 1;

/** `epoch`: how often the leader changed; -1: unknown. `leader`: -1 while there is none. */
export type PartitionMetadata = { error: number; index: number; leader: number; epoch: number };

/** `id`: null where brokers give topics none (before Kafka 2.8). */
export type TopicMetadata = { error: number; id: string | null; partitions: PartitionMetadata[]; nodes: Map<number, Address> };

export async function metadata(connection: Connection, topic: string): Promise<TopicMetadata> {
  const version = connection.version(metadataApi);
  const a = await connection.request(metadataApi, version, (body) => {
    body.array([topic], (name) => {
      if (version >= 10) body.uuid('0'.repeat(32));
      body.string(name).tags();
    });
    body.int8(0); // It is not to be made.
    if (version >= 8 && version <= 10) body.int8(0);
    if (version >= 8) body.int8(0);
    body.tags();
  });
  a.int32(); // Throttled for, ms.
  const nodes = a.array(() => {
    const node = [a.int32(), { host: a.string() ?? '', port: a.int32() }] as const;
    a.string();
    a.tags();
    return node;
  });
  a.string();
  a.int32();
  const [found] = a.array(() => {
    const error = a.int16();
    a.string();
    const id = version >= 10 ? a.uuid() : null;
    a.int8();
    const partitions = a.array(() => {
      const partition = { error: a.int16(), index: a.int32(), leader: a.int32(), epoch: version >= 7 ? a.int32() : -1 };
      for (let lists = version >= 5 ? 3 : 2; lists > 0; lists--) a.array(() => a.int32());
      a.tags();
      return partition;
    });
    if (version >= 8) a.int32();
    a.tags();
    return { error, id, partitions };
  });
  return { error: found?.error ?? 3, id: found?.id ?? null, partitions: found?.partitions ?? [], nodes: new Map(nodes) };
}

export const earliest = -2;
/** Behind the last record that a reader of committed records sees. */
export const latest = -1;

/** Offsets by partition, or an error's code in place of one. */
export async function listOffsets(
  connection: Connection,
  topic: string,
  partitions: readonly { index: number; epoch: number }[],
  time: typeof earliest | typeof latest,
): Promise<{ index: number; error: number; offset: number }[]> {
  const version = connection.version(listOffsetsApi);
  const a = await connection.request(listOffsetsApi, version, (body) => {
    body.int32(-1).int8(readCommitted);
    body.array([topic], (name) => {
      body.string(name);
      body.array(partitions, ({ index, epoch }) => {
        body.int32(index);
        if (version >= 4) body.int32(epoch);
        body.int64(time).tags();
      });
      body.tags();
    });
    body.tags();
  });
  a.int32();
  return a
    .array(() => {
      a.string();
      const found = a.array(() => {
        const [index, error] = [a.int32(), a.int16()];
        a.int64();
        const offset = a.int64();
        if (version >= 4) a.int32();
        a.tags();
        return { index, error, offset };
      });
      a.tags();
      return found;
    })
    .flat();
}

/** `epoch`: of the leader now; `lastEpoch`: of the leader that wrote the record before `offset`; -1: unknown. */
export type FetchFrom = { index: number; epoch: number; offset: number; lastEpoch: number };

export type FetchLimits = { maxWaitMs: number; maxBytes: number };

/** `diverged`: the log has another history than what was read; both agree before this offset. */
export type FetchedPartition = {
  index: number;
  error: number;
  highWatermark: number;
  aborted: AbortedTransaction[];
  records: Buffer;
  diverged: { epoch: number; end: number } | undefined;
};

/** Only records of committed transactions: those of open ones are not given, those of aborted ones are listed. */
export async function fetchRecords(
  connection: Connection,
  { name, id }: { name: string; id: string | null },
  partitions: readonly FetchFrom[],
  { maxWaitMs, maxBytes }: FetchLimits,
): Promise<{ error: number; partitions: FetchedPartition[] }> {
  const api = id === null ? fetchByName : fetchApi;
  const version = connection.version(api);
  const a = await connection.request(
    api,
    version,
    (body) => {
      body.int32(-1).int32(maxWaitMs).int32(1).int32(maxBytes).int8(readCommitted);
      if (version >= 7) body.int32(0).int32(-1); // No session.
      body.array([name], () => {
        if (version >= 13) body.uuid(id!);
        else body.string(name);
        body.array(partitions, ({ index, epoch, offset, lastEpoch }) => {
          body.int32(index);
          if (version >= 9) body.int32(epoch);
          body.int64(offset);
          if (version >= 12) body.int32(lastEpoch);
          if (version >= 5) body.int64(-1);
          body.int32(maxBytes).tags();
        });
        body.tags();
      });
      if (version >= 7) body.array([], () => {});
      if (version >= 11) body.string('');
      body.tags();
    },
    maxWaitMs,
  );
  a.int32();
  const error = version >= 7 ? a.int16() : 0;
  if (version >= 7) a.int32();
  const found = a.array(() => {
    if (version >= 13) a.uuid();
    else a.string();
    const partitions = a.array((): FetchedPartition => {
      const [index, error, highWatermark] = [a.int32(), a.int16(), a.int64()];
      a.int64();
      if (version >= 5) a.int64();
      const aborted = a.array(() => {
        const transaction = { producerId: a.int64(), firstOffset: a.int64() };
        a.tags();
        return transaction;
      });
      if (version >= 11) a.int32();
      const records = a.blob();
      let diverged: FetchedPartition['diverged'];
      a.tags((tag, field) => {
        if (tag === 0) diverged = { epoch: field.int32(), end: field.int64() };
      });
      return { index, error, highWatermark, aborted, records, diverged };
    });
    a.tags();
    return partitions;
  });
  return { error, partitions: found.flat() };
}
