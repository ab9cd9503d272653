// Samples from a stream of NATS JetStream, each exactly once: the sequence number of the last message is committed in the transaction of its
// samples, and after a stop, or a lost connection, an ordered consumer begins behind it.
import type { Consumer, JetStreamManager, JsMsg, StreamInfo } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { SluiceError } from '../errors.js';
import type { DatasetSpec } from '../sources/spec.js';
import type { Inlet } from './inlet.js';
import { type Retrying, retried } from './retry.js';
import { isRefusal, parseRows, toBatch } from './rows.js';

export type NatsOptions = Retrying & {
  url: string;
  stream: string;
  subject: string | undefined;
  token: string | undefined;
  /** Messages that are appended together at most. */
  batch: number;
  inlet: Inlet;
  spec: DatasetSpec;
  /** What is stored beside the samples. */
  state(key: string): string | null;
  onConnected(): void;
  onSamples(samples: number): void;
  /** How many messages are still to be taken. */
  onLag(messages: number): void;
};

/** `created` tells a stream from one that took its name later and counts from 1 again. */
type Position = { sequence: number; created: string };

/** Takes messages until the signal aborts. What fails is told and tried again. E_MODULE where the client's packages are missing. */
export async function consumeNats(options: NatsOptions): Promise<void> {
  const client = await loadClient();
  await retried(
    options,
    (onProgress) => consume(client, options, onProgress),
    (error) => asProblem(options, error),
  );
}

type Client = { connect: typeof import('@nats-io/transport-node').connect; jetstream: typeof import('@nats-io/jetstream') };

async function loadClient(): Promise<Client> {
  try {
    const [{ connect }, jetstream] = await Promise.all([import('@nats-io/transport-node'), import('@nats-io/jetstream')]);
    return { connect, jetstream };
  } catch (error) {
    const hint = 'npm install @nats-io/transport-node @nats-io/jetstream';
    throw new SluiceError('E_MODULE', 'serve.nats needs the packages of the NATS client', { hint, cause: error });
  }
}

/** One connection, until it is lost or the signal aborts. */
async function consume({ connect, jetstream }: Client, options: NatsOptions, onProgress: () => void): Promise<void> {
  const { url, token, stream, signal } = options;
  const connection = await connect({ servers: url, name: 'sluice', reconnect: false, ...(token === undefined ? {} : { token }) });
  const close = () => void connection.close().catch(() => {});
  signal.addEventListener('abort', close, { once: true });
  try {
    if (signal.aborted) return;
    const manager = await jetstream.jetstreamManager(connection);
    const { config, created, state } = await streamInfo(manager, stream);
    const key = `nats:${config.name}`;
    const last = positionOf(options.state(key), created, state, options);
    const { subject } = options;
    const consumer = await jetstream.jetstream(connection).consumers.get(stream, {
      deliver_policy: jetstream.DeliverPolicy.StartSequence,
      opt_start_seq: last + 1,
      ...(subject === undefined ? {} : { filter_subjects: subject }),
    });
    options.onConnected();
    await take(
      consumer,
      connection,
      options,
      (sequence) => ({ [key]: JSON.stringify({ sequence, created } satisfies Position) }),
      onProgress,
    );
  } finally {
    signal.removeEventListener('abort', close);
    await connection.close().catch(() => {});
  }
}

async function streamInfo(manager: JetStreamManager, stream: string): Promise<StreamInfo> {
  try {
    return await manager.streams.info(stream);
  } catch (error) {
    throw new SluiceError('E_NOT_FOUND', `NATS: stream ${stream}: ${(error as Error).message}`, { cause: error });
  }
}

/** Sequence number of the last message that was taken. E_CHANGED where the stream is another one, or has lost messages that were not. */
function positionOf(stored: string | null, created: string, { first_seq: first }: StreamInfo['state'], options: NatsOptions): number {
  if (stored === null) return 0;
  const { sequence, created: earlier } = JSON.parse(stored) as Position;
  if (earlier !== created) {
    const hint = 'give the new stream another name, and name it in serve.nats.stream';
    throw new SluiceError('E_CHANGED', `NATS: stream ${options.stream} is another one than that of the samples in the dataset`, { hint });
  }
  if (first > sequence + 1)
    options.onProblem(
      new SluiceError('E_SOURCE', `NATS: stream ${options.stream} no longer holds the messages ${sequence + 1} to ${first - 1}`),
    );
  return sequence;
}

/** Messages go in together as far as they have arrived. */
async function take(
  consumer: Consumer,
  connection: NatsConnection,
  options: NatsOptions,
  entries: (sequence: number) => Record<string, string>,
  onProgress: () => void,
): Promise<void> {
  const messages = await consumer.consume({ max_messages: Math.max(2 * options.batch, 200) });
  void connection.closed().then((error) => messages.stop(error instanceof Error ? error : undefined));
  let waiting: JsMsg[] = [];
  for await (const message of messages) {
    waiting.push(message);
    if (waiting.length < options.batch && message.info.pending > 0) continue;
    await append(waiting, options, entries);
    options.onLag(message.info.pending);
    waiting = [];
    onProgress();
  }
  if (!options.signal.aborted) throw new SluiceError('E_IO', `NATS: the connection to ${options.url} was lost`);
}

/** A message that cannot be taken is told and passed over: those after it must not wait for ever. */
async function append(
  messages: readonly JsMsg[],
  options: NatsOptions,
  entries: (sequence: number) => Record<string, string>,
): Promise<void> {
  const { inlet, spec } = options;
  const last = messages.at(-1)!.seq;
  try {
    const rows = messages.flatMap((message) => rowsOf(message));
    await inlet.append(toBatch(rows, spec), entries(last));
    options.onSamples(rows.length);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    if (messages.length > 1) {
      for (const message of messages) await append([message], options, entries);
      return;
    }
    options.onProblem(
      new SluiceError(error.code, `NATS: message ${last} of ${options.stream} is passed over: ${error.message}`, { cause: error }),
    );
    await inlet.append(toBatch([], spec), entries(last));
  }
}

/** A message is one object, or several as JSON lines. */
function rowsOf(message: JsMsg): Record<string, unknown>[] {
  return parseRows(Buffer.from(message.data), 'lines');
}

function asProblem({ url }: NatsOptions, error: unknown): SluiceError {
  if (error instanceof SluiceError) return error;
  return new SluiceError('E_IO', `NATS at ${url}: ${(error as Error).message}`, { cause: error });
}
