// Selects what arrived since the previous trigger: fine-tuning.
import { z } from 'zod';
import { defineSelection } from '../define.js';

export const newData = defineSelection({
  id: 'new-data',
  summary: 'Selects the samples since the previous trigger, all or at most a given number.',
  config: z.strictObject({
    limit: z.int().min(1).optional().describe('At most this many samples. Default: no limit.'),
    keep: z
      .enum(['latest', 'uniform'])
      .default('latest')
      .describe('What is kept when there are more than `limit`: the latest, or a uniform sample.'),
  }),
  reset: true,
  async select({ limit, keep }, { first, end, uniform }) {
    if (limit === undefined || end - first <= limit) return { first, end };
    return keep === 'latest' ? { first: end - limit, end } : { keys: await uniform(first, end, limit) };
  },
});
