// The worker of production mode: takes triggers from the queue one after the other and trains a model for each, names the newest model, and
// evaluates it on windows that have ended.
import { SluiceError } from '../errors.js';
import { writeCurrent } from './current.js';
import { delay } from './delay.js';
import type { Bell, Loops } from './live-loop.js';
import type { LiveRecord } from './live-record.js';
import type { LiveStream } from './live-stream.js';
import type { Pending } from './pending.js';
import type { EvalWindow, TrainingRecord, TriggerRecord } from './results.js';
import type { Steps } from './steps.js';

/** What may be over when it is tried again. */
const passing = new Set(['E_NO_SPACE', 'E_IO', 'E_MEMORY', 'E_READ_ONLY']);
const maxRetryMs = 60_000;

export type WorkerState = {
  training: { triggerId: number; done: number } | null;
  current: TrainingRecord | null;
  currentSinceMs: number | null;
  problem: { code: string; message: string; sinceMs: number } | null;
};

type WorkerOptions = {
  steps: Steps;
  stream: LiveStream;
  pending: Pending;
  record: LiveRecord;
  loops: Loops;
  /** First pause before a failed training is tried again, ms. */
  retryMs: number;
};

export class LiveWorker {
  readonly state: WorkerState = { training: null, current: null, currentSinceMs: null, problem: null };
  readonly #options: WorkerOptions;
  readonly #id: string;
  readonly #bell: Bell;
  /** Models and the keys of their triggers, oldest first. */
  readonly #models: { triggerId: number; key: number }[] = [];
  #handledKey = -1; // of the last trigger whose samples count as trained

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#id = options.steps.context.pipeline.config.pipeline.id;
    this.#bell = options.loops.bell();
  }

  /** There may be something to do. */
  wake(): void {
    this.#bell.ring();
  }

  /** Puts triggers that are still to be trained back into the queue, and tells the policy of trainings that it was not `told` of. */
  async restore(told: ReadonlySet<number>): Promise<void> {
    const { steps, stream, pending } = this.#options;
    const { journal } = steps.context;
    const open: TriggerRecord[] = [];
    let newest: TrainingRecord | null = null;
    for (let id = 0; id < stream.triggers; id++) {
      const trigger = journal.trigger(this.#id, id) as TriggerRecord;
      const training = journal.training(this.#id, id);
      if (training !== undefined) {
        if (!told.has(id)) await stream.tell(training);
        this.#models.push({ triggerId: id, key: trigger.key });
        newest = training;
      } else if (trigger.outcome === undefined) {
        open.push(trigger);
        continue;
      }
      if (trigger.outcome === undefined || trigger.outcome === 'empty') this.#handledKey = trigger.key;
    }
    pending.restore(open);
    if (newest === null) return;
    steps.goOnFrom(newest);
    await this.#publish(newest);
  }

  /** Works until the loops end. */
  async run(): Promise<void> {
    const { stream, pending, loops } = this.#options;
    while (!loops.stopped) {
      if (stream.committing !== undefined) {
        await stream.committing;
        continue;
      }
      const window = stream.ended.shift();
      const trigger = window === undefined ? pending.begin() : undefined;
      if (window !== undefined) await this.#evaluate(window);
      else if (trigger !== undefined) await this.#handle(trigger);
      else await this.#bell.wait();
    }
  }

  async #handle(trigger: TriggerRecord): Promise<void> {
    const { steps, stream, pending, record } = this.#options;
    const first = steps.context.pipeline.selection.reset ? this.#handledKey + 1 : 0;
    this.state.training = { triggerId: trigger.id, done: 0 };
    const training = await this.#trainUntilSettled(trigger, first);
    this.state.training = null;
    pending.end();
    if (training === undefined) return; // failed, or stopped
    this.#handledKey = trigger.key;
    if (training === null) return await this.#putOutcome(trigger, 'empty', 'the selection policy selected nothing');
    this.#models.push({ triggerId: trigger.id, key: trigger.key });
    await this.#publish(training);
    await stream.tell(training);
    await record.put(stream.informed);
  }

  /** Tries again after errors that may pass. Undefined when production mode ends meanwhile, or after other errors, which are journalled. */
  async #trainUntilSettled(trigger: TriggerRecord, first: number): Promise<TrainingRecord | null | undefined> {
    const { steps, loops, retryMs } = this.#options;
    for (let pause = retryMs; ; pause = Math.min(maxRetryMs, 2 * pause)) {
      try {
        const training = await steps.train(trigger, first);
        this.state.problem = null;
        return training;
      } catch (error) {
        if (loops.stopped) return undefined;
        if (!(error instanceof SluiceError)) throw error;
        this.#failed(error);
        if (!passing.has(error.code)) {
          await this.#putOutcome(trigger, 'failed', `${error.code}: ${error.message}`);
          return undefined;
        }
        await delay(pause, loops.signal);
        if (loops.stopped) return undefined;
      }
    }
  }

  /** The newest model whose trigger lies before the window is evaluated on it. */
  async #evaluate(window: EvalWindow): Promise<void> {
    const { steps, stream, loops } = this.#options;
    const { journal, onEvent } = steps.context;
    const model = this.#models.findLast(({ key }) => key < window.first);
    const record = this.#options.record.now(stream.informed);
    const windows = [...record.windows, window];
    try {
      const metrics = model === undefined ? [] : await steps.evaluate(model.triggerId, [window]);
      const earlier = model === undefined ? [] : (journal.evaluation(this.#id, model.triggerId) ?? []);
      await journal.putWindow({ ...record, windows }, model?.triggerId, [...earlier, ...metrics]);
      for (const m of metrics) onEvent({ type: 'window', window, triggerId: model?.triggerId ?? 0, metrics: m });
    } catch (error) {
      if (loops.stopped) return;
      if (!(error instanceof SluiceError)) throw error;
      this.#failed(error);
      await journal.putWindow({ ...record, windows }, undefined, []);
    }
  }

  async #publish(training: TrainingRecord): Promise<void> {
    const { folders, onEvent } = this.#options.steps.context;
    const { file, sinceMs } = await writeCurrent(folders, this.#id, training);
    this.state.current = training;
    this.state.currentSinceMs = sinceMs;
    onEvent({ type: 'available', modelId: training.modelId, file });
  }

  async #putOutcome(trigger: TriggerRecord, outcome: 'empty' | 'failed', note: string): Promise<void> {
    const { journal, onEvent } = this.#options.steps.context;
    const changed: TriggerRecord = { ...trigger, outcome, note };
    await journal.putTrigger(this.#id, changed);
    onEvent({ type: 'trigger', trigger: changed, recorded: false });
  }

  #failed(error: SluiceError): void {
    const { code, message } = error;
    this.state.problem = { code, message, sinceMs: Date.now() };
    this.#options.steps.context.onEvent({ type: 'problem', code, message });
  }
}
