// Production mode: samples arrive while models are trained. Every arrival batch is shown to the triggering policy at once, in key order; what it
// decides is journalled together with the batch's border and waits for one worker, which handles triggers by steps.ts.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { SluiceError } from '../errors.js';
import type { Snapshot } from '../native/dataset.js';
import type { ArrivalBatch, Trigger } from '../policies/define.js';
import { writeCurrent } from './current.js';
import { delay } from './delay.js';
import { deviceName } from './device.js';
import type { PipelineRecord } from './journal.js';
import { Pending, type PendingPolicy } from './pending.js';
import { arrivals } from './replay.js';
import type { EvalWindow, TrainingRecord, TriggerRecord } from './results.js';
import { checkDecision } from './select.js';
import type { Steps } from './steps.js';
import { readTrace, TraceWriter } from './trace.js';
import { GrowingWindows } from './windows.js';

/** Batches that are shown to the policy before their borders are journalled together. */
const batchesPerCommit = 64;
/** Steps of a replay between two turns of the event loop. */
const stepsPerTurn = 256;
/** What may be over when it is tried again. */
const passing = new Set(['E_NO_SPACE', 'E_IO', 'E_MEMORY', 'E_READ_ONLY']);
const maxRetryMs = 60_000;

export type LiveOptions = {
  pending: PendingPolicy;
  /** Aborts when production mode is to end. */
  signal: AbortSignal;
  /** First pause before a failed training is tried again; it doubles up to a minute. Default 1,000 ms. */
  retryMs?: number | undefined;
};

/** What /metrics tells of a pipeline. */
export type LiveState = {
  informed: number;
  triggers: number;
  waiting: number;
  training: { triggerId: number; done: number } | null;
  current: TrainingRecord | null;
  currentSinceMs: number | null;
  problem: { code: string; message: string; sinceMs: number } | null;
};

export class Live {
  readonly #steps: Steps;
  readonly #options: LiveOptions;
  readonly #id: string;
  readonly #trigger: Trigger;
  readonly #trace: TraceWriter;
  readonly #pending: Pending;
  readonly #windows: GrowingWindows;
  /** Windows that have ended and are still to be evaluated. */
  readonly #ended: EvalWindow[] = [];
  /** Models and the keys of their triggers, oldest first. */
  readonly #models: { triggerId: number; key: number }[] = [];
  #informed = 0;
  #triggers = 0;
  #lastKey = -1; // of the last trigger
  #lastSample = -1; // that the policy has seen
  /** Samples were deleted since the pipeline began: its triggers stand, whatever the policy decides without them. */
  #stands = false;
  #handledKey = -1; // of the last trigger whose samples count as trained
  #committing: Promise<void> | undefined;
  #wakePump = () => {};
  #wakeWorker = () => {};
  #current: TrainingRecord | null = null;
  #currentSinceMs: number | null = null;
  #progress: LiveState['training'] = null;
  #problem: LiveState['problem'] = null;

  constructor(steps: Steps, options: LiveOptions) {
    const { pipeline, journal } = steps.context;
    this.#steps = steps;
    this.#options = options;
    this.#id = pipeline.config.pipeline.id;
    this.#trigger = pipeline.trigger.policy.create(pipeline.trigger.config, { seed: pipeline.config.pipeline.seed });
    this.#trace = new TraceWriter(journal, this.#id);
    this.#pending = new Pending(options.pending);
    this.#windows = new GrowingWindows(pipeline.config.evaluation.window);
    options.signal.addEventListener('abort', () => this.#wakeAll(), { once: true });
  }

  /** Samples were appended. */
  arrived(): void {
    this.#wakePump();
  }

  /** Part of the training under way that is done. */
  progress(done: number): void {
    if (this.#progress !== null) this.#progress.done = done;
  }

  state(): LiveState {
    return {
      informed: this.#informed,
      triggers: this.#triggers,
      waiting: this.#pending.length,
      training: this.#progress,
      current: this.#current,
      currentSinceMs: this.#currentSinceMs,
      problem: this.#problem,
    };
  }

  /** Leads the policy to where it was: replays the trace and compares what it decides with the journal. E_CHANGED, E_ABORTED. */
  async begin(): Promise<void> {
    const { journal, onEvent, dataset } = this.#steps.context;
    const record = await this.#beginRecord();
    this.#stands = (record.deletions ?? 0) !== dataset.deletionCount();
    const evaluated = record.windows.at(-1)?.index ?? -1;
    using snapshot = dataset.snapshot({ leaseMs: 0 });
    const told = new Set<number>();
    let step = 0;
    for (const entry of readTrace(journal, this.#id)) {
      if (++step % stepsPerTurn === 0) await nextTurn();
      if (this.#options.signal.aborted) throw new SluiceError('E_ABORTED', 'stopped on request');
      if ('trained' in entry) {
        told.add(entry.trained);
        this.#steps.tell(this.#trigger, journal.training(this.#id, entry.trained) as TrainingRecord);
        continue;
      }
      if (entry.end > snapshot.size) throw this.#replaced(snapshot.size);
      const { triggers, ended } = this.#inform(snapshot, entry.end);
      if (!this.#stands) for (const trigger of triggers) this.#checkRecorded(trigger);
      this.#ended.push(...ended.filter(({ index }) => index > evaluated));
    }
    if (this.#stands) this.#takeRecorded();
    else this.#checkComplete();
    await this.#restore(told);
    const { recipe } = this.#steps;
    onEvent({
      type: 'serving',
      pipelineId: this.#id,
      samples: snapshot.size,
      informed: this.#informed,
      triggers: this.#triggers,
      waiting: this.#pending.length,
      device: deviceName(recipe.device),
    });
  }

  /** Runs until the signal aborts: resolves then, once nothing is under way. Rejects with what ends production mode. */
  async run(): Promise<void> {
    await Promise.all([this.#pump(), this.#work()].map((part) => part.catch((error) => this.#end(error))));
    if (this.#fatal !== undefined) throw this.#fatal;
    await this.#putRecord();
  }

  // Both loops end when one of them fails.
  #fatal: unknown;

  #end(error: unknown): void {
    this.#fatal ??= error;
    this.#wakeAll();
  }

  get #stopped(): boolean {
    return this.#options.signal.aborted || this.#fatal !== undefined;
  }

  #wakeAll(): void {
    this.#wakePump();
    this.#wakeWorker();
  }

  // --- arrival -----------------------------------------------------------------------------------------------------

  async #pump(): Promise<void> {
    const { dataset } = this.#steps.context;
    while (!this.#stopped) {
      if (dataset.size() === this.#informed) {
        await new Promise<void>((resolve) => {
          this.#wakePump = resolve;
        });
        continue;
      }
      await this.#arrive();
      await nextTurn();
    }
  }

  /** Shows the policy what is there and journals the borders with its decisions. */
  async #arrive(): Promise<void> {
    const { pipeline, dataset, journal, onEvent } = this.#steps.context;
    const { batch: size } = pipeline.config.replay;
    const records: TriggerRecord[] = [];
    {
      using snapshot = dataset.snapshot({ leaseMs: 0 });
      for (let n = 0; n < batchesPerCommit && this.#informed < snapshot.size; n++) {
        const end = Math.min(snapshot.size, this.#informed + size - (this.#informed % size));
        const { triggers, ended } = this.#inform(snapshot, end);
        this.#trace.push({ end });
        for (const trigger of triggers) records.push(...this.#pending.add(trigger));
        this.#ended.push(...ended);
      }
    }
    this.#committing = journal.putArrival(this.#id, this.#trace.pages(), records);
    try {
      await this.#committing;
    } finally {
      this.#committing = undefined;
    }
    onEvent({ type: 'arrival', key: this.#informed });
    for (const trigger of records) onEvent({ type: 'trigger', trigger, recorded: false });
    this.#wakeWorker();
  }

  /** Shows the samples up to the key `end` to the policy as one batch. */
  #inform(snapshot: Snapshot, end: number): { triggers: TriggerRecord[]; ended: EvalWindow[] } {
    const triggers: TriggerRecord[] = [];
    const ended: EvalWindow[] = [];
    for (const batch of arrivals(() => snapshot, this.#informed, end)) {
      triggers.push(...this.#decide(snapshot, batch));
      ended.push(...this.#windows.add(batch));
      this.#lastSample = batch.firstKey + batch.length - 1;
    }
    this.#informed = end;
    return { triggers, ended };
  }

  #decide(snapshot: Snapshot, batch: ArrivalBatch): TriggerRecord[] {
    const triggers: TriggerRecord[] = [];
    for (const decision of this.#steps.inform(this.#trigger, batch)) {
      const { at, ...rest } = decision;
      const key = at === -1 ? this.#lastSample : batch.firstKey + at;
      if (this.#stands && key <= this.#lastKey) continue;
      checkDecision(this.#steps.context.pipeline.trigger.policy.id, decision, batch, this.#lastKey);
      const timeMs = at >= 0 ? batch.time(at) : Number(snapshot.timestamps(key, 1)[0]);
      triggers.push({ ...rest, id: this.#triggers++, key, timeMs });
      this.#lastKey = key;
    }
    return triggers;
  }

  // --- going on after a stop ---------------------------------------------------------------------------------------

  #checkRecorded(trigger: TriggerRecord): void {
    const earlier = this.#steps.context.journal.trigger(this.#id, trigger.id);
    if (earlier === undefined) throw this.#changed(`fired trigger ${trigger.id}, which did not fire before`);
    this.#steps.checkSame(trigger, earlier);
  }

  #takeRecorded(): void {
    const { journal } = this.#steps.context;
    this.#triggers = 0;
    this.#lastKey = -1;
    for (let trigger = journal.trigger(this.#id, 0); trigger !== undefined; trigger = journal.trigger(this.#id, this.#triggers)) {
      this.#triggers++;
      this.#lastKey = trigger.key;
    }
  }

  #checkComplete(): void {
    if (this.#steps.context.journal.trigger(this.#id, this.#triggers) === undefined) return;
    throw this.#changed(`did not fire trigger ${this.#triggers}, which fired before`);
  }

  #replaced(size: number): SluiceError {
    const message = `dataset ${this.#steps.context.pipeline.config.dataset.id} has ${size} samples, fewer than the policy has seen`;
    return new SluiceError('E_CHANGED', message, { hint: 'start it anew: sluice serve --restart' });
  }

  #changed(what: string): SluiceError {
    const policy = this.#steps.context.pipeline.trigger.policy.id;
    const hint = 'start it anew: sluice serve --restart';
    return new SluiceError('E_CHANGED', `the policy '${policy}' ${what}: it must decide the same for the same stream`, { hint });
  }

  /** Puts triggers that are still to be trained back into the queue, and tells the policy of trainings that it was not told of. */
  async #restore(told: ReadonlySet<number>): Promise<void> {
    const { journal } = this.#steps.context;
    const open: TriggerRecord[] = [];
    let newest: TrainingRecord | null = null;
    for (let id = 0; id < this.#triggers; id++) {
      const trigger = journal.trigger(this.#id, id) as TriggerRecord;
      const training = journal.training(this.#id, id);
      if (training !== undefined) {
        if (!told.has(id)) await this.#tell(training);
        this.#models.push({ triggerId: id, key: trigger.key });
        newest = training;
      } else if (trigger.outcome === undefined) {
        open.push(trigger);
        continue;
      }
      if (trigger.outcome === undefined || trigger.outcome === 'empty') this.#handledKey = trigger.key;
    }
    this.#pending.restore(open);
    if (newest !== null) {
      this.#steps.goOnFrom(newest);
      await this.#publish(newest);
    }
  }

  async #beginRecord(): Promise<PipelineRecord> {
    const { pipeline, journal } = this.#steps.context;
    const earlier = journal.pipeline(this.#id);
    await this.#steps.begin(earlier === undefined);
    if (earlier !== undefined) return earlier;
    const { config, hash, file, text, trigger, selection } = pipeline;
    const policies = { triggerPolicy: trigger.policy.id, selectionPolicy: selection.policy.id };
    const dataset = { id: config.dataset.id, samples: 0, firstMs: 0, lastMs: 0 };
    const { seconds } = this.#steps;
    const deletions = this.#steps.context.dataset.deletionCount();
    const rest = { mode: 'production' as const, deletions, windows: [], createdMs: Date.now(), complete: false, seconds };
    const record: PipelineRecord = { id: this.#id, hash, file, text, seed: config.pipeline.seed, ...policies, dataset, ...rest };
    await journal.putPipeline(record);
    return record;
  }

  /** What `sluice ls` and `report` show. */
  async #putRecord(): Promise<void> {
    const { journal } = this.#steps.context;
    await journal.putPipeline(this.#record());
  }

  #record(): PipelineRecord {
    const { journal, dataset } = this.#steps.context;
    const earlier = journal.pipeline(this.#id) as PipelineRecord;
    const samples = this.#informed;
    if (samples === 0) return earlier;
    using snapshot = dataset.snapshot({ leaseMs: 0 });
    const [firstMs, lastMs] = [0, samples - 1].map((key) => Number(snapshot.timestamps(key, 1)[0])) as [number, number];
    return { ...earlier, dataset: { id: earlier.dataset.id, samples, firstMs, lastMs }, seconds: this.#steps.seconds };
  }

  // --- the worker --------------------------------------------------------------------------------------------------

  async #work(): Promise<void> {
    while (!this.#stopped) {
      if (this.#committing !== undefined) {
        await this.#committing;
        continue;
      }
      const window = this.#ended.shift();
      const trigger = window === undefined ? this.#pending.begin() : undefined;
      if (window !== undefined) await this.#evaluate(window);
      else if (trigger !== undefined) await this.#handle(trigger);
      else
        await new Promise<void>((resolve) => {
          this.#wakeWorker = resolve;
        });
    }
  }

  async #handle(trigger: TriggerRecord): Promise<void> {
    const { pipeline } = this.#steps.context;
    const first = pipeline.selection.reset ? this.#handledKey + 1 : 0;
    this.#progress = { triggerId: trigger.id, done: 0 };
    const training = await this.#trainUntilSettled(trigger, first);
    this.#progress = null;
    this.#pending.end();
    if (training === undefined) return; // failed, or stopped
    this.#handledKey = trigger.key;
    if (training === null) return await this.#putOutcome(trigger, 'empty', 'the selection policy selected nothing');
    this.#models.push({ triggerId: trigger.id, key: trigger.key });
    await this.#publish(training);
    await this.#tell(training);
    await this.#putRecord();
  }

  /** Tries again after errors that may pass. Undefined when production mode ends meanwhile, or after other errors, which are journalled. */
  async #trainUntilSettled(trigger: TriggerRecord, first: number): Promise<TrainingRecord | null | undefined> {
    for (let pause = this.#options.retryMs ?? 1000; ; pause = Math.min(maxRetryMs, 2 * pause)) {
      try {
        const training = await this.#steps.train(trigger, first);
        this.#problem = null;
        return training;
      } catch (error) {
        if (this.#stopped) return undefined;
        if (!(error instanceof SluiceError)) throw error;
        this.#told(error);
        if (!passing.has(error.code)) {
          await this.#putOutcome(trigger, 'failed', `${error.code}: ${error.message}`);
          return undefined;
        }
        await delay(pause, this.#options.signal);
        if (this.#stopped) return undefined;
      }
    }
  }

  /** The newest model whose trigger lies before the window is evaluated on it. */
  async #evaluate(window: EvalWindow): Promise<void> {
    const { journal, onEvent } = this.#steps.context;
    const model = this.#models.findLast(({ key }) => key < window.first);
    const record = this.#record();
    const windows = [...record.windows, window];
    try {
      const metrics = model === undefined ? [] : await this.#steps.evaluate(model.triggerId, [window]);
      const earlier = model === undefined ? [] : (journal.evaluation(this.#id, model.triggerId) ?? []);
      await journal.putWindow({ ...record, windows }, model?.triggerId, [...earlier, ...metrics]);
      for (const m of metrics) onEvent({ type: 'window', window, triggerId: model?.triggerId ?? 0, metrics: m });
    } catch (error) {
      if (this.#stopped) return;
      if (!(error instanceof SluiceError)) throw error;
      this.#told(error);
      await journal.putWindow({ ...record, windows }, undefined, []);
    }
  }

  async #tell(training: TrainingRecord): Promise<void> {
    this.#trace.push({ trained: training.triggerId });
    this.#steps.tell(this.#trigger, training);
    await this.#steps.context.journal.putArrival(this.#id, this.#trace.pages(), []);
  }

  async #publish(training: TrainingRecord): Promise<void> {
    const { folders, onEvent } = this.#steps.context;
    const { file, sinceMs } = await writeCurrent(folders, this.#id, training);
    this.#current = training;
    this.#currentSinceMs = sinceMs;
    onEvent({ type: 'available', modelId: training.modelId, file });
  }

  async #putOutcome(trigger: TriggerRecord, outcome: 'empty' | 'failed', note: string): Promise<void> {
    const { journal, onEvent } = this.#steps.context;
    const changed: TriggerRecord = { ...trigger, outcome, note };
    await journal.putTrigger(this.#id, changed);
    onEvent({ type: 'trigger', trigger: changed, recorded: false });
  }

  #told(error: SluiceError): void {
    const { code, message } = error;
    this.#problem = { code, message, sinceMs: Date.now() };
    this.#steps.context.onEvent({ type: 'problem', code, message });
  }
}
