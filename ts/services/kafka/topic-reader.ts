// Reads all partitions of a topic, each from its own offset, without a consumer group: one request at a time to each broker, which asks for
// all partitions that the broker leads, and is sent while the records of the one before are dealt with.
import { setMaxListeners } from 'node:events';
import { SluiceError } from '../../errors.js';
import { delay } from '../../pipeline/delay.js';
import { type Address, Connection, type Security } from './connection.js';
import { errors, nameOf, passes } from './error-names.js';
import { endOf, type Fetched } from './record-batch.js';
import * as requests from './requests.js';

/** Of a partition: the next offset, and the epoch of the leader that wrote the record before; -1: unknown. */
export type Position = { offset: number; epoch: number };

/** As it is kept: `id` tells a topic from one that took its name later; null: brokers gave none. */
export type StoredTopic = { id: string | null; partitions: number; positions: ReadonlyMap<number, Position> };

export type ReaderOptions = {
  brokers: readonly Address[];
  security: Security;
  topic: string;
  from: 'earliest' | 'latest';
  limits: requests.FetchLimits;
  signal: AbortSignal;
  /** What is kept of the topic; undefined where it was never read. */
  stored: StoredTopic | undefined;
  onProblem(error: SluiceError): void;
  /** How many records of a partition, or of their places, are still to be read. */
  onLag(partition: number, records: number): void;
};

/** Records of one partition, as they came; reading goes on at `end`. */
export type Arrived = { fetched: Fetched; end: Position; highWatermark: number };

type Partition = Position & { index: number; leader: number; leaderEpoch: number; busy: boolean; failures: number };

/** A request that has ended: without an answer there is an error. */
type Flight = { leader: number; partitions: Partition[]; answer?: Awaited<ReturnType<typeof requests.fetchRecords>>; error?: unknown };

const refreshMs = 30_000;
const pauseMs = 250;
/** What fails so often one after the other is told. */
const failuresUntilTold = 20;

export class TopicReader {
  readonly #options: ReaderOptions;
  readonly #connections = new Map<string, Promise<Connection>>();
  /** In the order in which they are asked for: those that gave records go to the end. */
  readonly #partitions = new Map<number, Partition>();
  /** Ends the connections, of which there are as many as brokers. */
  readonly #end = new AbortController();
  #nodes = new Map<number, Address>();
  #refreshAt = 0;
  /** Of the topic. */
  id: string | null;
  /** Partitions that the topic had at some time. */
  partitions: number;

  private constructor(options: ReaderOptions) {
    this.#options = options;
    this.id = options.stored?.id ?? null;
    this.partitions = options.stored?.partitions ?? 0;
    setMaxListeners(0, this.#end.signal);
    options.signal.addEventListener('abort', this.close, { once: true });
    if (options.signal.aborted) this.close();
  }

  /** E_IO, E_NOT_FOUND; E_CHANGED where the topic is another one than that of the positions. */
  static async open(options: ReaderOptions): Promise<TopicReader> {
    const reader = new TopicReader(options);
    try {
      await reader.#refresh();
      return reader;
    } catch (error) {
      reader.close();
      throw error;
    }
  }

  /** Where each partition is read on. */
  positions(): Map<number, Position> {
    return new Map([...this.#partitions].map(([index, { offset, epoch }]) => [index, { offset, epoch }]));
  }

  /** What a broker gives, also nothing for a while, until the signal aborts or something fails: E_IO, E_NOT_FOUND, E_CHANGED, E_SOURCE. */
  async *read(): AsyncGenerator<Arrived[]> {
    const { signal } = this.#options;
    const flights = new Map<number, Promise<Flight>>();
    while (!signal.aborted) {
      if (performance.now() >= this.#refreshAt) await this.#refresh();
      this.#send(flights);
      if (flights.size === 0) {
        await delay(pauseMs, signal);
        continue;
      }
      const flight = await Promise.race(flights.values());
      flights.delete(flight.leader);
      for (const partition of flight.partitions) partition.busy = false;
      if (flight.answer === undefined) throw flight.error;
      if (flight.answer.error !== 0) throw this.#refused(flight.answer.error);
      const arrived: Arrived[] = [];
      for (const found of flight.answer.partitions) arrived.push(...(await this.#take(found)));
      if (performance.now() < this.#refreshAt) this.#send(flights);
      yield arrived;
    }
  }

  readonly close = (): void => {
    this.#options.signal.removeEventListener('abort', this.close);
    this.#end.abort();
  };

  /** A request to each broker that has none under way. */
  #send(flights: Map<number, Promise<Flight>>): void {
    const asked = new Map<number, Partition[]>();
    for (const partition of this.#partitions.values()) {
      const { leader, busy } = partition;
      if (leader < 0 || busy || flights.has(leader)) continue;
      asked.set(leader, [...(asked.get(leader) ?? []), partition]);
    }
    for (const [leader, partitions] of asked) {
      for (const partition of partitions) partition.busy = true;
      flights.set(leader, this.#fetch(leader, partitions));
    }
  }

  async #fetch(leader: number, partitions: Partition[]): Promise<Flight> {
    try {
      const { topic, limits } = this.#options;
      const from = partitions.map(({ index, leaderEpoch, offset, epoch }) => ({ index, epoch: leaderEpoch, offset, lastEpoch: epoch }));
      const answer = await requests.fetchRecords(await this.#leading(leader), { name: topic, id: this.id }, from, limits);
      return { leader, partitions, answer };
    } catch (error) {
      return { leader, partitions, error };
    }
  }

  /** Moves the position of a partition on. */
  async #take({ index, error, highWatermark, aborted, records, diverged }: requests.FetchedPartition): Promise<Arrived[]> {
    const { topic, onLag } = this.#options;
    const partition = this.#partitions.get(index);
    if (partition === undefined) return [];
    if (error === errors.offsetOutOfRange) await this.#moveIntoRange(partition);
    else if (passes(error)) await this.#pass(partition, error);
    else if (error !== 0) throw this.#refused(error);
    if (error !== 0) return [];
    partition.failures = 0;
    if (diverged !== undefined && diverged.end >= 0 && diverged.end < partition.offset) {
      const lost = `${diverged.end} to ${partition.offset - 1}`;
      this.#tell('E_SOURCE', `partition ${index} of ${topic} was cut back: brokers lost the offsets ${lost}, which were taken before`);
      Object.assign(partition, { offset: diverged.end, epoch: diverged.epoch });
      return [];
    }
    const fetched: Fetched = { partition: index, from: partition.offset, bytes: records, aborted };
    const end = endOf(fetched);
    if (end === undefined || end.next <= partition.offset) {
      onLag(index, Math.max(0, highWatermark - partition.offset));
      return [];
    }
    Object.assign(partition, { offset: end.next, epoch: end.epoch });
    this.#partitions.delete(index);
    this.#partitions.set(index, partition);
    return [{ fetched, end: { offset: end.next, epoch: end.epoch }, highWatermark }];
  }

  /** The broker no longer has what comes next, or never had it. */
  async #moveIntoRange(partition: Partition): Promise<void> {
    const { topic } = this.#options;
    const { index, offset } = partition;
    const first = await this.#offsetOf(partition, requests.earliest);
    if (offset < first) {
      this.#tell('E_SOURCE', `partition ${index} of ${topic} no longer holds the offsets ${offset} to ${first - 1} (${first - offset})`);
      Object.assign(partition, { offset: first, epoch: -1 });
      return;
    }
    const end = await this.#offsetOf(partition, requests.latest);
    if (offset > end)
      throw this.#another(`partition ${index} ends at offset ${end}, and ${offset} was reached before: it was made anew, or lost records`);
  }

  /** Another broker leads, or soon will. */
  async #pass(partition: Partition, error: number): Promise<void> {
    if (++partition.failures === failuresUntilTold)
      this.#tell('E_IO', `partition ${partition.index} of ${this.#options.topic}: ${nameOf(error)}`);
    await delay(pauseMs, this.#options.signal);
    this.#refreshAt = 0;
  }

  /** Asks who leads which partition; partitions that are new are read from their beginning. */
  async #refresh(): Promise<void> {
    const { topic, from } = this.#options;
    const { id, partitions, nodes, error } = await this.#metadata();
    if (error === errors.unknownTopic) throw new SluiceError('E_NOT_FOUND', `Kafka: there is no topic ${topic}`);
    if (error !== 0) throw this.#refused(error);
    if (this.id !== null && id !== this.id) throw this.#another('it was made anew');
    if (partitions.length < this.partitions) throw this.#another(`it had ${this.partitions} partitions, and has ${partitions.length}`);
    const fresh = this.partitions === 0;
    this.id = id;
    this.partitions = partitions.length;
    this.#nodes = nodes;
    for (const found of partitions) await this.#follow(found, fresh && from === 'latest' ? requests.latest : requests.earliest);
    const led = partitions.every(({ leader }) => leader >= 0);
    this.#refreshAt = performance.now() + (led ? refreshMs : 4 * pauseMs);
  }

  async #follow({ index, leader, epoch: leaderEpoch }: requests.PartitionMetadata, start: -1 | -2): Promise<void> {
    const { stored, topic } = this.#options;
    const known = this.#partitions.get(index);
    const partition = known ?? {
      offset: -1,
      epoch: -1,
      ...stored?.positions.get(index),
      index,
      leader,
      leaderEpoch,
      busy: false,
      failures: 0,
    };
    if (leader < 0 && (known === undefined || known.leader >= 0)) {
      // Its beginning at the end cannot be told later any more.
      if (partition.offset < 0 && start === requests.latest) throw this.#refused(errors.leaderNotAvailable);
      this.#tell('E_IO', `partition ${index} of ${topic} has no leader; its records wait`);
    }
    Object.assign(partition, { leader, leaderEpoch });
    if (partition.offset < 0 && leader < 0) return;
    if (partition.offset < 0) partition.offset = await this.#offsetOf(partition, start);
    this.#partitions.set(index, partition);
  }

  async #offsetOf(partition: Partition, time: -1 | -2): Promise<number> {
    const { index, leader, leaderEpoch: epoch } = partition;
    for (let tries = 1; ; tries++) {
      const connection = await this.#leading(leader);
      const [found] = await requests.listOffsets(connection, this.#options.topic, [{ index, epoch }], time);
      const code = found?.error ?? errors.unknownTopic;
      if (code === 0) return found!.offset;
      if (!passes(code) || tries === failuresUntilTold || this.#options.signal.aborted) throw this.#refused(code);
      await delay(pauseMs, this.#options.signal);
    }
  }

  /** From the first broker that answers, of those that the pipeline names and those that they named. */
  async #metadata(): Promise<requests.TopicMetadata> {
    let failure: unknown;
    for (const address of [...this.#options.brokers, ...this.#nodes.values()]) {
      try {
        return await requests.metadata(await this.#connect(address), this.#options.topic);
      } catch (error) {
        failure ??= error;
      }
      if (this.#options.signal.aborted) break;
    }
    throw failure;
  }

  async #leading(leader: number): Promise<Connection> {
    const address = this.#nodes.get(leader);
    if (address === undefined) throw new SluiceError('E_IO', `Kafka: brokers name ${leader} as a leader, but not its address`);
    return await this.#connect(address);
  }

  #connect(address: Address): Promise<Connection> {
    const name = `${address.host}:${address.port}`;
    const open = () => Connection.open(address, this.#options.security, this.#end.signal);
    const usable = (connection: Connection) => {
      if (connection.usable) return connection;
      connection.close();
      return open();
    };
    const connection = this.#connections.get(name)?.then(usable, open) ?? open();
    this.#connections.set(name, connection);
    return connection;
  }

  #another(why: string): SluiceError {
    const hint = 'give the new topic another name, and name it in serve.kafka.topic';
    const message = `Kafka: topic ${this.#options.topic} is another one than that of the samples in the dataset: ${why}`;
    return new SluiceError('E_CHANGED', message, { hint });
  }

  #refused(code: number): SluiceError {
    return new SluiceError('E_IO', `Kafka: topic ${this.#options.topic}: ${nameOf(code)}`);
  }

  #tell(code: 'E_SOURCE' | 'E_IO', what: string): void {
    this.#options.onProblem(new SluiceError(code, `Kafka: ${what}`));
  }
}
