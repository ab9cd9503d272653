// The loop that shows the stream to the triggering policy: at a start as far as the trace goes, from then on batch by batch as samples arrive.
// What the policy decides is journalled together with the batch's border.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { SluiceError } from '../errors.js';
import type { ArrivalBatch, Trigger } from '../policies/define.js';
import type { PipelineRecord } from './journal.js';
import type { Bell, Loops } from './live-loop.js';
import type { Pending } from './pending.js';
import { Arrivals } from './replay.js';
import type { EvalWindow, TrainingRecord, TriggerRecord } from './results.js';
import { checkDecision } from './select.js';
import type { Steps } from './steps.js';
import { readTrace, TraceWriter, traceEnd } from './trace.js';
import { GrowingWindows } from './windows.js';

/** Batches that are shown to the policy before their borders are journalled together. */
const batchesPerCommit = 64;
/** Time that a replay takes between two turns of the event loop, in which samples are taken, ms. */
const turnMs = 10;
/** Time between two reports of a replay, ms. */
const reportMs = 5000;

export class LiveStream {
  readonly #steps: Steps;
  readonly #pending: Pending;
  readonly #loops: Loops;
  readonly #bell: Bell;
  readonly #onShown: () => void;
  readonly #id: string;
  readonly #trigger: Trigger;
  readonly #trace: TraceWriter;
  readonly #windows: GrowingWindows;
  /** Windows that have ended and are still to be evaluated. */
  readonly ended: EvalWindow[] = [];
  #informed = 0;
  #triggers = 0;
  #lastKey = -1; // of the last trigger
  #lastSample = -1; // that the policy has seen
  /** Samples were deleted since the pipeline began: its triggers stand, whatever the policy decides without them. */
  #stands = false;
  #committing: Promise<void> | undefined;

  /** `onShown` is called after what the policy saw and decided was journalled. */
  constructor(steps: Steps, pending: Pending, loops: Loops, onShown: () => void) {
    const { pipeline, journal } = steps.context;
    this.#steps = steps;
    this.#pending = pending;
    this.#loops = loops;
    this.#bell = loops.bell();
    this.#onShown = onShown;
    this.#id = pipeline.config.pipeline.id;
    this.#trigger = pipeline.trigger.policy.create(pipeline.trigger.config, { seed: pipeline.config.pipeline.seed });
    this.#trace = new TraceWriter(journal, this.#id);
    this.#windows = new GrowingWindows(pipeline.config.evaluation.window);
  }

  /** The policy has seen the samples before this key. */
  get informed(): number {
    return this.#informed;
  }

  /** Number of triggers that have fired. */
  get triggers(): number {
    return this.#triggers;
  }

  /** What is being journalled at the moment: triggers and windows count once it resolves. */
  get committing(): Promise<void> | undefined {
    return this.#committing;
  }

  /** Samples were appended. */
  arrived(): void {
    this.#bell.ring();
  }

  /** Tells the policy of a training, and notes in the trace when it was told. */
  async tell(training: TrainingRecord): Promise<void> {
    this.#trace.push({ trained: training.triggerId });
    this.#steps.tell(this.#trigger, training);
    await this.#steps.context.journal.putArrival(this.#id, this.#trace.pages(), []);
  }

  // --- going on after a stop ---------------------------------------------------------------------------------------

  /** E_CHANGED where the dataset has fewer samples than the policy has seen. To be asked before others arrive. */
  check(): void {
    const { journal, dataset, pipeline } = this.#steps.context;
    const [size, end] = [dataset.size(), traceEnd(journal, this.#id)];
    if (end <= size) return;
    const message = `dataset ${pipeline.config.dataset.id} has ${size} samples, the policy has seen ${end}`;
    throw new SluiceError('E_CHANGED', message, { hint: 'start it anew: sluice serve --restart' });
  }

  /**
   * Leads the policy to where it was: replays the trace and compares what it decides with the journal. `deletions`: those that the dataset had
   * seen when the pipeline began; `windows`: those that were evaluated. Returns the triggers of whose trainings the policy was told.
   * E_CHANGED, E_ABORTED.
   */
  async lead({ deletions = 0, windows }: Pick<PipelineRecord, 'deletions' | 'windows'>): Promise<ReadonlySet<number>> {
    const { journal, dataset } = this.#steps.context;
    const evaluated = windows.at(-1);
    if (evaluated !== undefined) this.#windows.countFrom(evaluated);
    using snapshot = dataset.snapshot({ leaseMs: 0 });
    this.#stands = deletions !== dataset.deletionCount();
    const view = new Arrivals(snapshot);
    const told = new Set<number>();
    const turn = this.#turns();
    for (const entry of readTrace(journal, this.#id)) {
      const pause = turn();
      if (pause !== undefined) await pause;
      if ('trained' in entry) {
        told.add(entry.trained);
        this.#steps.tell(this.#trigger, journal.training(this.#id, entry.trained) as TrainingRecord);
        continue;
      }
      const { triggers, ended } = this.#inform(view, entry.end);
      if (!this.#stands) for (const trigger of triggers) this.#checkRecorded(trigger);
      this.ended.push(...ended.filter(({ index }) => index > (evaluated?.index ?? -1)));
    }
    if (this.#stands) this.#takeRecorded();
    else this.#checkComplete();
    return told;
  }

  /** To be called at every step of a replay: lets others have their turn now and then, and tells how far it is. E_ABORTED. */
  #turns(): () => Promise<void> | undefined {
    const { journal, onEvent } = this.#steps.context;
    const samples = traceEnd(journal, this.#id);
    let turned = performance.now();
    let told = turned;
    return () => {
      const now = performance.now();
      if (now - turned < turnMs) return undefined;
      if (this.#loops.stopped) throw new SluiceError('E_ABORTED', 'stopped on request');
      if (now - told > reportMs) {
        onEvent({ type: 'leading', key: this.#informed, samples });
        told = now;
      }
      return nextTurn().then(() => {
        turned = performance.now();
      });
    };
  }

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

  #changed(what: string): SluiceError {
    const policy = this.#steps.context.pipeline.trigger.policy.id;
    const hint = 'start it anew: sluice serve --restart';
    return new SluiceError('E_CHANGED', `the policy '${policy}' ${what}: it must decide the same for the same stream`, { hint });
  }

  // --- arrival -----------------------------------------------------------------------------------------------------

  /** Shows the policy what arrives until the loops end. */
  async run(): Promise<void> {
    const { dataset } = this.#steps.context;
    while (!this.#loops.stopped) {
      if (dataset.size() === this.#informed) {
        await this.#bell.wait();
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
      const view = new Arrivals(snapshot);
      for (let n = 0; n < batchesPerCommit && this.#informed < snapshot.size; n++) {
        const end = Math.min(snapshot.size, this.#informed + size - (this.#informed % size));
        const { triggers, ended } = this.#inform(view, end);
        this.#trace.push({ end });
        for (const trigger of triggers) records.push(...this.#pending.add(trigger));
        this.ended.push(...ended);
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
    this.#onShown();
  }

  /** Shows the samples up to the key `end` to the policy as one batch. */
  #inform(view: Arrivals, end: number): { triggers: TriggerRecord[]; ended: EvalWindow[] } {
    const triggers: TriggerRecord[] = [];
    const ended: EvalWindow[] = [];
    for (const batch of view.between(this.#informed, end)) {
      triggers.push(...this.#decide(view, batch));
      ended.push(...this.#windows.add(batch));
      this.#lastSample = batch.firstKey + batch.length - 1;
    }
    this.#informed = end;
    return { triggers, ended };
  }

  #decide({ snapshot }: Arrivals, batch: ArrivalBatch): TriggerRecord[] {
    const triggers: TriggerRecord[] = [];
    for (const decision of this.#steps.inform(this.#trigger, batch)) {
      const { at, ...rest } = decision;
      const key = at === -1 ? this.#lastSample : batch.firstKey + at;
      // Decided already, or nothing is left between two triggers.
      if ((this.#stands || key !== batch.firstKey + at) && key <= this.#lastKey) continue;
      checkDecision(this.#steps.context.pipeline.trigger.policy.id, decision, batch, this.#lastKey);
      const timeMs = at >= 0 ? batch.time(at) : Number(snapshot.timestamps(key, 1)[0]);
      triggers.push({ ...rest, id: this.#triggers++, key, timeMs });
      this.#lastKey = key;
    }
    return triggers;
  }
}
