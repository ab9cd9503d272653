// Selects a uniform random sample of the candidates.
import { z } from 'zod';
import { defineSelection } from '../define.js';
import { ratio, sampleCount, samples } from './amount.js';

export const uniform = defineSelection({
  id: 'uniform',
  summary: 'Selects a uniform random sample of the candidates, without replacement.',
  config: z.union([z.strictObject({ samples }), z.strictObject({ ratio })], { error: 'expected either samples or ratio' }),
  reset: false,
  async select(config, { first, end, uniform }) {
    const count = sampleCount(config, end - first);
    return count === end - first ? { first, end } : { keys: await uniform(first, end, count) };
  },
});
