// Made-up streams and candidates that policies are checked on. Small, deterministic, without the native core.
import type { ArrivalBatch, SelectionContext } from './define.js';
import { randomBelow, uniformFrom } from './random.js';

export type Stream = { name: string; timestamps: BigInt64Array; batch(first: number, length: number): ArrivalBatch };

const hourMs = 3_600_000;
const start2001 = 978_307_200_000;

/** In order, late, with gaps of months, all at once, before 1970, and a single sample. */
export function sampleStreams(): Stream[] {
  const random = randomBelow(1);
  const series = (name: string, length: number, time: (i: number) => number) =>
    stream(
      name,
      Array.from({ length }, (_, i) => time(i)),
    );
  let clock = start2001;
  return [
    series('one sample every 20 minutes', 3000, (i) => start2001 + i * 1_200_000),
    series('samples up to two days late', 3000, (i) => start2001 + i * 1_200_000 - random(48) * hourMs),
    series('gaps of months', 500, () => (clock += random(20) === 0 ? 2000 * hourMs : 60_000)),
    series('all at the same time', 400, () => start2001),
    series('times before 1970', 1000, (i) => -90 * 24 * hourMs + i * 2 * hourMs),
    series('a single sample', 1, () => start2001 + 1),
  ];
}

/** A stream of the given times (ms since 1970), with labels 0 and 1 in turn. */
export function stream(name: string, times: readonly number[]): Stream {
  const timestamps = BigInt64Array.from(times, BigInt);
  const labels = Float32Array.from(times, (_, i) => i % 2);
  return {
    name,
    timestamps,
    batch: (first, length) => ({
      length,
      firstKey: first,
      timestamps: timestamps.slice(first, first + length),
      labels: labels.slice(first, first + length),
      time: (i) => {
        const t = times[first + i];
        if (t === undefined || i < 0 || i >= length) throw new RangeError(`time(${i}): the batch has ${length} samples`);
        return t;
      },
    }),
  };
}

/** Ways to cut `total` samples into batches: one by one, by seven, at random, with empty batches in between. */
export function cut(total: number): number[][] {
  const random = randomBelow(total);
  const by = (next: () => number) => {
    const lengths: number[] = [];
    for (let left = total; left > 0; left -= lengths.at(-1)!) lengths.push(Math.min(left, next()));
    return lengths;
  };
  return [by(() => 1), by(() => 7), by(() => 1 + random(300)), by(() => 64).flatMap((length) => [0, length, 0])];
}

export type MemoryContextOptions = {
  /** Candidates are the keys [first, end). */
  first: number;
  end: number;
  /** Milliseconds since 1970 of keys 0 … end-1, or more. */
  timestamps: BigInt64Array;
  labels?: Float32Array;
  seed?: number;
  triggerId?: number;
  /** Default: the timestamp of the last candidate. */
  now?: number;
};

/** A SelectionContext over arrays. Its samplers draw like the native ones, but not the same keys. */
export function memoryContext(options: MemoryContextOptions): SelectionContext {
  const { first, end, timestamps, seed = 0, triggerId = 0 } = options;
  const labels = options.labels ?? Float32Array.from({ length: end }, (_, key) => key % 2);
  const now = options.now ?? (end > 0 ? Number(timestamps[end - 1]) : 0);
  const age = (key: number) => Math.max(0, now - Number(timestamps[key]));
  return {
    triggerId,
    first,
    end,
    now,
    seed,
    living: (from, to) => (from < to ? [{ first: from, end: to }] : []),
    uniform: async (from, to, count) => draw(from, to, count, seed, () => 0),
    freshness: async (from, to, count, halfLifeMs) => draw(from, to, count, seed, (key) => (Math.LN2 * age(key)) / halfLifeMs),
    recorded: async (_value, from, to) =>
      Float32Array.from({ length: to - from }, (_, i) => ((from + i) % 5 === 4 ? Number.NaN : ((from + i) * 7919) % 101)),
    timestamps: (from, to) => timestamps.slice(from, to),
    labels: (from, to) => labels.slice(from, to),
  };
}

/**
 * `count` keys of [from, to) without replacement, weighted by e^-decay(key): those with the least ln(-ln u) + decay
 * (Efraimidis and Spirakis, 2006, in the log domain). In increasing order.
 */
function draw(from: number, to: number, count: number, seed: number, decay: (key: number) => number): BigUint64Array {
  const uniform = uniformFrom(seed);
  const scored = Array.from({ length: to - from }, (_, i) => ({ key: from + i, score: Math.log(-Math.log(uniform())) + decay(from + i) }));
  const chosen = scored.sort((a, b) => a.score - b.score).slice(0, count);
  return BigUint64Array.from(
    chosen.map(({ key }) => key).sort((a, b) => a - b),
    BigInt,
  );
}
