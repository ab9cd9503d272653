// `sluice serve`: opens what production mode needs, lets samples in, and closes it all again.
import type { LoadedPipeline } from '../config/parse.js';
import { SluiceError } from '../errors.js';
import type { Dataset } from '../native/dataset.js';
import { claim } from '../pipeline/claim.js';
import type { WhatWaits } from '../pipeline/delete-waiting.js';
import type { OnEvent } from '../pipeline/events.js';
import { type Folders, foldersOf } from '../pipeline/folders.js';
import { openDataset, storesOf } from '../pipeline/ingest.js';
import { Journal } from '../pipeline/journal.js';
import { Live } from '../pipeline/live.js';
import { parserPool } from '../pipeline/parsers.js';
import { Steps } from '../pipeline/steps.js';
import { tokenizerEntries } from '../sources/coders.js';
import { openSource } from '../sources/open.js';
import { SharedStore } from '../sources/shared-store.js';
import { Administration } from './administration.js';
import { ControlService } from './control.js';
import { GrpcService } from './grpc.js';
import { HttpService } from './http.js';
import { Inlet } from './inlet.js';
import { Late } from './late.js';
import { Metrics } from './metrics.js';
import { consumeKafka } from './kafka.js';
import { consumeNats } from './nats.js';
import { PushKeys } from './push-keys.js';
import { type Identity, readIdentity } from './tls.js';
import { foldersOfPaths, watchSource } from './watch.js';

export type ServeOptions = {
  /** Folder of datasets, models and state; default ./sluice-data. */
  dataFolder?: string;
  /** Ends production mode: what is under way is finished or checkpointed. */
  signal: AbortSignal;
  onEvent?: OnEvent;
  /** Forget what the pipeline did before; its samples stay. */
  restart?: boolean;
  /** First pause before something that failed is tried again, ms; default 1,000. */
  retryMs?: number;
  /** Longest time in which a request must have arrived, ms; default 60,000. */
  requestTimeoutMs?: number;
};

/**
 * Runs a pipeline in production mode until the signal aborts, and resolves then. Started again it goes on exactly there. E_ARGUMENT when the
 * pipeline says nothing about how samples arrive; E_CHANGED, E_LOCKED; and what ends production mode: a triggering policy that fails (E_POLICY).
 */
export async function servePipeline(pipeline: LoadedPipeline, options: ServeOptions): Promise<void> {
  const { config } = pipeline;
  const { http, grpc, watch, nats, kafka } = config.serve ?? {};
  if ([http, grpc, watch, nats, kafka].every((section) => section === undefined)) {
    const hint = 'serve: { watch: { every: 1s } } takes new files, serve: { http: { port: 8080 } } takes requests';
    throw new SluiceError('E_ARGUMENT', `${pipeline.file} does not say how samples arrive`, { hint });
  }
  const tokens = {
    http: secretOf('http.token', http?.token),
    admin: secretOf('http.admin', http?.admin),
    grpc: secretOf('grpc.token', grpc?.token),
    nats: secretOf('nats.token', nats?.token),
    kafka: secretOf('kafka.sasl.password', kafka?.sasl?.password),
  };
  const identities = {
    http: await readIdentity('http', http?.tls, pipeline.dir),
    grpc: await readIdentity('grpc', grpc?.tls, pipeline.dir),
  };
  const folders = foldersOf(options.dataFolder ?? 'sluice-data');
  const journal = await Journal.open(folders.state);
  try {
    await claim(journal, pipeline, 'production', options.restart);
    using dataset = await openDataset(pipeline, folders);
    await using parsers = parserPool(pipeline);
    const stop = new AbortController();
    const onAbort = () => stop.abort(options.signal.reason);
    if (options.signal.aborted) onAbort();
    options.signal.addEventListener('abort', onAbort, { once: true });
    try {
      await new Production(pipeline, folders, journal, dataset, parsers, options, tokens, identities, stop).run();
    } finally {
      options.signal.removeEventListener('abort', onAbort);
    }
  } finally {
    await journal.close();
  }
}

/** What the environment variable holds that the pipeline names. */
function secretOf(field: string, value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  const name = value.slice('env:'.length);
  const secret = process.env[name];
  if (secret === undefined || secret === '')
    throw new SluiceError('E_ARGUMENT', `serve.${field}: the environment variable ${name} is not set`);
  return secret;
}

type Server = { url?: string; close(): Promise<void> };

class Production {
  readonly #onEvent: OnEvent;
  readonly #live: Live;
  readonly #metrics: Metrics;
  readonly #administration: Administration;
  #http: HttpService | undefined;
  #late: Late | undefined;

  constructor(
    readonly pipeline: LoadedPipeline,
    readonly folders: Folders,
    journal: Journal,
    readonly dataset: Dataset,
    parsers: ReturnType<typeof parserPool>,
    readonly options: ServeOptions,
    readonly tokens: Record<'http' | 'admin' | 'grpc' | 'nats' | 'kafka', string | undefined>,
    readonly identities: Record<'http' | 'grpc', Identity | undefined>,
    readonly stop: AbortController,
  ) {
    this.#onEvent = options.onEvent ?? (() => {});
    this.#metrics = new Metrics(pipeline.config.pipeline.id, () => ({
      samples: dataset.size(),
      pendingBytes: this.#http?.pending ?? 0,
      live: this.#live.state(),
      late: this.#late?.counts(),
    }));
    const { signal } = stop;
    const onEvent: OnEvent = (event) => {
      if (event.type === 'problem') this.#metrics.failed(event.code);
      if (event.type === 'train') this.#live.progress(event.steps / event.totalSteps);
      this.#onEvent(event);
    };
    const steps = new Steps({
      pipeline,
      folders,
      journal,
      dataset,
      onEvent,
      signal,
      parsers,
      async withSnapshot(work) {
        using snapshot = dataset.snapshot({ leaseMs: 0 });
        return await work(snapshot);
      },
    });
    const removeWaiting = async (what: WhatWaits) => (await this.#late?.remove(what)) ?? 0;
    this.#administration = new Administration({
      dataset,
      id: pipeline.config.dataset.id,
      folders,
      journal,
      removeWaiting,
      onEvent,
      signal,
    });
    this.#live = new Live(steps, { pending: pipeline.config.serve?.pending ?? 'queue', signal, retryMs: options.retryMs });
  }

  /** Ends when the signal aborts, or with the first error that one of its parts cannot go on after. */
  async run(): Promise<void> {
    const { config, dir } = this.pipeline;
    const shared = await SharedStore.open(this.dataset, config.dataset, dir, () => this.#live.arrived());
    for (const [key, value] of Object.entries(tokenizerEntries(shared.writer.coders, this.dataset))) this.dataset.setState(key, value);
    await this.#live.begin();
    const keys = new PushKeys((key) => this.dataset.state(key));
    this.#late = config.dataset.label.late && (await this.#openLate(shared, keys));
    const inlet = new Inlet(shared, config.dataset, keys, ({ seconds }) => this.#metrics.committed(seconds), this.#late);
    let failure: { error: unknown } | undefined;
    const untilStopped = (work: Promise<void>) =>
      work.catch((error: unknown) => {
        const stopped = error instanceof SluiceError && error.code === 'E_ABORTED' && this.options.signal.aborted;
        if (!stopped) failure ??= { error };
        this.stop.abort();
      });
    try {
      const servers = await this.#listen(inlet);
      // Samples are taken at once, whatever their way: the policy, which is led to where it was meanwhile, does not keep them waiting.
      const parts = [this.#closeWhenStopped(servers), this.#live.run(), this.#watch(shared), this.#consume(inlet)];
      await Promise.all(parts.map(untilStopped));
      await shared.settled();
    } finally {
      await this.#late?.close();
    }
    if (failure !== undefined) throw failure.error;
    this.#onEvent({ type: 'stopped', samples: this.dataset.size(), triggers: this.#live.state().triggers });
  }

  /** All that answer requests, or none. */
  async #listen(inlet: Inlet): Promise<Server[]> {
    const { dataset: spec, serve } = this.pipeline.config;
    const shared = { inlet, spec, metrics: this.#metrics, notReady: () => this.#notReady() };
    const { tokens, identities } = this;
    const administration = this.#administration;
    const servers: Server[] = [];
    try {
      servers.push(await ControlService.listen(this.folders, spec.id, administration));
      if (serve?.http !== undefined) {
        const { requestTimeoutMs } = this.options;
        const own = { token: tokens.http, adminToken: tokens.admin, administration, identity: identities.http, requestTimeoutMs };
        this.#http = await HttpService.listen({ ...serve.http, ...own, ...shared });
        servers.push(this.#http);
      }
      if (serve?.grpc !== undefined)
        servers.push(await GrpcService.listen({ ...serve.grpc, token: tokens.grpc, identity: identities.grpc, ...shared }));
    } catch (error) {
      await Promise.all(servers.map((server) => server.close()));
      throw error;
    }
    for (const { url } of servers) if (url !== undefined) this.#onEvent({ type: 'listening', url });
    return servers;
  }

  async #openLate(shared: SharedStore, keys: PushKeys): Promise<Late> {
    const { dataset: spec } = this.pipeline.config;
    return await Late.open({
      shared,
      spec,
      keys,
      folder: this.folders.waiting(spec.id),
      retryMs: this.options.retryMs ?? 1000,
      onExpired: (expired) => this.#onEvent({ type: 'expired', ...expired, missing: spec.label.late?.missing ?? 'drop' }),
      onTurn: ({ seconds, late }) => this.#metrics.turned(seconds, late),
      onProblem: (error) => this.#problem(error),
    });
  }

  async #closeWhenStopped(servers: readonly Server[]): Promise<void> {
    await aborted(this.stop.signal);
    await Promise.all(servers.map((server) => server.close()));
    await this.#administration.settled();
  }

  #notReady(): string | null {
    return this.stop.signal.aborted ? 'the server is stopping' : null;
  }

  async #consume(inlet: Inlet): Promise<void> {
    await Promise.all([this.#consumeNats(inlet), this.#consumeKafka(inlet)]);
  }

  async #consumeNats(inlet: Inlet): Promise<void> {
    const { dataset: spec, serve } = this.pipeline.config;
    if (serve?.nats === undefined) return;
    const { url, stream, subject, batch } = serve.nats;
    await consumeNats({
      url,
      stream,
      subject,
      batch,
      token: this.tokens.nats,
      inlet,
      spec,
      state: (key) => this.dataset.state(key),
      retryMs: this.options.retryMs ?? 1000,
      signal: this.stop.signal,
      onConnected: () => this.#onEvent({ type: 'connected', url, stream }),
      onLag: (messages) => this.#metrics.natsLag(stream, messages),
      onSamples: (samples) => this.#metrics.received(samples),
      onProblem: (error) => this.#problem(error),
    });
  }

  async #consumeKafka(inlet: Inlet): Promise<void> {
    const { dataset: spec, serve } = this.pipeline.config;
    if (serve?.kafka === undefined) return;
    const { topic } = serve.kafka;
    await consumeKafka({
      config: serve.kafka,
      folder: this.pipeline.dir,
      password: this.tokens.kafka,
      inlet,
      spec,
      state: (key) => this.dataset.state(key),
      retryMs: this.options.retryMs ?? 1000,
      signal: this.stop.signal,
      onConnected: (url) => this.#onEvent({ type: 'connected', url, stream: topic }),
      onSamples: (samples) => this.#metrics.received(samples),
      onLag: (partition, records) => this.#metrics.kafkaLag(topic, partition, records),
      onProblem: (error) => this.#problem(error),
    });
  }

  #problem({ code, message }: SluiceError): void {
    this.#metrics.failed(code);
    this.#onEvent({ type: 'problem', code, message });
  }

  async #watch(shared: SharedStore): Promise<void> {
    const { dataset: config, serve } = this.pipeline.config;
    if (serve?.watch === undefined) return;
    const { source: own, dir } = this.pipeline;
    const stores = storesOf(this.pipeline, this.folders);
    const path = 'source' in config && 'path' in config.source ? config.source.path : [];
    await watchSource({
      shared,
      openSource: async (choose) => own ?? (await openSource(config, dir, stores, choose)),
      manifest: serve.watch.manifest,
      spec: config,
      folder: dir,
      folders: foldersOfPaths(path, dir),
      everyMs: serve.watch.every,
      signal: this.stop.signal,
      ...(this.options.retryMs === undefined ? {} : { retryMs: this.options.retryMs }),
      onProgress: (p) =>
        this.#onEvent({ type: 'ingest', part: p.part, samples: p.samples, rowsDone: p.rowsDone, rowsTotal: p.rowsTotal ?? null }),
      onIngested: (samples) => this.#metrics.ingested(samples),
      onProblem: (error) => this.#problem(error),
    });
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
