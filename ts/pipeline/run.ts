// Experiment mode, the whole way of the data on one page: samples arrive again in order (1), the triggering policy
// decides when (2), the selection policy on what (3), the set is frozen (4), a model is trained on it from the previous
// one (5, 6), stored and evaluated (7). Each step is journalled before it counts; a step that is there is not done again.
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { LoadedPipeline } from '../config/parse.js';
import { SluiceError } from '../errors.js';
import { Dataset, type Snapshot } from '../native/dataset.js';
import { evaluate } from '../native/evaluator.js';
import { requireCuda, setComputeThreads } from '../native/threads.js';
import { train } from '../native/trainer.js';
import { freezeTrainset } from '../native/trainset.js';
import type { Trigger, TriggerDecision } from '../policies/define.js';
import type { OnEvent } from './events.js';
import { type Folders, foldersOf, makeFolder } from './folders.js';
import { ingestPipeline } from './ingest.js';
import { Journal, type PipelineRecord, readResult, type SetRecord } from './journal.js';
import { deviceName } from './device.js';
import { type ParserPool, parserPool } from './parsers.js';
import { checkModel, recipeOf, type TrainingRecipe } from './plan.js';
import { replay } from './replay.js';
import type { EvalWindow, RunResult, TrainingRecord, TriggerRecord, WindowMetrics } from './results.js';
import { checkDecision, select } from './select.js';
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
    const run = new Run(pipeline, folders, journal, dataset, snapshot, onEvent, options.signal, parsers);
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

class Run {
  readonly #id: string;
  readonly #recipe: TrainingRecipe;
  readonly #trigger: Trigger;
  readonly #windows: EvalWindow[];
  readonly #recorded: string; // folder of what trainings record
  readonly #seconds: RunResult['seconds'] = { trigger: 0, select: 0, train: 0, evaluate: 0, total: 0 };
  readonly #started = performance.now();
  #triggers = 0;
  #lastKey = -1; // of the last trigger
  #model: { id: string; file: string } | null; // the previous one

  constructor(
    readonly pipeline: LoadedPipeline,
    readonly folders: Folders,
    readonly journal: Journal,
    readonly dataset: Dataset,
    readonly snapshot: Snapshot,
    readonly onEvent: OnEvent,
    readonly signal: AbortSignal | undefined,
    parsers: ParserPool | undefined,
  ) {
    const { config } = pipeline;
    this.#id = config.pipeline.id;
    this.#recorded = folders.recorded(config.dataset.id, this.#id);
    const info = dataset.info();
    if (info.size === 0) throw new SluiceError('E_SOURCE', `dataset ${config.dataset.id} holds no samples`);
    if (!info.sorted)
      throw new SluiceError(
        'E_SOURCE',
        `dataset ${config.dataset.id}: timestamps go back in time; experiments replay sources that are in order of time`,
      );
    this.#recipe = recipeOf(pipeline, info.schema, folders.trainsets, parsers?.queue.handle);
    this.#trigger = pipeline.trigger.policy.create(pipeline.trigger.config, { seed: config.pipeline.seed });
    this.#windows = evaluationWindows(snapshot, config.evaluation.window);
    const { first } = config.training;
    this.#model = first === undefined ? null : { id: first, file: first };
  }

  async begin(): Promise<void> {
    const { config, hash, file, text, trigger, selection } = this.pipeline;
    const [firstMs, lastMs] = timeSpan(this.snapshot);
    const dataset = { id: config.dataset.id, samples: this.snapshot.size, firstMs, lastMs };
    const earlier = this.journal.pipeline(this.#id);
    if (earlier !== undefined && earlier.dataset.samples !== dataset.samples) {
      const hint = 'start it anew: sluice run --restart';
      throw new SluiceError(
        'E_CHANGED',
        `dataset ${dataset.id} has ${dataset.samples} samples, it had ${earlier.dataset.samples} when the run of ${this.#id} began`,
        { hint },
      );
    }
    await makeFolder(this.folders.trainsets);
    await makeFolder(this.folders.models(this.#id));
    if (earlier === undefined) {
      await rm(this.#recorded, { recursive: true, force: true });
      await removeCheckpoints(this.folders.models(this.#id));
      const policies = { triggerPolicy: trigger.policy.id, selectionPolicy: selection.policy.id };
      const record = { id: this.#id, hash, file, text, seed: config.pipeline.seed, ...policies, dataset, windows: this.#windows };
      await this.journal.putPipeline({ ...record, createdMs: Date.now(), complete: false, seconds: this.#seconds });
    }
    let recorded = 0;
    while (this.journal.evaluation(this.#id, recorded) !== undefined) recorded++;
    this.onEvent({
      type: 'start',
      pipelineId: this.#id,
      samples: dataset.samples,
      firstMs,
      lastMs,
      windows: this.#windows.length,
      recorded,
      device: deviceName(this.#recipe.device),
    });
  }

  /** Replays the stream; every decision of the policy becomes a trigger that is handled before the next sample arrives. */
  async stream(): Promise<void> {
    const { replay: options } = this.pipeline.config;
    const most = options.maxTriggers ?? Number.POSITIVE_INFINITY;
    let status: 'complete' | 'incomplete' = 'complete';
    outer: for (const batch of replay(this.snapshot, options.batch)) {
      if (this.signal?.aborted) throw new SluiceError('E_ABORTED', 'stopped on request');
      const decisions = this.#timed('trigger', () => this.#decide(() => [...this.#trigger.inform(batch)]));
      for (const decision of decisions) {
        if (this.#triggers >= most) {
          status = 'incomplete';
          break outer;
        }
        checkDecision(this.pipeline.trigger.policy.id, decision, batch, this.#lastKey);
        const at = batch.firstKey + decision.at;
        await this.#handle(decision, at, decision.at >= 0 ? batch.time(decision.at) : Number(this.snapshot.timestamps(at, 1)[0]));
      }
      this.onEvent({
        type: 'replay',
        key: batch.firstKey + batch.length,
        samples: this.snapshot.size,
        timeMs: batch.time(batch.length - 1),
      });
    }
    this.#seconds.total = (performance.now() - this.#started) / 1000;
    const record = this.journal.pipeline(this.#id) as PipelineRecord;
    const seconds = this.#seconds.train > 0 ? this.#seconds : record.seconds;
    await this.journal.putPipeline({ ...record, complete: status === 'complete', seconds });
    this.onEvent({ type: 'done', status, triggers: this.#triggers, seconds: this.#seconds.total });
  }

  async #handle(decision: TriggerDecision, key: number, timeMs: number): Promise<void> {
    const id = this.#triggers++;
    const trigger = await this.#recordTrigger({ ...decision, id, key, timeMs });
    const first = this.pipeline.selection.reset ? this.#lastKey + 1 : 0;
    this.#lastKey = key;
    const training = await this.#train(trigger, first);
    if (training === null) return;
    const { modelId, samples, seconds: trainSeconds } = training;
    this.#model = { id: modelId, file: this.folders.modelFile(this.#id, id) };
    this.#decide(() => this.#trigger.trained?.({ triggerId: id, modelId, samples, trainSeconds }));
    await this.#evaluate(training, key);
  }

  async #recordTrigger(decided: TriggerRecord & { at?: number }): Promise<TriggerRecord> {
    const { at: _, ...trigger } = decided;
    const earlier = this.journal.trigger(this.#id, trigger.id);
    if (earlier !== undefined && earlier.key !== trigger.key) {
      const message = `trigger ${trigger.id} fired at sample ${trigger.key}, in the run before at sample ${earlier.key}: the policy '${this.pipeline.trigger.policy.id}' must decide the same for the same stream`;
      throw new SluiceError('E_CHANGED', message, { hint: 'start it anew: sluice run --restart' });
    }
    if (earlier === undefined) await this.journal.putTrigger(this.#id, trigger);
    this.onEvent({ type: 'trigger', trigger, recorded: earlier !== undefined });
    return trigger;
  }

  async #train(trigger: TriggerRecord, first: number): Promise<TrainingRecord | null> {
    const earlier = this.journal.training(this.#id, trigger.id);
    const output = this.folders.modelFile(this.#id, trigger.id);
    if (earlier !== undefined && (await exists(output))) {
      this.onEvent({ type: 'trained', training: earlier, recorded: true });
      return earlier;
    }
    const set = await this.#timed('select', () => this.#select(trigger, first));
    if (set === null) return null;
    const { trainset, size } = set;
    const parent = trigger.id === 0 || this.pipeline.config.training.start === 'previous' ? this.#model : null;
    const metadata = {
      pipeline: this.#id,
      trigger: String(trigger.id),
      trainset,
      parent: parent?.id ?? '',
      dataset: this.pipeline.config.dataset.id,
    };
    const { everySeconds, everySteps = 0 } = this.pipeline.config.training.checkpoint;
    const checkpoints = { path: this.folders.checkpointFile(this.#id, trigger.id), everySteps, everySeconds };
    const record = { folder: this.#recorded, values: this.pipeline.config.training.record };
    const plan = { ...this.#recipe, record, trainset, parent: parent?.file ?? '', output, metadata, checkpoints };
    const onProgress = (p: { steps: number; totalSteps: number; samples: number; loss: number }) =>
      this.onEvent({ type: 'train', triggerId: trigger.id, ...p });
    const result = await this.#timed('train', () => train(this.dataset, plan, { signal: this.signal, onProgress }));
    const ids = {
      triggerId: trigger.id,
      trainset,
      trainsetSize: size,
      modelId: `${this.#id}/${trigger.id}`,
      modelFile: output,
      parent: parent?.id ?? null,
    };
    const training = { ...ids, ...result };
    await this.journal.putTraining(this.#id, training);
    this.onEvent({ type: 'trained', training, recorded: false });
    return training;
  }

  /**
   * The frozen set. Where trainings record values it is journalled before its own training changes them: a run that goes on
   * would else select from others. Without them selecting again gives the same set, also where its file was lost.
   */
  async #select(trigger: TriggerRecord, first: number): Promise<SetRecord | null> {
    const records = this.pipeline.config.training.record.length > 0;
    const earlier = records ? this.journal.set(this.#id, trigger.id) : undefined;
    if (earlier !== undefined) return earlier;
    const selected = await select(this.pipeline, this.snapshot, this.#recorded, trigger, first);
    if (selected === null) return null;
    const trainset = await freezeTrainset(this.folders.trainsets, selected.selection, this.snapshot.size);
    const set = { trainset, size: selected.size };
    if (records) await this.journal.putSet(this.#id, trigger.id, set);
    return set;
  }

  async #evaluate(training: TrainingRecord, key: number): Promise<void> {
    const { triggerId } = training;
    const modelFile = this.folders.modelFile(this.#id, triggerId);
    const earlier = this.journal.evaluation(this.#id, triggerId);
    if (earlier !== undefined) return this.onEvent({ type: 'evaluated', triggerId, evaluation: earlier, recorded: true });
    const { windows: which, batchSize } = this.pipeline.config.evaluation;
    const windows = this.#windows.filter((w) => which === 'all' || w.first > key);
    const plan = {
      features: this.#recipe.features,
      model: this.#recipe.model,
      criterion: this.#recipe.criterion,
      batchSize,
      modelFile,
      windows: windows.map(({ first, end }) => ({ first, end })),
    };
    const onProgress = (done: number) => this.onEvent({ type: 'evaluate', triggerId, done, total: windows.length });
    const metrics = await this.#timed('evaluate', () => evaluate(this.dataset, plan, { signal: this.signal, onProgress }));
    const evaluation: WindowMetrics[] = metrics.map((m, i) => ({ window: (windows[i] as EvalWindow).index, ...m }));
    await this.journal.putEvaluation(this.#id, triggerId, evaluation);
    this.onEvent({ type: 'evaluated', triggerId, evaluation, recorded: false });
  }

  /** What a user's policy throws becomes E_POLICY with its id. */
  #decide<T>(call: () => T): T {
    try {
      return call();
    } catch (error) {
      if (error instanceof SluiceError) throw error;
      throw new SluiceError(
        'E_POLICY',
        `triggering policy '${this.pipeline.trigger.policy.id}' failed: ${(error as Error)?.message ?? error}`,
        { cause: error },
      );
    }
  }

  /** Adds the wall-clock time of `work` to its step. */
  #timed<T>(step: 'trigger' | 'select' | 'train' | 'evaluate', work: () => T): T {
    const start = performance.now();
    const add = () => {
      this.#seconds[step] += (performance.now() - start) / 1000;
    };
    const result = work();
    if (result instanceof Promise) return result.finally(add) as T;
    add();
    return result;
  }
}

/** Of a run that was forgotten: its trainings may have had other parents, and what they recorded is gone. */
async function removeCheckpoints(folder: string): Promise<void> {
  for (const file of await readdir(folder)) if (file.endsWith('.checkpoint')) await rm(join(folder, file), { force: true });
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
