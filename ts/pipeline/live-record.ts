// The record of a pipeline in production: what `sluice ls` and `report` show of it, and what it was when it began.
import type { PipelineRecord } from './journal.js';
import type { Steps } from './steps.js';

export class LiveRecord {
  readonly #steps: Steps;
  readonly #id: string;

  constructor(steps: Steps) {
    this.#steps = steps;
    this.#id = steps.context.pipeline.config.pipeline.id;
  }

  /** The record of an earlier start, or a new one, which is journalled. */
  async begin(): Promise<PipelineRecord> {
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

  /** Journals how far the policy has come: it has seen the samples before the key `informed`. */
  async put(informed: number): Promise<void> {
    await this.#steps.context.journal.putPipeline(this.now(informed));
  }

  now(informed: number): PipelineRecord {
    const { journal, dataset } = this.#steps.context;
    const earlier = journal.pipeline(this.#id) as PipelineRecord;
    if (informed === 0) return earlier;
    using snapshot = dataset.snapshot({ leaseMs: 0 });
    const [firstMs, lastMs] = [0, informed - 1].map((key) => Number(snapshot.timestamps(key, 1)[0])) as [number, number];
    return { ...earlier, dataset: { id: earlier.dataset.id, samples: informed, firstMs, lastMs }, seconds: this.#steps.seconds };
  }
}
