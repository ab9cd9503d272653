// Runs the two policies' answers through their checks: what a user's module returns is not trusted.
import type { LoadedPipeline } from '../config/parse.js';
import { SluiceError } from '../errors.js';
import type { Snapshot } from '../native/dataset.js';
import { Metadata } from '../native/metadata.js';
import { selectFreshness } from '../native/select.js';
import type { Recorded, Selection } from '../native/types.js';
import type { ArrivalBatch, SelectedSet, SelectionContext, TriggerDecision } from '../policies/define.js';
import { uniformLiving } from './living.js';
import type { TriggerRecord } from './results.js';

/** E_POLICY unless the decision names a sample of the batch (or the one before it), after the previous trigger. */
export function checkDecision(policy: string, decision: TriggerDecision, batch: ArrivalBatch, lastKey: number): void {
  const { at, reason } = decision;
  const fail = (what: string) => {
    throw new SluiceError('E_POLICY', `triggering policy '${policy}': ${what}`);
  };
  if (!Number.isInteger(at) || at < -1 || at >= batch.length) fail(`at: expected a position from -1 to ${batch.length - 1}, got ${at}`);
  if (batch.firstKey + at <= lastKey) fail(`at: sample ${batch.firstKey + at} does not lie after the previous trigger (sample ${lastKey})`);
  if (typeof reason !== 'string') fail(`reason: expected a string, got ${typeof reason}`);
}

/** Spreads a pipeline's seed over its triggers; stays below 2^53. */
export function triggerSeed(seed: number, triggerId: number): number {
  return Number((BigInt(seed) * 1_000_003n + BigInt(triggerId) + 1n) % 9_007_199_254_740_881n);
}

/** The trigger training set D_x, checked; null when the policy selected nothing. It may hold deleted samples, which freezing leaves out. */
export async function select(
  pipeline: LoadedPipeline,
  snapshot: Snapshot,
  recordedFolder: string,
  trigger: TriggerRecord,
  first: number,
): Promise<Selection | null> {
  const { policy, config } = pipeline.selection;
  const end = trigger.key + 1;
  const seed = triggerSeed(pipeline.config.pipeline.seed, trigger.id);
  const recorded = recordedReader(policy.id, pipeline.config.training.record, recordedFolder);
  const context = { ...selectionContext(snapshot, trigger, first, end, seed), recorded };
  let set: SelectedSet;
  try {
    set = await policy.select(config, context);
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    throw new SluiceError('E_POLICY', `selection policy '${policy.id}' failed: ${(error as Error)?.message ?? error}`, { cause: error });
  }
  return checkSelected(policy.id, set, end);
}

function selectionContext(
  snapshot: Snapshot,
  trigger: TriggerRecord,
  first: number,
  end: number,
  seed: number,
): Omit<SelectionContext, 'recorded'> {
  return {
    triggerId: trigger.id,
    first,
    end,
    now: trigger.timeMs,
    seed,
    living: (from, to) => snapshot.living(from, to),
    uniform: (from, to, count) => uniformLiving(snapshot, from, to, count, seed),
    freshness: (from, to, count, halfLifeMs) => selectFreshness(snapshot, from, to, { now: trigger.timeMs, halfLifeMs, count, seed }),
    timestamps: (from, to) => snapshot.timestamps(from, to - from).slice(),
    labels: (from, to) => snapshot.labels(from, to - from).slice(),
  };
}

/** What the pipeline's trainings recorded; before the first one there is nothing. */
function recordedReader(policy: string, values: readonly Recorded[], folder: string): SelectionContext['recorded'] {
  return async (value, first, end) => {
    if (!values.includes(value)) {
      const hint = `training: { record: [${[...values, value].join(', ')}] }`;
      throw new SluiceError('E_POLICY', `selection policy '${policy}': ${value} is not recorded`, { hint });
    }
    try {
      return (await new Metadata(folder).readRange(value, first, end)) as Float32Array;
    } catch (error) {
      if (error instanceof SluiceError && error.code === 'E_NOT_FOUND') return new Float32Array(end - first).fill(Number.NaN);
      throw error;
    }
  };
}

function checkSelected(policy: string, set: SelectedSet, end: number): Selection | null {
  const fail = (what: string) => {
    throw new SluiceError('E_POLICY', `selection policy '${policy}': ${what}`);
  };
  if (typeof set !== 'object' || set === null) fail(`expected { first, end } or { keys, weights }, got ${set}`);
  if ('keys' in set) {
    const { keys, weights } = set;
    if (!(keys instanceof BigUint64Array)) fail('keys: expected a BigUint64Array');
    if (weights !== undefined && !(weights instanceof Float32Array && weights.length === keys.length))
      fail(`weights: expected a Float32Array of ${keys.length} values`);
    const limit = BigInt(end);
    const beyond = keys.findIndex((key) => key >= limit);
    if (beyond >= 0) fail(`keys[${beyond}]: sample ${keys[beyond]} arrived after the trigger (sample ${end - 1})`);
    return keys.length === 0 ? null : { keys, weights: weights ?? null };
  }
  const { first, end: last } = set;
  if (!Number.isInteger(first) || !Number.isInteger(last) || first < 0 || first > last || last > end)
    fail(`expected a range within 0 to ${end}, got ${first} to ${last}`);
  return first === last ? null : { first, end: last };
}
