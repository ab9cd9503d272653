// What a triggering policy and a data selection policy are: data plus a few functions. No base class.
import type { z } from 'zod';
import type { Recorded } from '../native/types.js';

/** A decision to trigger. `at` is the position in the batch of the last sample that belongs to the trigger; -1 = the sample before this batch. */
export type TriggerDecision = {
  at: number;
  /** One sentence for people: why. */
  reason: string;
  /** What was measured and what it was compared with, where the policy has such numbers. */
  score?: number;
  threshold?: number;
};

/** S_t: the samples that arrived in one step, in column form. Typed arrays are views that are valid during inform() only. */
export type ArrivalBatch = {
  /** Number of samples. */
  readonly length: number;
  /** Key of the first sample; keys are consecutive. */
  readonly firstKey: number;
  /** Milliseconds since 1970-01-01 UTC, [length]. */
  readonly timestamps: BigInt64Array;
  /** Labels, [length]. */
  readonly labels: Float32Array;
  /** Timestamp of sample i as a number, without a BigInt. */
  time(i: number): number;
};

/** What a trained model meant, told to the policy after each training. */
export type TrainedModel = { triggerId: number; modelId: string; samples: number; trainSeconds: number };

export type Trigger = {
  /** Called for every batch in order; yields decisions with increasing `at`. Stateful. */
  inform(batch: ArrivalBatch): Iterable<TriggerDecision>;
  /** Called after the training that a decision of this policy started. */
  trained?(model: TrainedModel): void;
};

export type TriggerContext = { seed: number };

export type TriggerPolicy<C = unknown> = {
  kind: 'trigger';
  id: string;
  /** One sentence, shown by `sluice policies` and in the docs. */
  summary: string;
  /** Schema of the policy's fields beside `id`. */
  config: z.ZodType<C>;
  create(config: C, context: TriggerContext): Trigger;
};

/** Identity helper: infers the config's type. */
export function defineTrigger<C>(policy: Omit<TriggerPolicy<C>, 'kind'>): TriggerPolicy<C> {
  return { kind: 'trigger', ...policy };
}

/** The trigger training set D_x: a range of keys, or keys with optional weights (each multiplies its sample's gradient). */
export type SelectedSet = { first: number; end: number } | { keys: BigUint64Array; weights?: Float32Array };

export type SelectionContext = {
  triggerId: number;
  /** Candidates: keys [first, end). Without reset `first` is 0, with reset it is the first key after the previous trigger. */
  first: number;
  end: number;
  /** Timestamp (ms) of the sample that caused the trigger. */
  now: number;
  /** Differs from trigger to trigger and derives from the pipeline's seed. */
  seed: number;
  /**
   * The candidates of [first, end) that were not deleted, as ranges of keys. Samplers draw from them alone; deleted samples
   * that a policy returns all the same are left out.
   */
  living(first: number, end: number): readonly { first: number; end: number }[];
  /** Native samplers; all return keys in increasing order. */
  uniform(first: number, end: number, count: number): Promise<BigUint64Array>;
  freshness(first: number, end: number, count: number, halfLifeMs: number): Promise<BigUint64Array>;
  /**
   * What the last training that passed a sample of the keys [first, end) recorded of it (training.record names the values); NaN
   * where none did. gradient-norm is the L2 norm of the loss's gradient at the logits, confidence the probability of
   * the likeliest class, margin its lead over the second (small in doubt), entropy that of all classes in nats (great in doubt).
   */
  recorded(value: Recorded, first: number, end: number): Promise<Float32Array>;
  /** Columns of the candidates, for a policy's own arithmetic (copies). */
  timestamps(first: number, end: number): BigInt64Array;
  labels(first: number, end: number): Float32Array;
};

export type SelectionPolicy<C = unknown> = {
  kind: 'selection';
  id: string;
  summary: string;
  /** Schema of the policy's fields beside `id` and `reset`. */
  config: z.ZodType<C>;
  /** Value of `reset` when the pipeline does not say. */
  reset: boolean;
  select(config: C, context: SelectionContext): SelectedSet | Promise<SelectedSet>;
};

/** Identity helper: infers the config's type. */
export function defineSelection<C>(policy: Omit<SelectionPolicy<C>, 'kind'>): SelectionPolicy<C> {
  return { kind: 'selection', ...policy };
}
