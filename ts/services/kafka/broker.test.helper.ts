// A cluster of Kafka brokers within a test: as much of the protocol as a reader needs, and whatever a real cluster does at its worst moments.
import { randomBytes } from 'node:crypto';
import { createServer, type Server, type Socket } from 'node:net';
import { crc32c } from '../../native/checksum.js';
import type { AbortedTransaction } from './record-batch.js';
import { WireReader, WireWriter } from './wire.js';

type Batch = { first: number; last: number; epoch: number; bytes: Buffer };
export type StubPartition = { leader: number; epoch: number; start: number; batches: Batch[]; aborted: AbortedTransaction[] };

const offsetOutOfRange = 1;
const [unknownTopic, notLeader, authenticationFailed, unknownTopicId] = [3, 6, 58, 100];

const varint = (value: number): Buffer => {
  const bytes: number[] = [];
  let zigzag = value < 0 ? -2 * value - 1 : 2 * value;
  for (; zigzag >= 0x80; zigzag = Math.floor(zigzag / 0x80)) bytes.push((zigzag % 0x80) | 0x80);
  return Buffer.from([...bytes, zigzag]);
};

/** A batch of records with these values, null for a tombstone. */
export function encodeBatch(first: number, values: readonly (string | null)[], epoch = 0): Buffer {
  const records = values.map((value, n) => {
    const bytes = value === null ? varint(-1) : Buffer.concat([varint(Buffer.byteLength(value)), Buffer.from(value)]);
    const record = Buffer.concat([Buffer.from([0]), varint(0), varint(n), varint(-1), bytes, varint(0)]);
    return Buffer.concat([varint(record.length), record]);
  });
  const checked = new WireWriter(false).int16(0).int32(values.length - 1);
  checked.int64(0).int64(0).int64(-1).int16(-1).int32(-1).int32(values.length);
  const content = Buffer.concat([checked.bytes, ...records]);
  const head = new WireWriter(false).int64(first).int32(9 + content.length);
  head
    .int32(epoch)
    .int8(2)
    .int32(crc32c(content) | 0);
  return Buffer.concat([head.bytes, content]);
}

export class StubCluster {
  partitions: StubPartition[] = [];
  id = randomBytes(16).toString('hex');
  /** false: there is none. */
  exists = true;
  /** Newest version of Fetch; topics have ids from 13 on. */
  fetchVersion = 13;
  credentials: { username: string; password: string } | undefined;
  /** Answers to Fetch that take this place are spoiled by it. */
  spoil: ((records: Buffer) => Buffer) | undefined;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #waiting = new Set<() => void>();
  ports: number[] = [];

  constructor(readonly topic: string) {}

  static async start(topic: string, partitions = 1, nodes = 1): Promise<StubCluster> {
    const cluster = new StubCluster(topic);
    for (let node = 0; node < nodes; node++) {
      const server = createServer((socket) => cluster.#serve(socket, node));
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      cluster.#servers.push(server);
      cluster.ports.push((server.address() as { port: number }).port);
    }
    for (let n = 0; n < partitions; n++) cluster.addPartition();
    return cluster;
  }

  addPartition(): void {
    this.partitions.push({ leader: this.partitions.length % this.ports.length, epoch: 0, start: 0, batches: [], aborted: [] });
  }

  produce(index: number, values: readonly (string | null)[]): void {
    const partition = this.partitions[index]!;
    const first = endOf(partition);
    this.store(index, first, first + values.length - 1, encodeBatch(first, values, partition.epoch));
  }

  /** A batch as it is. */
  store(index: number, first: number, last: number, bytes: Buffer): void {
    const partition = this.partitions[index]!;
    partition.batches.push({ first, last, epoch: partition.epoch, bytes });
    for (const wake of [...this.#waiting]) wake();
  }

  /** The oldest records go. */
  retain(index: number, start: number): void {
    const partition = this.partitions[index]!;
    partition.start = start;
    partition.batches = partition.batches.filter(({ last }) => last >= start);
  }

  /** Another broker leads, which knows nothing from `end` on. */
  failOver(index: number, leader: number, end = Number.POSITIVE_INFINITY): void {
    const partition = this.partitions[index]!;
    partition.batches = partition.batches.filter(({ last }) => last < end);
    Object.assign(partition, { leader, epoch: partition.epoch + 1 });
  }

  /** Deleted and made anew. */
  recreate(): void {
    this.id = randomBytes(16).toString('hex');
    for (const partition of this.partitions) Object.assign(partition, { epoch: 0, start: 0, batches: [], aborted: [] });
    this.dropConnections();
  }

  dropConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    this.dropConnections();
    await Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }

  #serve(socket: Socket, node: number): void {
    let arrived = Buffer.alloc(0);
    let answered: Promise<void> = Promise.resolve();
    const session = { authenticated: this.credentials === undefined };
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('data', (chunk) => {
      arrived = Buffer.concat([arrived, chunk]);
      while (arrived.length >= 4 && arrived.length >= 4 + arrived.readInt32BE(0)) {
        const request = arrived.subarray(4, 4 + arrived.readInt32BE(0));
        arrived = arrived.subarray(4 + request.length);
        answered = answered.then(async () => {
          const answer = await this.#answer(request, node, session);
          const length = Buffer.alloc(4);
          length.writeInt32BE(answer.length);
          socket.write(Buffer.concat([length, answer]));
        });
        answered.catch(() => socket.destroy());
      }
    });
  }

  async #answer(request: Buffer, node: number, session: { authenticated: boolean }): Promise<Buffer> {
    const [key, version] = [request.readInt16BE(0), request.readInt16BE(2)];
    const flexible = (key === 3 && version >= 9) || (key === 2 && version >= 6) || (key === 1 && version >= 12);
    const r = new WireReader(request, flexible);
    r.skip(8);
    r.skip(r.int16());
    r.tags();
    const w = new WireWriter(flexible).int32(request.readInt32BE(4)).tags();
    if (key === 18) this.#versions(w);
    else if (key === 17) w.int16(0).array(['PLAIN'], (name) => w.string(name));
    else if (key === 36) session.authenticated = this.#authenticate(r, w);
    else if (!session.authenticated) throw new Error('authenticate first');
    else if (key === 3) this.#metadata(w);
    else if (key === 2) this.#listOffsets(r, w);
    else await this.#fetch(r, w, version, node);
    return w.bytes;
  }

  #versions(w: WireWriter): void {
    const versions = [
      [1, 4, this.fetchVersion],
      [2, 1, 6],
      [3, 0, 12],
      [17, 0, 1],
      [18, 0, 4],
      [36, 0, 1],
    ];
    w.int16(0).array(versions, (version) => {
      for (const n of version) w.int16(n);
    });
  }

  #authenticate(r: WireReader, w: WireWriter): boolean {
    const [, username, password] = r.blob().toString().split('\0');
    const right = username === this.credentials?.username && password === this.credentials?.password;
    w.int16(right ? 0 : authenticationFailed)
      .string(right ? '' : 'wrong password')
      .blob(Buffer.alloc(0))
      .int64(0);
    return right;
  }

  #metadata(w: WireWriter): void {
    w.int32(0).array([...this.ports.entries()], ([node, port]) => w.int32(node).string('127.0.0.1').int32(port).string('').tags());
    w.string('stub').int32(0);
    w.array([this.topic], (name) => {
      w.int16(this.exists ? 0 : unknownTopic)
        .string(name)
        .uuid(this.fetchVersion >= 13 ? this.id : '0'.repeat(32))
        .int8(0);
      w.array([...this.partitions.entries()], ([index, { leader, epoch }]) => {
        w.int16(0).int32(index).int32(leader).int32(epoch);
        for (let lists = 0; lists < 3; lists++) w.array([leader], (replica) => w.int32(replica));
        w.tags();
      });
      w.int32(0).tags();
    });
    w.tags();
  }

  #listOffsets(r: WireReader, w: WireWriter): void {
    r.skip(5);
    const asked = r.array(() => {
      r.string();
      const partitions = r.array(() => {
        const index = r.int32();
        r.int32();
        const time = r.int64();
        r.tags();
        return { index, time };
      });
      r.tags();
      return partitions;
    });
    w.int32(0).array(asked, (partitions) => {
      w.string(this.topic).array(partitions, ({ index, time }) => {
        const partition = this.partitions[index]!;
        w.int32(index)
          .int16(0)
          .int64(-1)
          .int64(time === -2 ? partition.start : endOf(partition))
          .int32(partition.epoch)
          .tags();
      });
      w.tags();
    });
    w.tags();
  }

  async #fetch(r: WireReader, w: WireWriter, version: number, node: number): Promise<void> {
    r.int32();
    const waitMs = r.int32();
    r.skip(4 + 4 + 1 + 8);
    let asked = '';
    const [partitions = []] = r.array(() => {
      asked = version >= 13 ? (r.uuid() ?? '') : (r.string() ?? '');
      return r.array(() => {
        const [index] = [r.int32(), r.int32()];
        const offset = r.int64();
        const lastEpoch = r.int32();
        r.skip(8 + 4);
        r.tags();
        return { index, offset, lastEpoch };
      });
    });
    const known = this.exists && asked === (version >= 13 ? this.id : this.topic);
    const ready = () => partitions.some(({ index, offset }) => endOf(this.partitions[index]!) !== offset);
    if (known && !ready()) await this.#produced(waitMs);
    w.int32(0).int16(0).int32(0);
    w.array([asked], (topic) => {
      if (version >= 13) w.uuid(topic);
      else w.string(topic);
      w.array(partitions, (from) => this.#fetched(w, from, node, known));
      w.tags();
    });
    w.tags();
  }

  /** Until something is produced, or so long. */
  async #produced(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      this.#waiting.add(wake);
    });
  }

  #fetched(w: WireWriter, from: { index: number; offset: number; lastEpoch: number }, node: number, known: boolean): void {
    const { index, offset, lastEpoch } = from;
    const partition = this.partitions[index]!;
    const end = endOf(partition);
    const sameHistory = endOf({ ...partition, batches: partition.batches.filter(({ epoch }) => epoch <= lastEpoch) });
    const diverged = lastEpoch >= 0 && lastEpoch < partition.epoch && sameHistory < offset;
    const range = offset < partition.start || (offset > end && !diverged) ? offsetOutOfRange : 0;
    const error = !known ? unknownTopicId : partition.leader !== node ? notLeader : range;
    const wanted = error !== 0 || diverged ? [] : partition.batches.filter(({ last }) => last >= offset).map(({ bytes }) => bytes);
    const records = Buffer.concat(wanted.slice(0, 3));
    w.int32(index).int16(error).int64(end).int64(end).int64(partition.start);
    w.array(partition.aborted, ({ producerId, firstOffset }) => w.int64(producerId).int64(firstOffset).tags());
    w.int32(-1).blob(this.spoil?.(records) ?? records);
    if (!diverged) w.tags();
    else w.uvarint(1).uvarint(0).uvarint(13).int32(lastEpoch).int64(sameHistory).tags();
  }
}

function endOf({ start, batches }: Pick<StubPartition, 'start' | 'batches'>): number {
  return (batches.at(-1)?.last ?? start - 1) + 1;
}
