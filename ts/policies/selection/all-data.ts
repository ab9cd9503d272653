// Selects everything: retraining on all data seen so far.
import { z } from 'zod';
import { defineSelection } from '../define.js';

export const allData = defineSelection({
  id: 'all-data',
  summary: 'Selects every candidate: all samples so far, or with reset those since the previous trigger.',
  config: z.strictObject({}),
  reset: false,
  select: (_config, { first, end }) => ({ first, end }),
});
