// Production mode: samples arrive while models are trained. One loop shows the stream to the triggering policy (live-stream.ts), the other trains
// for the triggers that wait (live-worker.ts).
import { deviceName } from './device.js';
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

  /** Leads the policy to where it was, and puts back into the queue what is still to be trained. E_CHANGED, E_ABORTED. */
  async begin(): Promise<void> {
    const { dataset, onEvent, pipeline } = this.#steps.context;
    const { deletions = 0, windows } = await this.#record.begin();
    const told = await this.#stream.lead({ deletions, evaluated: windows.at(-1)?.index ?? -1 });
    await this.#worker.restore(told);
    const { informed, triggers, waiting } = this.state();
    const device = deviceName(this.#steps.recipe.device);
    onEvent({ type: 'serving', pipelineId: pipeline.config.pipeline.id, samples: dataset.size(), informed, triggers, waiting, device });
  }

  /** Runs until the signal aborts: resolves then, once nothing is under way. Rejects with what ends production mode. */
  async run(): Promise<void> {
    await this.#loops.run(this.#stream.run(), this.#worker.run());
    await this.#record.put(this.#stream.informed);
  }
}
