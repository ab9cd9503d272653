// Selects by what trainings recorded of the samples (training.record), those first that no training has seen.
import { z } from 'zod';
import { defineSelection } from '../define.js';
import { uniformFrom } from '../random.js';
import { candidates, ratio, sampleCount, samples } from './amount.js';

const common = {
  by: z.enum(['loss', 'gradient-norm', 'confidence', 'margin', 'entropy']).describe('The value; training.record must name it.'),
  choice: z
    .enum(['sampled', 'greatest', 'least'])
    .default('sampled')
    .describe(
      'sampled: with probabilities proportional to the value (confidence and margin: to 1 - value), without replacement; or the greatest or least values.',
    ),
};

export const recorded = defineSelection({
  id: 'recorded',
  summary:
    'Selects by what trainings recorded of the candidates: loss, gradient norm, confidence, margin or entropy; unseen ones come first.',
  config: z.union([z.strictObject({ ...common, samples }), z.strictObject({ ...common, ratio })], {
    error: 'expected either samples or ratio',
  }),
  reset: false,
  async select(config, context) {
    const { first, end, seed, recorded, living } = context;
    const all = candidates(context);
    const count = sampleCount(config, all);
    if (count === all) return { first, end };
    const ranks = rank(await recorded(config.by, first, end), config.by, config.choice, seed);
    let at = first;
    for (const range of [...living(first, end), { first: end, end }]) {
      ranks.fill(Number.POSITIVE_INFINITY, at - first, range.first - first); // deleted ones
      at = range.end;
    }
    return { keys: BigUint64Array.from(least(ranks, count), (i) => BigInt(first + i)) };
  },
});

/** Positions of the `count` least values, of equal ones the first. Sorting the values alone is several times faster than sorting positions by them. */
function least(values: Float64Array, count: number): Uint32Array {
  const positions = new Uint32Array(count);
  const greatest = values.slice().sort()[count - 1]!;
  let ties = count - values.reduce((below, value) => below + (value < greatest ? 1 : 0), 0);
  let at = 0;
  for (let i = 0; i < values.length; i++) if (values[i]! < greatest || (values[i] === greatest && ties-- > 0)) positions[at++] = i;
  return positions;
}

/** Those with the least ranks are selected. Sampling by ln(u) / -w (Efraimidis and Spirakis, 2006); unseen ones are drawn uniformly. */
function rank(values: Float32Array, by: string, choice: 'sampled' | 'greatest' | 'least', seed: number): Float64Array {
  const uniform = uniformFrom(seed);
  return Float64Array.from(values, (value) => {
    const u = uniform();
    if (Number.isNaN(value)) return -1e300 * u;
    if (choice === 'greatest') return -value;
    if (choice === 'least') return value;
    const weight = Math.max(1e-12, by === 'confidence' || by === 'margin' ? 1 - value : value);
    return -Math.log(u) / weight;
  });
}
