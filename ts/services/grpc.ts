// The gRPC side of production mode: proto/sluice.proto.
import { createHash, timingSafeEqual } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import type * as Grpc from '@grpc/grpc-js';
import { type ErrorCode, SluiceError } from '../errors.js';
import { cellLength } from '../sources/cells.js';
import { neededColumns } from '../sources/encode.js';
import { isTensor, storedColumn } from '../sources/forms.js';
import type { DatasetSpec } from '../sources/spec.js';
import type { ColumnValues, RecordBatch } from '../sources/types.js';
import type { Arrived, Inlet, Pushed } from './inlet.js';
import { labelColumns, requireLate } from './label-rows.js';
import type { Metrics } from './metrics.js';
import { requestName } from './rows.js';
import type { Identity } from './tls.js';

export type GrpcOptions = {
  host: string;
  port: number;
  token: string | undefined;
  /** Encrypts connections. */
  identity: Identity | undefined;
  maxBytes: number;
  maxPending: number;
  inlet: Inlet;
  spec: DatasetSpec;
  metrics: Metrics;
  /** Why no samples are taken at the moment, or null. */
  notReady(): string | null;
};

type Column = { name: string; numbers: number[]; texts: string[]; binary: Uint8Array[]; tensors: number[] };
/** Of samples or labels. `body`: the message as it was sent. */
type Samples = { columns: Column[]; idempotencyKey: string; body: Buffer };

type Stored = { first: number; count: number; waiting?: boolean; joined?: number };

const protoFile = fileURLToPath(new URL('../../ts/services/proto/sluice.proto', import.meta.url));
/** Batches of one call that wait to be appended; while there are as many the call is not read. */
const batchesUnderWay = 8;
const maxKeyLength = 256;

export class GrpcService {
  readonly #options: GrpcOptions;
  readonly #grpc: typeof Grpc;
  readonly #server: Grpc.Server;
  readonly #tokenHash: Buffer | undefined;
  #port = 0;

  private constructor(options: GrpcOptions, grpc: typeof Grpc, definition: Grpc.ServiceDefinition) {
    this.#options = options;
    this.#grpc = grpc;
    this.#tokenHash = options.token === undefined ? undefined : sha256(options.token);
    this.#server = new grpc.Server({ 'grpc.max_receive_message_length': options.maxBytes });
    this.#server.addService(definition, {
      Push: (call: Grpc.ServerUnaryCall<Samples, Stored>, answer: Grpc.sendUnaryData<Stored>) => {
        this.#push(call.metadata, call.request).then(
          (pushed) => answer(null, pushed),
          (error: unknown) => answer(this.#status(error)),
        );
      },
      PushLabels: (call: Grpc.ServerUnaryCall<Samples, object>, answer: Grpc.sendUnaryData<object>) => {
        this.#pushLabels(call.metadata, call.request).then(
          (found) => answer(null, found),
          (error: unknown) => answer(this.#status(error)),
        );
      },
      PushStream: (call: Grpc.ServerDuplexStream<Samples, Stored>) => this.#stream(call),
    });
  }

  /** Resolves once it listens. E_MODULE where the packages of gRPC are missing; E_IO where the port is taken. */
  static async listen(options: GrpcOptions): Promise<GrpcService> {
    const { grpc, definition } = await load();
    const service = new GrpcService(options, grpc, definition);
    await new Promise<void>((resolve, reject) => {
      const { identity } = options;
      const credentials =
        identity === undefined
          ? grpc.ServerCredentials.createInsecure()
          : grpc.ServerCredentials.createSsl(null, [{ cert_chain: identity.cert, private_key: identity.key }]);
      service.#server.bindAsync(`${options.host}:${options.port}`, credentials, (error, port) => {
        service.#port = port;
        if (error === null) resolve();
        else reject(new SluiceError('E_IO', `serve.grpc: ${options.host}:${options.port}: ${error.message}`, { cause: error }));
      });
    });
    return service;
  }

  get url(): string {
    return `${this.#options.identity === undefined ? 'grpc' : 'grpcs'}://${this.#options.host}:${this.#port}`;
  }

  /** Takes no more calls and waits for those under way, at most `graceMs`. */
  async close(graceMs = 5000): Promise<void> {
    const timer = setTimeout(() => this.#server.forceShutdown(), graceMs);
    await new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()));
    clearTimeout(timer);
  }

  async #push(metadata: Grpc.Metadata, samples: Samples): Promise<Stored> {
    const { spec } = this.#options;
    const pushed = await this.#take(metadata, samples, () => ({ samples: toBatch(samples.columns, neededColumns(spec), spec) }));
    if (!('waiting' in pushed)) return pushed;
    return { first: pushed.waiting, count: pushed.count, waiting: true, joined: pushed.joined };
  }

  async #pushLabels(metadata: Grpc.Metadata, labels: Samples): Promise<object> {
    const { spec } = this.#options;
    return await this.#take(metadata, labels, () => {
      requireLate(spec);
      return { labels: toBatch(labels.columns, labelColumns(spec), spec) };
    });
  }

  /** `rows` is called when the request is a new one. */
  async #take(metadata: Grpc.Metadata, { idempotencyKey: key, body }: Samples, rows: () => Arrived): Promise<Pushed> {
    const { inlet, metrics, maxPending, notReady } = this.#options;
    this.#authorize(metadata);
    const reason = notReady();
    if (reason !== null) throw new SluiceError('E_CLOSED', reason);
    if (inlet.bytes > 0 && inlet.bytes + body.length > maxPending)
      throw new SluiceError('E_MEMORY', 'too many samples are on their way', { hint: 'send them again after a moment' });
    if (key.length > maxKeyLength) throw new SluiceError('E_ARGUMENT', `idempotency_key: expected at most ${maxKeyLength} characters`);
    const { pushed, repeated } = await inlet.push(body, rows, key === '' ? undefined : key);
    if (!repeated) metrics.pushed(pushed.count, body.length);
    return pushed;
  }

  /** Batches are read as they are appended; answers are in their order. What comes behind a batch that cannot be taken is not answered. */
  #stream(call: Grpc.ServerDuplexStream<Samples, Stored>): void {
    let answers: Promise<void> = Promise.resolve();
    let [underWay, ended] = [0, false];
    const fail = (error: unknown) => {
      if (ended) return;
      ended = true;
      // The library ends the call with the status of an error event.
      call.emit('error', this.#status(error));
    };
    call.on('error', () => {
      ended = true;
    });
    call.on('cancelled', () => {
      ended = true;
    });
    call.on('data', (samples: Samples) => {
      if (ended) return;
      if (++underWay >= batchesUnderWay) call.pause();
      const pushed = this.#push(call.metadata, samples);
      pushed.catch(() => {});
      answers = answers.then(async () => {
        const stored = await pushed;
        if (--underWay < batchesUnderWay) call.resume();
        if (!ended) call.write(stored);
      });
      answers.catch(fail);
    });
    call.on('end', () => {
      answers.then(() => {
        if (!ended) call.end();
      }, fail);
    });
  }

  #authorize(metadata: Grpc.Metadata): void {
    if (this.#tokenHash === undefined) return;
    const given = /^Bearer (.+)$/i.exec(String(metadata.get('authorization')[0] ?? ''))?.[1] ?? '';
    if (!timingSafeEqual(sha256(given), this.#tokenHash)) throw new Unauthenticated();
  }

  #status(error: unknown): Partial<Grpc.StatusObject> {
    const { status } = this.#grpc;
    const codes: Partial<Record<ErrorCode, Grpc.status>> = {
      E_SOURCE: status.INVALID_ARGUMENT,
      E_NOT_FINITE: status.INVALID_ARGUMENT,
      E_LABEL_RANGE: status.INVALID_ARGUMENT,
      E_ARGUMENT: status.INVALID_ARGUMENT,
      E_EXISTS: status.ALREADY_EXISTS,
      E_NOT_FOUND: status.NOT_FOUND,
      E_MEMORY: status.RESOURCE_EXHAUSTED,
      E_CLOSED: status.UNAVAILABLE,
      E_IO: status.UNAVAILABLE,
      E_READ_ONLY: status.UNAVAILABLE,
      E_NO_SPACE: status.RESOURCE_EXHAUSTED,
    };
    if (error instanceof Unauthenticated)
      return { code: status.UNAUTHENTICATED, details: 'expected the metadata authorization: Bearer <token>' };
    const code = error instanceof SluiceError ? error.code : 'E_INTERNAL';
    const answered = codes[code] ?? status.INTERNAL;
    if (answered !== status.INVALID_ARGUMENT && answered !== status.ALREADY_EXISTS && answered !== status.NOT_FOUND)
      this.#options.metrics.failed(code);
    return { code: answered, details: `${code}: ${error instanceof Error ? error.message : String(error)}` };
  }
}

class Unauthenticated extends Error {}

async function load(): Promise<{ grpc: typeof Grpc; definition: Grpc.ServiceDefinition }> {
  let grpc: typeof Grpc;
  let loader: typeof import('@grpc/proto-loader');
  try {
    [grpc, loader] = await Promise.all([import('@grpc/grpc-js'), import('@grpc/proto-loader')]);
  } catch (error) {
    throw new SluiceError('E_MODULE', 'serve.grpc needs the packages of gRPC', { hint: 'npm install @grpc/grpc-js', cause: error });
  }
  const loaded = await loader.load(protoFile, { longs: Number, defaults: true, arrays: true });
  const service = loaded['sluice.v1.Arrival'] as unknown as Grpc.ServiceDefinition;
  const methods = Object.entries(service).map(([name, method]) => {
    const requestDeserialize = (body: Buffer) => Object.assign(method.requestDeserialize(body) as object, { body });
    return [name, { ...method, requestDeserialize }];
  });
  return { grpc, definition: Object.fromEntries(methods) as Grpc.ServiceDefinition };
}

/** E_SOURCE where the columns' lengths do not fit together. What is in them is checked when they are encoded. */
function toBatch(columns: readonly Column[], names: readonly string[], spec: DatasetSpec): RecordBatch {
  const needed = new Set(names);
  const batch: RecordBatch = { rows: 0, columns: {} };
  let before: string | undefined;
  for (const { name, ...lists } of columns) {
    if (!needed.has(name)) continue;
    if (Object.hasOwn(batch.columns, name)) throw new SluiceError('E_SOURCE', `${requestName}: two columns are named '${name}'`);
    const { values, rows } = valuesOf(name, lists, spec);
    if (before !== undefined && rows !== batch.rows)
      throw new SluiceError('E_SOURCE', `${requestName}: column '${name}' has ${rows} values, column '${before}' has ${batch.rows}`);
    batch.rows = rows;
    batch.columns[name] = values;
    before = name;
  }
  return batch;
}

function valuesOf(name: string, lists: Omit<Column, 'name'>, spec: DatasetSpec): { values: ColumnValues; rows: number } {
  const [values = [], ...more] = Object.values(lists).filter((list) => list.length > 0);
  if (more.length > 0) throw new SluiceError('E_SOURCE', `${requestName}: column '${name}' has values in several lists`);
  const form = Object.hasOwn(spec.columns, name) ? spec.columns[name] : undefined;
  if (form === undefined || !isTensor(form) || values !== lists.tensors) return { values, rows: values.length };
  const length = cellLength(storedColumn(name, form));
  if (values.length % length !== 0)
    throw new SluiceError('E_SOURCE', `${requestName}: column '${name}': expected a multiple of ${length} values, got ${values.length}`);
  const tensors = Float32Array.from(lists.tensors);
  return { values: length === 1 ? [...tensors].map((value) => [value]) : tensors, rows: values.length / length };
}

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();
