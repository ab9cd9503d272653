// Selects a uniform random sample of the candidates.
import { z } from 'zod';
import { defineSelection } from '../define.js';
import { candidates, ratio, sampleCount, samples } from './amount.js';

export const uniform = defineSelection({
  id: 'uniform',
  summary: 'Selects a uniform random sample of the candidates, without replacement.',
  config: z.union([z.strictObject({ samples }), z.strictObject({ ratio })], { error: 'expected either samples or ratio' }),
  reset: false,
  async select(config, context) {
    const { first, end, uniform } = context;
    const all = candidates(context);
    const count = sampleCount(config, all);
    return count === all ? { first, end } : { keys: await uniform(first, end, count) };
  },
});
