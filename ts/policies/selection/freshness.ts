// Selects a random sample in which recent candidates are more likely: their chance halves with every half-life of age.
import { z } from 'zod';
import { duration } from '../../base/durations.js';
import { defineSelection } from '../define.js';
import { candidates, ratio, sampleCount, samples } from './amount.js';

const halfLife = duration.describe('Age at which a sample is half as likely to be selected as a new one, such as 7d.');

export const freshness = defineSelection({
  id: 'freshness',
  summary: 'Selects a random sample without replacement, weighted by 2^(-age / halfLife).',
  config: z.union([z.strictObject({ samples, halfLife }), z.strictObject({ ratio, halfLife })], {
    error: 'expected either samples or ratio, and halfLife',
  }),
  reset: false,
  async select(config, context) {
    const { first, end, freshness } = context;
    const all = candidates(context);
    const count = sampleCount(config, all);
    return count === all ? { first, end } : { keys: await freshness(first, end, count, config.halfLife) };
  },
});
