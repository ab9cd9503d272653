// Samples from a topic of Kafka, each exactly once: the next offset of each partition is committed in the transaction of its samples, and after a
// stop, or a lost connection, reading goes on there. The broker keeps nothing of us.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import type { KafkaConfig } from '../config/schema-serve.js';
import { SluiceError } from '../errors.js';
import type { DatasetSpec } from '../sources/spec.js';
import type { Inlet } from './inlet.js';
import type { Address } from './kafka/connection.js';
import { Landing } from './kafka/landing.js';
import { type Position, type ReaderOptions, TopicReader } from './kafka/topic-reader.js';
import { WireError } from './kafka/wire.js';
import { type Retrying, retried } from './retry.js';
import { toBatch } from './rows.js';

export type KafkaOptions = Retrying & {
  config: KafkaConfig;
  /** Of the pipeline file; certificates are looked for there. */
  folder: string;
  password: string | undefined;
  inlet: Inlet;
  spec: DatasetSpec;
  /** What is stored beside the samples. */
  state(key: string): string | null;
  onConnected(url: string): void;
  onSamples(samples: number): void;
  onLag(partition: number, records: number): void;
};

/** Takes records until the signal aborts. What fails is told and tried again. E_NOT_FOUND, E_IO where a certificate cannot be read. */
export async function consumeKafka(options: KafkaOptions): Promise<void> {
  const brokers = options.config.brokers.map(addressOf);
  const security = { tls: tlsOf(options), sasl: saslOf(options) };
  await retried(
    options,
    (onProgress) => consume(options, { brokers, security }, onProgress),
    (error) => asProblem(options, error),
  );
}

function addressOf(broker: string): Address {
  const colon = broker.lastIndexOf(':');
  return { host: broker.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), port: Number(broker.slice(colon + 1)) };
}

function tlsOf({ config: { tls }, folder }: KafkaOptions): ConnectionOptions | undefined {
  if (tls === undefined || tls === false) return undefined;
  if (tls === true) return {};
  const read = (field: string, path: string) => {
    try {
      return readFileSync(resolve(folder, path));
    } catch (error) {
      throw new SluiceError('E_NOT_FOUND', `serve.kafka.tls.${field}: ${(error as Error).message}`, { cause: error });
    }
  };
  return Object.fromEntries(Object.entries(tls).map(([field, path]) => [field, read(field, path)]));
}

function saslOf({ config: { sasl }, password }: KafkaOptions): ReaderOptions['security']['sasl'] {
  return sasl === undefined ? undefined : { mechanism: sasl.mechanism, username: sasl.username, password: password! };
}

/** From a connection until it is lost or the signal aborts. */
async function consume(
  options: KafkaOptions,
  { brokers, security }: Pick<ReaderOptions, 'brokers' | 'security'>,
  onProgress: () => void,
): Promise<void> {
  const { config, inlet, spec, signal, onProblem, onLag } = options;
  const { topic, from, maxBytes, maxWait: maxWaitMs } = config;
  const limits = { maxBytes, maxWaitMs };
  const stored = storedPositions(options);
  const reader = await TopicReader.open({ brokers, security, topic, from, limits, signal, stored, onProblem, onLag });
  try {
    // Where the end of a partition was is decided once.
    if (stored === undefined) await inlet.append(toBatch([], spec), entriesOf(topic, reader, reader.positions()));
    const landing = new Landing(options, (positions) => entriesOf(topic, reader, positions));
    let connected = false;
    for await (const arrived of reader.read()) {
      await landing.take(arrived);
      if (!connected) options.onConnected(`kafka://${config.brokers.join(',')}`);
      connected = true;
      onProgress();
    }
  } finally {
    reader.close();
  }
}

/** `partitions`: those that were seen; whatever of them is not kept is read from its beginning. */
type StoredTopic = { id: string | null; partitions: number };

const topicKey = (topic: string) => `kafka:${topic}`;
const partitionKey = (topic: string, partition: number) => `kafka:${topic}:${partition}`;

/** undefined where nothing was read yet. */
function storedPositions({ config: { topic }, state }: KafkaOptions): ReaderOptions['stored'] {
  const text = state(topicKey(topic));
  if (text === null) return undefined;
  const { id, partitions } = JSON.parse(text) as StoredTopic;
  const positions = new Map<number, Position>();
  for (let index = 0; index < partitions; index++) {
    const position = state(partitionKey(topic, index));
    if (position !== null) positions.set(index, JSON.parse(position) as Position);
  }
  return { id, partitions, positions };
}

function entriesOf(topic: string, { id, partitions }: StoredTopic, positions: ReadonlyMap<number, Position>): Record<string, string> {
  const entries = [...positions].map(([index, position]) => [partitionKey(topic, index), JSON.stringify(position satisfies Position)]);
  return Object.fromEntries([[topicKey(topic), JSON.stringify({ id, partitions } satisfies StoredTopic)], ...entries]);
}

function asProblem({ config: { brokers } }: KafkaOptions, error: unknown): SluiceError {
  if (error instanceof SluiceError) return error;
  const what = error instanceof WireError ? `what a broker sent cannot be read: ${error.message}` : (error as Error).message;
  return new SluiceError('E_IO', `Kafka at ${brokers.join(', ')}: ${what}`, { cause: error });
}
