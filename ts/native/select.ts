// Native samplers: pure functions of (candidates, seed), run off the main thread. Keys come back in increasing order.
import { native } from './call.js';
import type { Snapshot } from './dataset.js';

/** `count` different keys of [first, end), each subset equally likely; all of them when there are no more. */
export function selectUniform(first: number, end: number, count: number, seed: number): Promise<BigUint64Array> {
  return native((addon) => addon.select_uniform(first, end, count, seed));
}

export type FreshnessOptions = {
  /** Ages are measured from here, ms since 1970. */
  now: number;
  /** A sample so much older is half as likely, ms. */
  halfLifeMs: number;
  count: number;
  seed: number;
};

/** `count` different keys of [first, end), newer samples more likely (Efraimidis and Spirakis, 2006). */
export function selectFreshness(snapshot: Snapshot, first: number, end: number, options: FreshnessOptions): Promise<BigUint64Array> {
  const { now, halfLifeMs, count, seed } = options;
  snapshot.renew();
  return native((addon) => addon.select_freshness(snapshot.handle, first, end, now, halfLifeMs, count, seed));
}
