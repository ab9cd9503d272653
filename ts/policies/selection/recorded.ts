// Selects by what trainings recorded of the samples (training.record), those first that no training has seen.
import { z } from 'zod';
import { defineSelection } from '../define.js';
import { uniformFrom } from '../random.js';
import { ratio, sampleCount, samples } from './amount.js';

const common = {
  by: z.enum(['loss', 'gradient-norm', 'confidence']).describe('The value; training.record must name it.'),
  choice: z
    .enum(['sampled', 'greatest', 'least'])
    .default('sampled')
    .describe(
      'sampled: with probabilities proportional to the value (low confidence: to 1 - value), without replacement; or the greatest or least values.',
    ),
};

export const recorded = defineSelection({
  id: 'recorded',
  summary: 'Selects by the loss, gradient norm or confidence that trainings recorded of the candidates; unseen ones come first.',
  config: z.union([z.strictObject({ ...common, samples }), z.strictObject({ ...common, ratio })], {
    error: 'expected either samples or ratio',
  }),
  reset: false,
  async select(config, { first, end, seed, recorded }) {
    const count = sampleCount(config, end - first);
    if (count === end - first) return { first, end };
    const ranks = rank(await recorded(config.by, first, end), config.by, config.choice, seed);
    const order = Uint32Array.from({ length: end - first }, (_, i) => i).sort((a, b) => ranks[a]! - ranks[b]! || a - b);
    return { keys: BigUint64Array.from(order.subarray(0, count).sort(), (i) => BigInt(first + i)) };
  },
});

/** Those with the least ranks are selected. Sampling by ln(u) / -w (Efraimidis and Spirakis, 2006); unseen ones are drawn uniformly. */
function rank(values: Float32Array, by: string, choice: 'sampled' | 'greatest' | 'least', seed: number): Float64Array {
  const uniform = uniformFrom(seed);
  return Float64Array.from(values, (value) => {
    const u = uniform();
    if (Number.isNaN(value)) return -1e300 * u;
    if (choice === 'greatest') return -value;
    if (choice === 'least') return value;
    const weight = Math.max(1e-12, by === 'confidence' ? 1 - value : value);
    return -Math.log(u) / weight;
  });
}
