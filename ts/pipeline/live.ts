// Production mode: samples arrive while models are trained. One loop shows the stream to the triggering policy (live-stream.ts), the other trains
// for the triggers that wait (live-worker.ts).

import { SluiceError } from '../errors.js';
import { deviceName } from './device.js';
import type { PipelineRecord } from './journal.js';
import { Loops } from './live-loop.js';
import { LiveRecord } from './live-record.js';
import { LiveStream } from './live-stream.js';
import { LiveWorker, type WorkerState } from './live-worker.js';
import { Pending, type PendingPolicy } from './pending.js';
import type { Steps } from './steps.js';

export type LiveOptions = {
  pending: PendingPolicy;
  /** Aborts when production mode is to end. */
  signal: AbortSignal;
  /** First pause before a failed training is tried again; it doubles up to a minute. Default 1,000 ms. */
  retryMs?: number | undefined;
};

/** What /metrics tells of a pipeline. */
export type LiveState = WorkerState & { informed: number; triggers: number; waiting: number };

export class Live {
  readonly #steps: Steps;
  readonly #pending: Pending;
  readonly #loops: Loops;
  readonly #record: LiveRecord;
  readonly #stream: LiveStream;
  readonly #worker: LiveWorker;
  #began: PipelineRecord | undefined;

  constructor(steps: Steps, { pending, signal, retryMs = 1000 }: LiveOptions) {
    this.#steps = steps;
    this.#pending = new Pending(pending);
    this.#loops = new Loops(signal);
    this.#record = new LiveRecord(steps);
    this.#stream = new LiveStream(steps, this.#pending, this.#loops, () => this.#worker.wake());
    const parts = { steps, stream: this.#stream, pending: this.#pending, record: this.#record, loops: this.#loops };
    this.#worker = new LiveWorker({ ...parts, retryMs });
  }

  /** Samples were appended. */
  arrived(): void {
    this.#stream.arrived();
  }

  /** Part of the training under way that is done. */
  progress(done: number): void {
    const { training } = this.#worker.state;
    if (training !== null) training.done = done;
  }

  state(): LiveState {
    const { informed, triggers } = this.#stream;
    return { informed, triggers, waiting: this.#pending.length, ...this.#worker.state };
  }

  /** What has to be sure before samples are taken. E_CHANGED. */
  async begin(): Promise<void> {
    this.#began = await this.#record.begin();
    this.#stream.check();
  }

  /**
   * Leads the policy to where it was, puts back into the queue what is still to be trained, and runs until the signal aborts: resolves then, once
   * nothing is under way. Rejects with what ends production mode: E_CHANGED, E_POLICY.
   */
  async run(): Promise<void> {
    await this.#goOn();
    await this.#loops.run(this.#stream.run(), this.#worker.run());
    await this.#record.put(this.#stream.informed);
  }

  async #goOn(): Promise<void> {
    const { dataset, onEvent, pipeline } = this.#steps.context;
    if (this.#began === undefined) throw new SluiceError('E_INTERNAL', 'run() before begin()');
    const told = await this.#stream.lead(this.#began);
    await this.#worker.restore(told);
    const { informed, triggers, waiting } = this.state();
    const device = deviceName(this.#steps.recipe.device);
    onEvent({ type: 'serving', pipelineId: pipeline.config.pipeline.id, samples: dataset.size(), informed, triggers, waiting, device });
  }
}
