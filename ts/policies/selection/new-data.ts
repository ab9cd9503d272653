// Selects what arrived since the previous trigger: fine-tuning.
import { z } from 'zod';
import { defineSelection } from '../define.js';
import { candidates } from './amount.js';

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
  async select({ limit, keep }, context) {
    const { first, end, uniform, living } = context;
    if (limit === undefined || candidates(context) <= limit) return { first, end };
    return keep === 'latest' ? { first: beginOfLatest(living(first, end), limit), end } : { keys: await uniform(first, end, limit) };
  },
});

/** The key from which on `count` candidates lie. */
function beginOfLatest(ranges: readonly { first: number; end: number }[], count: number): number {
  let left = count;
  for (const range of ranges.toReversed()) {
    if (range.end - range.first >= left) return range.end - left;
    left -= range.end - range.first;
  }
  return ranges[0]?.first ?? 0;
}
