// Experiment mode: existing samples arrive again in order (1), the triggering policy decides when (2), and every trigger is handled,
// (3) to (7) by steps.ts, before the next sample arrives. With the trace of a pipeline in production they arrive as they did there.
import type { LoadedPipeline } from '../config/parse.js';
import { SluiceError } from '../errors.js';
import { Dataset } from '../native/dataset.js';
import type { ArrivalBatch, Trigger } from '../policies/define.js';
import { claim } from './claim.js';
import { deviceName } from './device.js';
import type { OnEvent } from './events.js';
import { foldersOf } from './folders.js';
import { ingestPipeline } from './ingest.js';
import { Journal, type PipelineRecord, readResult } from './journal.js';
import { parserPool } from './parsers.js';
import { arrivals, replay } from './replay.js';
import type { EvalWindow, RunResult, TrainingRecord, TriggerRecord } from './results.js';
import { checkDecision } from './select.js';
import { Steps } from './steps.js';
import { readTrace, traceEnd } from './trace.js';
import { LivingView } from './view.js';
import { arrivalWindows, evaluationWindows, timeSpan } from './windows.js';

export type RunOptions = {
  /** Folder of datasets, models and state; default ./sluice-data. */
  dataFolder?: string;
  signal?: AbortSignal;
  onEvent?: OnEvent;
  /** Forget an earlier run of this pipeline instead of going on with it. */
  restart?: boolean;
  /**
   * A pipeline in production on the same dataset: samples arrive in the batches in which its policy saw them. When this is the same pipeline it
   * fires the same triggers, trains those that were trained there, and is kept under `<id>.trace`.
   */
  trace?: string | undefined;
};

/** `same`: the pipeline that runs is the traced one. */
type Trace = { id: string; same: boolean };

/**
 * Runs a pipeline in experiment mode and returns its result. What an earlier run finished is taken over: after a stop,
 * a crash or a full disk the same call goes on where it was. E_CHANGED when the pipeline is not the one that began.
 */
export async function runExperiment(given: LoadedPipeline, options: RunOptions = {}): Promise<RunResult> {
  const folders = foldersOf(options.dataFolder ?? 'sluice-data');
  const onEvent = options.onEvent ?? (() => {});
  const journal = await Journal.open(folders.state);
  const pipeline = given.config.pipeline.id === options.trace ? renamed(given, `${options.trace}.trace`) : given;
  try {
    const trace = options.trace === undefined ? undefined : findTrace(journal, pipeline, options.trace);
    await claim(journal, pipeline, 'experiment', options.restart);
    if (trace === undefined) {
      const { skipped } = await ingestPipeline(pipeline, folders, { signal: options.signal, onEvent });
      if (skipped > 0) onEvent({ type: 'skipped', samples: skipped });
    }
    using dataset = Dataset.open(folders.dataset(pipeline.config.dataset.id), { readOnly: true });
    using view = new LivingView(dataset);
    await using parsers = parserPool(pipeline);
    checkReplayable(dataset, pipeline, trace);
    const steps = new Steps({
      pipeline,
      folders,
      journal,
      dataset,
      onEvent,
      signal: options.signal,
      parsers,
      withSnapshot: (work) => work(view.get()),
    });
    const run = new Run(steps, view, dataset.info().sorted, options.signal, trace);
    await run.begin();
    await run.stream();
    return readResult(journal, pipeline.config.pipeline.id);
  } finally {
    await journal.close();
  }
}

function renamed(pipeline: LoadedPipeline, id: string): LoadedPipeline {
  return { ...pipeline, config: { ...pipeline.config, pipeline: { ...pipeline.config.pipeline, id } } };
}

/** E_NOT_FOUND without a trace; E_ARGUMENT where it is of another dataset. */
function findTrace(journal: Journal, { config, hash }: LoadedPipeline, id: string): Trace {
  const traced = journal.pipeline(id);
  if (traced?.mode !== 'production' || traceEnd(journal, id) === 0) {
    const hint = 'a pipeline leaves a trace when it is run by sluice serve';
    throw new SluiceError('E_NOT_FOUND', `there is no trace of pipeline ${id}`, { hint });
  }
  if (traced.dataset.id !== config.dataset.id)
    throw new SluiceError('E_ARGUMENT', `the trace of ${id} is one of dataset ${traced.dataset.id}, not of ${config.dataset.id}`);
  return { id, same: traced.hash === hash };
}

function checkReplayable(dataset: Dataset, { config }: LoadedPipeline, trace: Trace | undefined): void {
  const { size, sorted } = dataset.info();
  if (size === 0) throw new SluiceError('E_SOURCE', `dataset ${config.dataset.id} holds no samples`);
  // Where labels became known later than samples, samples arrive in the order of their labels.
  if (sorted || trace !== undefined || config.dataset.label.time !== undefined) return;
  const message = `dataset ${config.dataset.id}: timestamps go back in time; experiments replay sources that are in order of time`;
  throw new SluiceError('E_SOURCE', message, {
    hint: 'what arrived in production can be replayed as it did: sluice run --trace <pipeline>',
  });
}

/** A trigger that has no number yet. */
type Due = Omit<TriggerRecord, 'id'>;

class Run {
  readonly #id: string;
  readonly #pipeline: LoadedPipeline;
  readonly #journal: Journal;
  readonly #onEvent: OnEvent;
  readonly #trigger: Trigger;
  readonly #windows: EvalWindow[];
  readonly #started = performance.now();
  readonly #size: number; // samples that arrive
  readonly #untold = new Map<number, TrainingRecord>(); // trainings of which the policy is told when the trace says so
  /** Triggers of an earlier run that are not handled yet: they stand, where samples that led to them were deleted since. */
  #standing: TriggerRecord[] = [];
  #lastSample = -1; // of the batch before
  #triggers = 0;
  #lastKey = -1; // of the last trigger
  #handledKey = -1; // of the last trigger whose samples count as trained

  constructor(
    readonly steps: Steps,
    readonly view: LivingView,
    sorted: boolean,
    readonly signal: AbortSignal | undefined,
    readonly trace: Trace | undefined,
  ) {
    const { pipeline, journal, onEvent } = steps.context;
    this.#id = pipeline.config.pipeline.id;
    this.#pipeline = pipeline;
    this.#journal = journal;
    this.#onEvent = onEvent;
    this.#trigger = pipeline.trigger.policy.create(pipeline.trigger.config, { seed: pipeline.config.pipeline.seed });
    const snapshot = view.get();
    const earlier = journal.pipeline(this.#id);
    this.#size = trace === undefined ? snapshot.size : (earlier?.dataset.samples ?? traceEnd(journal, trace.id));
    const { window } = pipeline.config.evaluation;
    const windows = () => (sorted ? evaluationWindows(snapshot, window, this.#size) : arrivalWindows(snapshot, window, this.#size));
    // Those of a run that goes on stay, whichever samples were deleted since.
    this.#windows = earlier?.windows ?? windows();
  }

  async begin(): Promise<void> {
    const { config, hash, file, text, trigger, selection } = this.#pipeline;
    const [firstMs, lastMs] = timeSpan(this.view.get(), this.#size);
    const dataset = { id: config.dataset.id, samples: this.#size, firstMs, lastMs };
    const deletions = this.steps.context.dataset.deletionCount();
    const earlier = this.#journal.pipeline(this.#id);
    if (earlier !== undefined && earlier.dataset.samples !== dataset.samples) {
      const hint = 'start it anew: sluice run --restart';
      throw new SluiceError(
        'E_CHANGED',
        `dataset ${dataset.id} has ${dataset.samples} samples, it had ${earlier.dataset.samples} when the run of ${this.#id} began`,
        { hint },
      );
    }
    await this.steps.begin(earlier === undefined);
    if (earlier === undefined) {
      const policies = { triggerPolicy: trigger.policy.id, selectionPolicy: selection.policy.id };
      const record = {
        id: this.#id,
        hash,
        file,
        text,
        seed: config.pipeline.seed,
        ...policies,
        dataset,
        windows: this.#windows,
        deletions,
      };
      const traced = this.trace === undefined ? {} : { trace: this.trace.id };
      await this.#journal.putPipeline({ ...record, ...traced, createdMs: Date.now(), complete: false, seconds: this.steps.seconds });
    }
    // What fired in production stands for a replay of its trace.
    const [began, standing] = this.trace?.same ? [this.#journal.pipeline(this.trace.id), this.trace.id] : [earlier, this.#id];
    if (began !== undefined && (began.deletions ?? 0) !== deletions)
      for (let id = 0, trigger = this.#journal.trigger(standing, 0); trigger !== undefined; trigger = this.#journal.trigger(standing, ++id))
        if (trigger.key < this.#size) this.#standing.push(trigger);
    let recorded = 0;
    while (this.#journal.evaluation(this.#id, recorded) !== undefined) recorded++;
    this.#onEvent({
      type: 'start',
      pipelineId: this.#id,
      samples: dataset.samples,
      firstMs,
      lastMs,
      windows: this.#windows.length,
      recorded,
      device: deviceName(this.steps.recipe.device),
    });
  }

  /** Replays the stream; every decision of the policy becomes a trigger that is handled before the next sample arrives. */
  async stream(): Promise<void> {
    const most = this.#pipeline.config.replay.maxTriggers ?? Number.POSITIVE_INFINITY;
    let status: 'complete' | 'incomplete' = 'complete';
    outer: for (const batch of this.#arrivals()) {
      if (this.signal?.aborted) throw new SluiceError('E_ABORTED', 'stopped on request');
      if ('trained' in batch) {
        const training = this.#untold.get(batch.trained);
        if (training !== undefined) this.steps.tell(this.#trigger, training);
        continue;
      }
      const key = batch.firstKey + batch.length;
      // Before a trigger is handled: the batch is gone once samples were deleted meanwhile.
      const timeMs = batch.time(batch.length - 1);
      const triggers = this.#due(batch);
      this.#lastSample = key - 1;
      for (const due of triggers) {
        if (this.#triggers >= most) {
          status = 'incomplete';
          break outer;
        }
        await this.#handle(due);
      }
      this.#onEvent({ type: 'replay', key, samples: this.#size, timeMs });
    }
    for (const due of this.#standing) if (this.#triggers < most) await this.#handle(due);
    const { seconds } = this.steps;
    seconds.total = (performance.now() - this.#started) / 1000;
    const record = this.#journal.pipeline(this.#id) as PipelineRecord;
    await this.#journal.putPipeline({ ...record, complete: status === 'complete', seconds: seconds.train > 0 ? seconds : record.seconds });
    this.#onEvent({ type: 'done', status, triggers: this.#triggers, seconds: seconds.total });
  }

  /** Batches in the order of keys; of a trace also the moments at which the policy was told of a training. */
  *#arrivals(): Generator<ArrivalBatch | { trained: number }> {
    if (this.trace === undefined) return yield* replay(() => this.view.get(), this.#size, this.#pipeline.config.replay.batch);
    let first = 0;
    for (const entry of readTrace(this.#journal, this.trace.id)) {
      if ('trained' in entry) yield entry;
      else if (entry.end > this.#size) return;
      else {
        yield* arrivals(() => this.view.get(), first, entry.end);
        first = entry.end;
      }
    }
  }

  /** The triggers that fire in a batch: those that stand from an earlier run, then what the policy decides after them. */
  #due(batch: ArrivalBatch): Due[] {
    const decisions = this.steps.inform(this.#trigger, batch);
    const standing = this.#standing.filter(({ key }) => key < batch.firstKey + batch.length);
    this.#standing = this.#standing.slice(standing.length);
    let lastKey = standing.at(-1)?.key ?? this.#lastKey;
    const due: Due[] = [...standing];
    for (const decision of this.#standing.length > 0 ? [] : decisions) {
      const key = decision.at === -1 ? this.#lastSample : batch.firstKey + decision.at;
      // Decided already, or nothing is left between two triggers.
      if ((standing.length > 0 || key !== batch.firstKey + decision.at) && key <= lastKey) continue;
      checkDecision(this.#pipeline.trigger.policy.id, decision, batch, lastKey);
      const timeMs = decision.at >= 0 ? batch.time(decision.at) : Number(this.view.get().timestamps(key, 1)[0]);
      due.push({ ...decision, key, timeMs });
      lastKey = key;
    }
    return due;
  }

  async #handle(due: Due): Promise<void> {
    const id = this.#triggers++;
    const { key } = due;
    this.#lastKey = key;
    const trigger = await this.steps.recordTrigger({ ...due, id, ...this.#outcome(id, key) });
    if (trigger.outcome !== undefined && trigger.outcome !== 'empty') return;
    const first = this.#pipeline.selection.reset ? this.#handledKey + 1 : 0;
    this.#handledKey = key;
    const training = await this.steps.train(trigger, first);
    if (training === null) return;
    if (this.trace?.same) this.#untold.set(id, training);
    else this.steps.tell(this.#trigger, training);
    const { windows: which } = this.#pipeline.config.evaluation;
    await this.steps.evaluateAll(
      training,
      this.#windows.filter((w) => which === 'all' || w.first > key),
    );
  }

  /** What became of the trigger in production, when the pipeline is the same. E_CHANGED where another one fired there. */
  #outcome(id: number, key: number): Pick<TriggerRecord, 'outcome' | 'note'> {
    if (!this.trace?.same) return {};
    const traced = this.#journal.trigger(this.trace.id, id);
    if (traced?.key !== key) {
      const there = traced === undefined ? 'it did not fire' : `it fired at sample ${traced.key}`;
      throw new SluiceError(
        'E_CHANGED',
        `trigger ${id} fired at sample ${key}, in production ${there}: the policy must decide the same for the same stream`,
      );
    }
    const { outcome, note } = traced;
    return outcome === undefined || note === undefined ? {} : { outcome, note };
  }
}
