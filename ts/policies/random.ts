// Random numbers from a seed, the same everywhere.

/** Uniform numbers in (0, 1): SplitMix32-style mixing (Steele et al., 2014). `seed`: below 2^53. */
export function uniformFrom(seed: number): () => number {
  let state = (seed ^ (seed / 2 ** 32)) | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let z = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (((z ^ (z >>> 15)) >>> 0) + 0.5) / 2 ** 32;
  };
}

/** Whole numbers in [0, n) from a seed. */
export function randomBelow(seed: number): (n: number) => number {
  const uniform = uniformFrom(seed);
  return (n) => Math.floor(uniform() * n);
}
