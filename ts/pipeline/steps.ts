// What experiment mode and production mode share, the way from a trigger to an evaluated model: the selection policy says on what (3), the
// set is frozen (4), a model is trained on it from the previous one (5, 6), stored and evaluated (7). Each step is journalled before it
// counts; a step that is there is not done again.
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { LoadedPipeline } from '../config/parse.js';
import { SluiceError } from '../errors.js';
import type { Dataset, Snapshot } from '../native/dataset.js';
import { evaluate } from '../native/evaluator.js';
import { train } from '../native/trainer.js';
import { countInTrainset, freezeTrainset } from '../native/trainset.js';
import type { ArrivalBatch, Trigger, TriggerDecision } from '../policies/define.js';
import { DeletionWatch } from './deletion-watch.js';
import type { OnEvent } from './events.js';
import { exists, type Folders, makeFolder } from './folders.js';
import type { Journal, SetRecord } from './journal.js';
import type { ParserPool } from './parsers.js';
import { recipeOf, type TrainingRecipe } from './plan.js';
import type { EvalWindow, RunResult, TrainingRecord, TriggerRecord, WindowMetrics } from './results.js';
import { select } from './select.js';

export type StepContext = {
  pipeline: LoadedPipeline;
  folders: Folders;
  journal: Journal;
  dataset: Dataset;
  onEvent: OnEvent;
  /** Ends trainings and evaluations with E_ABORTED. */
  signal: AbortSignal | undefined;
  parsers: ParserPool | undefined;
  /** Runs `work` on a view that holds at least the samples of the trigger that is handled, and knows all deletions until now. */
  withSnapshot<T>(work: (snapshot: Snapshot) => Promise<T>): Promise<T>;
};

export class Steps {
  readonly recipe: TrainingRecipe;
  /** Folder of what trainings record. */
  readonly recorded: string;
  readonly seconds: RunResult['seconds'] = { trigger: 0, select: 0, train: 0, evaluate: 0, total: 0 };
  readonly #id: string;
  #model: { id: string; file: string } | null; // the previous one, or what the first training starts from
  #first = true; // no training came before

  constructor(readonly context: StepContext) {
    const { pipeline, folders, dataset, parsers } = context;
    const { config } = pipeline;
    this.#id = config.pipeline.id;
    this.recorded = folders.recorded(config.dataset.id, this.#id);
    this.recipe = recipeOf(pipeline, dataset.info().schema, folders.trainsets, parsers?.queue.handle);
    const { first } = config.training;
    this.#model = first === undefined ? null : { id: first, file: first };
  }

  /** `anew`: what a run left that was forgotten goes away. Its trainings may have had other parents. */
  async begin(anew: boolean): Promise<void> {
    const models = this.context.folders.models(this.#id);
    await makeFolder(this.context.folders.trainsets);
    await makeFolder(models);
    if (!anew) return;
    await rm(this.recorded, { recursive: true, force: true });
    for (const file of await readdir(models)) if (file.endsWith('.checkpoint')) await rm(join(models, file), { force: true });
  }

  /** The decisions of the policy on a batch. E_POLICY for what a user's policy throws. */
  inform(policy: Trigger, batch: ArrivalBatch): TriggerDecision[] {
    return this.#timed('trigger', () => this.#decide(() => [...policy.inform(batch)]));
  }

  /** Tells the policy of a training. E_POLICY. */
  tell(policy: Trigger, { triggerId, modelId, samples, seconds: trainSeconds }: TrainingRecord): void {
    this.#decide(() => policy.trained?.({ triggerId, modelId, samples, trainSeconds }));
  }

  /** Journals a trigger. E_CHANGED where the run that this one continues decided otherwise. */
  async recordTrigger(decided: TriggerRecord & { at?: number }): Promise<TriggerRecord> {
    const { at: _, ...trigger } = decided;
    const { journal, onEvent } = this.context;
    const earlier = journal.trigger(this.#id, trigger.id);
    if (earlier !== undefined) this.checkSame(trigger, earlier);
    else await journal.putTrigger(this.#id, trigger);
    onEvent({ type: 'trigger', trigger, recorded: earlier !== undefined });
    return trigger;
  }

  /** E_CHANGED unless the decision is the one that was journalled. */
  checkSame(trigger: TriggerRecord, earlier: TriggerRecord): void {
    if (earlier.key === trigger.key) return;
    const message = `trigger ${trigger.id} fired at sample ${trigger.key}, in the run before at sample ${earlier.key}: the policy '${this.context.pipeline.trigger.policy.id}' must decide the same for the same stream`;
    throw new SluiceError('E_CHANGED', message, { hint: 'start it anew with --restart' });
  }

  /** The model of a trigger whose candidates begin at key `first`; null when nothing was selected. The next training begins from it. */
  async train(trigger: TriggerRecord, first: number): Promise<TrainingRecord | null> {
    const { journal, folders, onEvent } = this.context;
    const output = folders.modelFile(this.#id, trigger.id);
    const earlier = journal.training(this.#id, trigger.id);
    const recorded = earlier !== undefined && (await exists(output));
    const training = recorded ? earlier : await this.#trainNow(trigger, first, output);
    if (training === null) return null;
    this.goOnFrom(training);
    onEvent({ type: 'trained', training, recorded });
    return training;
  }

  /** The next training comes after this one. */
  goOnFrom({ modelId, triggerId }: TrainingRecord): void {
    this.#model = { id: modelId, file: this.context.folders.modelFile(this.#id, triggerId) };
    this.#first = false;
  }

  /** A training whose set holds a sample that is deleted meanwhile is stopped, forgotten, and begun again without it. */
  async #trainNow(trigger: TriggerRecord, first: number, output: string): Promise<TrainingRecord | null> {
    const { folders, journal, dataset, onEvent, signal } = this.context;
    for (;;) {
      const deletions = dataset.deletionCount();
      const set = await this.#timed('select', () => this.#select(trigger, first));
      if (set === null) return null;
      const watch = new DeletionWatch(dataset, folders.trainsets, set.trainset, deletions);
      try {
        const training = await this.#trainOn(set, trigger, output, watch.signal);
        if (!(await watch.look())) {
          const discarded = journal.discarded(this.#id, trigger.id);
          await journal.putTraining(this.#id, discarded.length === 0 ? training : { ...training, discarded });
          return training;
        }
      } catch (error) {
        if (signal?.aborted || !(await watch.look())) throw error;
      } finally {
        await watch.stop();
      }
      await journal.putDiscarded(this.#id, trigger.id, [...journal.discarded(this.#id, trigger.id), set.trainset]);
      for (const file of [output, folders.checkpointFile(this.#id, trigger.id)]) await rm(file, { force: true });
      onEvent({ type: 'discarded', triggerId: trigger.id, trainset: set.trainset });
    }
  }

  async #trainOn({ trainset, size }: SetRecord, trigger: TriggerRecord, output: string, deleted: AbortSignal): Promise<TrainingRecord> {
    const { pipeline, folders, dataset, onEvent } = this.context;
    const signal = this.context.signal === undefined ? deleted : AbortSignal.any([this.context.signal, deleted]);
    const { start, checkpoint, record: values } = pipeline.config.training;
    const parent = this.#first || start === 'previous' ? this.#model : null;
    const metadata = {
      pipeline: this.#id,
      trigger: String(trigger.id),
      trainset,
      parent: parent?.id ?? '',
      dataset: pipeline.config.dataset.id,
    };
    const { everySeconds, everySteps = 0 } = checkpoint;
    const checkpoints = { path: folders.checkpointFile(this.#id, trigger.id), everySteps, everySeconds };
    const record = { folder: this.recorded, values };
    const plan = { ...this.recipe, record, trainset, parent: parent?.file ?? '', output, metadata, checkpoints };
    const onProgress = (p: { steps: number; totalSteps: number; samples: number; loss: number }) =>
      onEvent({ type: 'train', triggerId: trigger.id, ...p });
    const result = await this.#timed('train', () => train(dataset, plan, { signal, onProgress }));
    const ids = {
      triggerId: trigger.id,
      trainset,
      trainsetSize: size,
      modelId: `${this.#id}/${trigger.id}`,
      modelFile: output,
      parent: parent?.id ?? null,
    };
    return { ...ids, ...result };
  }

  /**
   * The frozen set. Where trainings record values it is journalled before its own training changes them: a run that goes on
   * would else select from others. Without them selecting again gives the same set, also where its file was lost.
   */
  async #select(trigger: TriggerRecord, first: number): Promise<SetRecord | null> {
    const { pipeline, folders, journal, withSnapshot } = this.context;
    const records = pipeline.config.training.record.length > 0;
    const earlier = records ? journal.set(this.#id, trigger.id) : undefined;
    if (earlier !== undefined && !(await this.#holdsDeleted(earlier))) return earlier;
    const set = await withSnapshot(async (snapshot) => {
      const selection = await select(pipeline, snapshot, this.recorded, trigger, first);
      const frozen = selection === null ? null : await freezeTrainset(folders.trainsets, selection, snapshot);
      return frozen === null ? null : { trainset: frozen.id, size: frozen.size };
    });
    if (set !== null && records) await journal.putSet(this.#id, trigger.id, set);
    return set;
  }

  async #holdsDeleted({ trainset }: SetRecord): Promise<boolean> {
    const { dataset, folders } = this.context;
    if (dataset.deletionCount() === 0) return false;
    const gone = (await dataset.deletions()).flatMap(({ keys }) => keys);
    return (await countInTrainset(folders.trainsets, trainset, gone)) > 0;
  }

  /** Evaluates a model on all the windows that it will ever be evaluated on, once. */
  async evaluateAll({ triggerId }: TrainingRecord, windows: readonly EvalWindow[]): Promise<void> {
    const { journal, onEvent } = this.context;
    const earlier = journal.evaluation(this.#id, triggerId);
    const evaluation = earlier ?? (await this.evaluate(triggerId, windows));
    if (earlier === undefined) await journal.putEvaluation(this.#id, triggerId, evaluation);
    onEvent({ type: 'evaluated', triggerId, evaluation, recorded: earlier !== undefined });
  }

  /** Metrics of a trigger's model on windows whose samples are all there. */
  async evaluate(triggerId: number, windows: readonly EvalWindow[]): Promise<WindowMetrics[]> {
    const { pipeline, folders, dataset, onEvent, signal } = this.context;
    const plan = {
      features: this.recipe.features,
      model: this.recipe.model,
      criterion: this.recipe.criterion,
      device: this.recipe.device,
      deterministic: this.recipe.deterministic,
      batchSize: pipeline.config.evaluation.batchSize,
      modelFile: folders.modelFile(this.#id, triggerId),
      windows: windows.map(({ first, end }) => ({ first, end })),
    };
    const onProgress = (done: number) => onEvent({ type: 'evaluate', triggerId, done, total: windows.length });
    const metrics = await this.#timed('evaluate', () => evaluate(dataset, plan, { signal, onProgress }));
    return metrics.map((m, i) => ({ window: (windows[i] as EvalWindow).index, ...m }));
  }

  /** What a user's policy throws becomes E_POLICY with its id. */
  #decide<T>(call: () => T): T {
    try {
      return call();
    } catch (error) {
      if (error instanceof SluiceError) throw error;
      throw new SluiceError(
        'E_POLICY',
        `triggering policy '${this.context.pipeline.trigger.policy.id}' failed: ${(error as Error)?.message ?? error}`,
        { cause: error },
      );
    }
  }

  /** Adds the wall-clock time of `work` to its step. */
  #timed<T>(step: 'trigger' | 'select' | 'train' | 'evaluate', work: () => T): T {
    const start = performance.now();
    const add = () => {
      this.seconds[step] += (performance.now() - start) / 1000;
    };
    const result = work();
    if (result instanceof Promise) return result.finally(add) as T;
    add();
    return result;
  }
}
