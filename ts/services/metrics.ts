// What production mode counts and measures, in the text format of Prometheus.
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { WaitingCounts } from '../native/types.js';
import type { LiveState } from '../pipeline/live.js';

/** Asked for when metrics are read. */
export type Measured = { samples: number; pendingBytes: number; live: LiveState; late: WaitingCounts | undefined };

const requestBuckets = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];

export class Metrics {
  readonly #registry = new Registry();
  readonly #requests = this.#counter('sluice_http_requests_total', 'Requests that were answered, by status.', ['status']);
  readonly #pushedSamples = this.#counter('sluice_pushed_samples_total', 'Samples of requests that were acknowledged, each once.');
  readonly #pushedBytes = this.#counter('sluice_pushed_bytes_total', 'Bytes of the bodies of requests that were acknowledged.');
  readonly #commits = this.#counter('sluice_commits_total', 'Transactions that appended pushed samples.');
  readonly #files = this.#counter('sluice_ingested_samples_total', 'Samples ingested from watched files.');
  readonly #received = this.#counter('sluice_received_samples_total', 'Samples of messages that were taken from a broker.');
  readonly #lateLabels = this.#counter('sluice_late_labels_total', 'Labels of samples whose time had run out.');
  readonly #errors = this.#counter('sluice_errors_total', 'Errors after which production went on, by code.', ['code']);
  readonly #lastError = this.#gauge('sluice_last_error_timestamp_seconds', 'When the last of these errors was met.', ['code']);
  readonly #requestSeconds = this.#histogram('sluice_http_request_seconds', 'From the head of a request to its answer.');
  readonly #commitSeconds = this.#histogram('sluice_commit_seconds', 'Time of a transaction that appends pushed samples.');
  readonly #natsLag = this.#gauge('sluice_nats_lag', 'Messages of the stream that are still to be taken.', ['stream']);
  readonly #kafkaLag = this.#gauge('sluice_kafka_lag', 'Records of the partition that are still to be taken.', ['topic', 'partition']);

  /** `measure` is called when the metrics are read. */
  constructor(pipeline: string, measure: () => Measured) {
    this.#registry.setDefaultLabels({ pipeline });
    const gauge = (name: string, help: string, value: (measured: Measured) => number) =>
      new Gauge({
        name,
        help,
        registers: [this.#registry],
        collect() {
          this.set(value(measure()));
        },
      });
    gauge('sluice_samples', 'Samples of the dataset.', (m) => m.samples);
    gauge('sluice_informed_samples', 'Samples that the triggering policy has seen.', (m) => m.live.informed);
    gauge('sluice_triggers', 'Triggers that have fired.', (m) => m.live.triggers);
    gauge('sluice_triggers_waiting', 'Triggers that wait for their training.', (m) => m.live.waiting);
    gauge('sluice_training', '1 while a model is trained.', (m) => (m.live.training === null ? 0 : 1));
    gauge('sluice_training_progress', 'Part of the steps of the training under way that are done.', (m) => m.live.training?.done ?? 0);
    gauge('sluice_model_trigger', 'Trigger of the newest model; -1: there is none.', (m) => m.live.current?.triggerId ?? -1);
    gauge('sluice_model_age_seconds', 'Time since the newest model became available.', (m) => ageSeconds(m.live.currentSinceMs));
    gauge('sluice_pending_bytes', 'Bytes of requests that arrive or wait to be appended.', (m) => m.pendingBytes);
    gauge('sluice_waiting_samples', 'Samples that wait for their labels.', (m) => m.late?.waiting ?? 0);
    gauge('sluice_early_labels', 'Labels that wait for their samples.', (m) => m.late?.early ?? 0);
    const total = (name: string, help: string, value: (counts: WaitingCounts) => number) =>
      new Counter({
        name,
        help,
        registers: [this.#registry],
        collect() {
          const { late } = measure();
          this.reset();
          this.inc(late === undefined ? 0 : value(late));
        },
      });
    total('sluice_joined_labels_total', 'Labels that found their samples, since the dataset was begun.', (c) => c.joined);
    total('sluice_expired_samples_total', 'Samples that got no label in time, since the dataset was begun.', (c) => c.expired);
    total('sluice_unmatched_labels_total', 'Labels that found no sample in time, since the dataset was begun.', (c) => c.unmatched);
    gauge('process_resident_memory_bytes', 'Resident memory of the process.', () => process.memoryUsage.rss());
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  answered(status: number, seconds: number): void {
    this.#requests.inc({ status: String(status) });
    this.#requestSeconds.observe(seconds);
  }

  pushed(samples: number, bytes: number): void {
    this.#pushedSamples.inc(samples);
    this.#pushedBytes.inc(bytes);
  }

  committed(seconds: number): void {
    this.#commits.inc();
    this.#commitSeconds.observe(seconds);
  }

  /** Requests were appended to the log of samples that wait; `late`: labels that came too late. */
  turned(seconds: number, late: number): void {
    this.#commits.inc();
    this.#commitSeconds.observe(seconds);
    this.#lateLabels.inc(late);
  }

  ingested(samples: number): void {
    this.#files.inc(samples);
  }

  received(samples: number): void {
    this.#received.inc(samples);
  }

  natsLag(stream: string, messages: number): void {
    this.#natsLag.set({ stream }, messages);
  }

  kafkaLag(topic: string, partition: number, records: number): void {
    this.#kafkaLag.set({ topic, partition: String(partition) }, records);
  }

  failed(code: string): void {
    this.#errors.inc({ code });
    this.#lastError.set({ code }, Date.now() / 1000);
  }

  #counter<T extends string>(name: string, help: string, labelNames: T[] = []): Counter<T> {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }

  #gauge<T extends string>(name: string, help: string, labelNames: T[] = []): Gauge<T> {
    return new Gauge({ name, help, labelNames, registers: [this.#registry] });
  }

  #histogram(name: string, help: string): Histogram {
    return new Histogram({ name, help, buckets: requestBuckets, registers: [this.#registry] });
  }
}

const ageSeconds = (sinceMs: number | null): number => (sinceMs === null ? Number.NaN : (Date.now() - sinceMs) / 1000);
