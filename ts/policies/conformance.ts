// What every policy has to keep to, ours and users'. The suites belong to no test runner: they throw on a violation.
//   test('my trigger', () => checkTrigger(policy, { samples: 100 }));
import { z } from 'zod';
import { SluiceError } from '../errors.js';
import { cut, memoryContext, type Stream, sampleStreams } from './conformance-data.js';
import type { SelectedSet, SelectionPolicy, TriggerDecision, TriggerPolicy } from './define.js';
import { randomBelow } from './random.js';

type Policy = { kind: string; id: string; summary: string; config: z.ZodType };

/**
 * Runs a triggering policy with `config` (as written in the pipeline file, beside id) over made-up streams and throws
 * E_POLICY unless: the config is accepted and unknown fields are not; `at` lies in [-1, length) and increases; no sample
 * causes two triggers; the same stream and seed give the same decisions, however it is cut into batches and whatever
 * other instances see; the batch is not written to.
 */
export function checkTrigger<C>(policy: TriggerPolicy<C>, config: unknown): void {
  checkDescription(policy, 'trigger');
  const parsed = checkConfig(policy, config) as C;
  for (const stream of sampleStreams()) {
    const fail = (what: string) => violation(policy, `${what} (${stream.name})`);
    const whole = decide(policy, parsed, stream, [stream.timestamps.length], fail);
    const again = decide(policy, parsed, stream, [stream.timestamps.length], fail);
    if (!same(whole, again)) fail('the same stream and seed gave other decisions the second time');
    for (const lengths of cut(stream.timestamps.length)) {
      if (!same(whole, decide(policy, parsed, stream, lengths, fail))) {
        fail(`batches of ${lengths.slice(0, 5).join(', ')} … samples gave other decisions than one batch`);
      }
    }
    checkIndependence(policy, parsed, stream, whole, fail);
  }
}

/**
 * Runs a data selection policy with `config` (as written in the pipeline file, beside id and reset) over made-up
 * candidates and throws E_POLICY unless: the config is accepted and unknown fields are not; keys lie in [first, end),
 * increase and are a BigUint64Array; weights are finite, >= 0 and one for each key; the same candidates and seed give the
 * same set.
 */
export async function checkSelection<C>(policy: SelectionPolicy<C>, config: unknown): Promise<void> {
  checkDescription(policy, 'selection');
  if (typeof policy.reset !== 'boolean') violation(policy, 'reset: expected true or false');
  const parsed = checkConfig(policy, config) as C;
  for (const [first, end] of [
    [0, 1],
    [0, 2],
    [0, 1000],
    [999, 1000],
    [500, 5000],
    [0, 70_000],
  ] as const) {
    for (const seed of [0, 7]) {
      const context = () => memoryContext({ first, end, seed, timestamps: hourly(end) });
      const fail = (what: string) => violation(policy, `${what} (candidates [${first}, ${end}), seed ${seed})`);
      const set = await policy.select(parsed, context());
      checkSet(set, first, end, fail);
      if (!sameSet(set, await policy.select(parsed, context()))) fail('the same candidates and seed gave another set the second time');
    }
  }
}

export type { MemoryContextOptions } from './conformance-data.js';
export { memoryContext } from './conformance-data.js';

function violation(policy: Policy, what: string): never {
  throw new SluiceError('E_POLICY', `policy '${policy.id}': ${what}`);
}

function checkDescription(policy: Policy, kind: string): void {
  if (policy.kind !== kind) violation(policy, `kind: expected ${kind}, got ${policy.kind}`);
  if (typeof policy.id !== 'string' || policy.id === '') violation(policy, 'id: expected text');
  if (typeof policy.summary !== 'string' || !/\.$/.test(policy.summary)) violation(policy, 'summary: expected one sentence');
}

function checkConfig(policy: Policy, config: unknown): unknown {
  const parsed = policy.config.safeParse(config);
  if (!parsed.success) violation(policy, `config: ${z.prettifyError(parsed.error)}`);
  const unknown = { ...(config as object), fieldThatDoesNotExist: 1 };
  if (policy.config.safeParse(unknown).success) violation(policy, 'config: an unknown field is accepted; use z.strictObject');
  try {
    z.toJSONSchema(policy.config, { target: 'draft-7', io: 'input' });
  } catch (error) {
    throw new SluiceError('E_POLICY', `policy '${policy.id}': config: no JSON Schema can be made of it`, { cause: error });
  }
  return parsed.data;
}

/** A decision by key instead of position: comparable between cuts. */
type Decided = { key: number; reason: string; score: number | undefined; threshold: number | undefined };
type Fail = (what: string) => never;

function decide<C>(policy: TriggerPolicy<C>, config: C, stream: Stream, lengths: readonly number[], fail: Fail): Decided[] {
  const trigger = policy.create(config, { seed: 1 });
  const decided: Decided[] = [];
  let first = 0;
  for (const length of lengths) {
    const batch = stream.batch(first, length);
    const before = batch.timestamps.slice();
    for (const decision of trigger.inform(batch)) decided.push(checkDecision(decision, first, length, decided.at(-1), fail));
    if (!before.every((t, i) => t === batch.timestamps[i])) fail('the timestamps of the batch were changed');
    first += length;
  }
  return decided;
}

function checkDecision(decision: TriggerDecision, first: number, length: number, previous: Decided | undefined, fail: Fail): Decided {
  const { at, reason, score, threshold } = decision;
  if (!Number.isInteger(at) || at < -1 || at >= length) fail(`at: expected a position from -1 to ${length - 1}, got ${at}`);
  const key = first + at;
  if (key < 0) fail('at: -1 in the first batch: there is no sample before it');
  if (previous && key <= previous.key) fail(`at: sample ${key} does not lie after the previous trigger (sample ${previous.key})`);
  if (typeof reason !== 'string' || reason === '') fail('reason: expected a sentence');
  for (const value of [score, threshold]) {
    if (value !== undefined && !Number.isFinite(value)) fail(`score and threshold: expected finite numbers, got ${value}`);
  }
  return { key, reason, score, threshold };
}

/** Two instances side by side must not disturb each other: state belongs to what create() returns. */
function checkIndependence<C>(policy: TriggerPolicy<C>, config: C, stream: Stream, whole: readonly Decided[], fail: Fail): void {
  const instances = [policy.create(config, { seed: 1 }), policy.create(config, { seed: 1 })];
  const counts = [0, 0];
  for (let first = 0; first < stream.timestamps.length; first += 97) {
    const length = Math.min(97, stream.timestamps.length - first);
    for (const [i, trigger] of instances.entries()) counts[i]! += [...trigger.inform(stream.batch(first, length))].length;
  }
  if (counts.some((count) => count !== whole.length)) fail('two instances side by side disturb each other');
}

function same(a: readonly Decided[], b: readonly Decided[]): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function checkSet(set: SelectedSet, first: number, end: number, fail: Fail): void {
  if (typeof set !== 'object' || set === null) fail(`expected { first, end } or { keys, weights }, got ${set}`);
  if (!('keys' in set)) {
    const inside = Number.isInteger(set.first) && Number.isInteger(set.end) && first <= set.first && set.first <= set.end && set.end <= end;
    if (!inside) fail(`expected a range within the candidates, got [${set.first}, ${set.end})`);
    return;
  }
  const { keys, weights } = set;
  if (!(keys instanceof BigUint64Array)) fail('keys: expected a BigUint64Array');
  keys.forEach((key, i) => {
    if (key < BigInt(first) || key >= BigInt(end)) fail(`keys[${i}]: ${key} is no candidate`);
    if (i > 0 && key <= keys[i - 1]!) fail(`keys[${i}]: ${key} follows ${keys[i - 1]}; expected increasing keys`);
  });
  if (weights === undefined) return;
  if (!(weights instanceof Float32Array) || weights.length !== keys.length)
    fail(`weights: expected a Float32Array of ${keys.length} values`);
  weights.forEach((weight, i) => {
    if (!(weight >= 0 && Number.isFinite(weight))) fail(`weights[${i}]: expected a finite number >= 0, got ${weight}`);
  });
}

function sameSet(a: SelectedSet, b: SelectedSet): boolean {
  const show = (set: SelectedSet) => ('keys' in set ? `${set.keys.join()};${set.weights?.join() ?? ''}` : `${set.first}-${set.end}`);
  return show(a) === show(b);
}

/** A sample an hour, with some that arrive late. */
function hourly(length: number): BigInt64Array {
  const random = randomBelow(3);
  return BigInt64Array.from({ length }, (_, i) => BigInt(978_307_200_000 + (i - random(5)) * 3_600_000));
}
