// Experiment mode: existing samples arrive again in order (1), the triggering policy decides when (2), and every trigger is handled,
// (3) to (7) by steps.ts, before the next sample arrives.
import type { LoadedPipeline } from '../config/parse.js';
import { SluiceError } from '../errors.js';
import { Dataset, type Snapshot } from '../native/dataset.js';
import { requireCuda, setComputeThreads } from '../native/threads.js';
import type { Trigger, TriggerDecision } from '../policies/define.js';
import { deviceName } from './device.js';
import type { OnEvent } from './events.js';
import { foldersOf } from './folders.js';
import { ingestPipeline } from './ingest.js';
import { Journal, type PipelineRecord, readResult } from './journal.js';
import { parserPool } from './parsers.js';
import { checkModel } from './plan.js';
import { replay } from './replay.js';
import type { EvalWindow, RunResult } from './results.js';
import { checkDecision } from './select.js';
import { Steps } from './steps.js';
import { evaluationWindows, timeSpan } from './windows.js';

export type RunOptions = {
  /** Folder of datasets, models and state; default ./sluice-data. */
  dataFolder?: string;
  signal?: AbortSignal;
  onEvent?: OnEvent;
  /** Forget an earlier run of this pipeline instead of going on with it. */
  restart?: boolean;
};

/**
 * Runs a pipeline in experiment mode and returns its result. What an earlier run finished is taken over: after a stop,
 * a crash or a full disk the same call goes on where it was. E_CHANGED when the pipeline is not the one that began.
 */
export async function runExperiment(pipeline: LoadedPipeline, options: RunOptions = {}): Promise<RunResult> {
  const folders = foldersOf(options.dataFolder ?? 'sluice-data');
  const onEvent = options.onEvent ?? (() => {});
  const journal = await Journal.open(folders.state);
  try {
    await journal.lock(pipeline.config.pipeline.id);
    if (options.restart) await journal.forget(pipeline.config.pipeline.id);
    checkUnchanged(journal, pipeline);
    checkModel(pipeline);
    if (pipeline.config.training.device === 'cuda') requireCuda();
    setComputeThreads(pipeline.config.pipeline.threads ?? 0);
    const { skipped } = await ingestPipeline(pipeline, folders, { signal: options.signal, onEvent });
    if (skipped > 0) onEvent({ type: 'skipped', samples: skipped });
    using dataset = Dataset.open(folders.dataset(pipeline.config.dataset.id), { readOnly: true });
    // No lease: the run itself holds the snapshot until it ends.
    using snapshot = dataset.snapshot({ leaseMs: 0 });
    await using parsers = parserPool(pipeline);
    checkReplayable(dataset, pipeline);
    const steps = new Steps({
      pipeline,
      folders,
      journal,
      dataset,
      onEvent,
      signal: options.signal,
      parsers,
      withSnapshot: (work) => work(snapshot),
    });
    const run = new Run(steps, snapshot, options.signal);
    await run.begin();
    await run.stream();
    return readResult(journal, pipeline.config.pipeline.id);
  } finally {
    await journal.close();
  }
}

function checkUnchanged(journal: Journal, pipeline: LoadedPipeline): void {
  const earlier = journal.pipeline(pipeline.config.pipeline.id);
  if (earlier === undefined || earlier.hash === pipeline.hash) return;
  const hint = 'give it another pipeline.id to keep both, or start it anew: sluice run --restart';
  throw new SluiceError('E_CHANGED', `${pipeline.file} is not the pipeline '${earlier.id}' that was run before`, { hint });
}

function checkReplayable(dataset: Dataset, { config }: LoadedPipeline): void {
  const { size, sorted } = dataset.info();
  if (size === 0) throw new SluiceError('E_SOURCE', `dataset ${config.dataset.id} holds no samples`);
  if (sorted) return;
  const message = `dataset ${config.dataset.id}: timestamps go back in time; experiments replay sources that are in order of time`;
  throw new SluiceError('E_SOURCE', message);
}

class Run {
  readonly #id: string;
  readonly #pipeline: LoadedPipeline;
  readonly #journal: Journal;
  readonly #onEvent: OnEvent;
  readonly #trigger: Trigger;
  readonly #windows: EvalWindow[];
  readonly #started = performance.now();
  #triggers = 0;
  #lastKey = -1; // of the last trigger

  constructor(
    readonly steps: Steps,
    readonly snapshot: Snapshot,
    readonly signal: AbortSignal | undefined,
  ) {
    const { pipeline, journal, onEvent } = steps.context;
    this.#id = pipeline.config.pipeline.id;
    this.#pipeline = pipeline;
    this.#journal = journal;
    this.#onEvent = onEvent;
    this.#trigger = pipeline.trigger.policy.create(pipeline.trigger.config, { seed: pipeline.config.pipeline.seed });
    this.#windows = evaluationWindows(snapshot, pipeline.config.evaluation.window);
  }

  async begin(): Promise<void> {
    const { config, hash, file, text, trigger, selection } = this.#pipeline;
    const [firstMs, lastMs] = timeSpan(this.snapshot);
    const dataset = { id: config.dataset.id, samples: this.snapshot.size, firstMs, lastMs };
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
      const record = { id: this.#id, hash, file, text, seed: config.pipeline.seed, ...policies, dataset, windows: this.#windows };
      await this.#journal.putPipeline({ ...record, createdMs: Date.now(), complete: false, seconds: this.steps.seconds });
    }
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
    const { replay: options } = this.#pipeline.config;
    const most = options.maxTriggers ?? Number.POSITIVE_INFINITY;
    let status: 'complete' | 'incomplete' = 'complete';
    outer: for (const batch of replay(this.snapshot, options.batch)) {
      if (this.signal?.aborted) throw new SluiceError('E_ABORTED', 'stopped on request');
      for (const decision of this.steps.inform(this.#trigger, batch)) {
        if (this.#triggers >= most) {
          status = 'incomplete';
          break outer;
        }
        checkDecision(this.#pipeline.trigger.policy.id, decision, batch, this.#lastKey);
        const at = batch.firstKey + decision.at;
        await this.#handle(decision, at, decision.at >= 0 ? batch.time(decision.at) : Number(this.snapshot.timestamps(at, 1)[0]));
      }
      this.#onEvent({
        type: 'replay',
        key: batch.firstKey + batch.length,
        samples: this.snapshot.size,
        timeMs: batch.time(batch.length - 1),
      });
    }
    const { seconds } = this.steps;
    seconds.total = (performance.now() - this.#started) / 1000;
    const record = this.#journal.pipeline(this.#id) as PipelineRecord;
    await this.#journal.putPipeline({ ...record, complete: status === 'complete', seconds: seconds.train > 0 ? seconds : record.seconds });
    this.#onEvent({ type: 'done', status, triggers: this.#triggers, seconds: seconds.total });
  }

  async #handle(decision: TriggerDecision, key: number, timeMs: number): Promise<void> {
    const id = this.#triggers++;
    const trigger = await this.steps.recordTrigger({ ...decision, id, key, timeMs });
    const first = this.#pipeline.selection.reset ? this.#lastKey + 1 : 0;
    this.#lastKey = key;
    const training = await this.steps.train(trigger, first);
    if (training === null) return;
    this.steps.tell(this.#trigger, training);
    const { windows: which } = this.#pipeline.config.evaluation;
    await this.steps.evaluateAll(
      training,
      this.#windows.filter((w) => which === 'all' || w.first > key),
    );
  }
}
