// Trigger by amount: after every so many new samples.
import { z } from 'zod';
import { defineTrigger } from '../define.js';

export const amount = defineTrigger({
  id: 'amount',
  summary: 'Fires after every N new samples.',
  config: z.strictObject({
    samples: z.int().min(1).describe('New samples from one trigger to the next.'),
  }),
  create({ samples }) {
    let seen = 0; // since the previous trigger
    return {
      *inform(batch) {
        let at = samples - seen - 1;
        seen = (seen + batch.length) % samples;
        for (; at < batch.length; at += samples) {
          yield { at, reason: `${samples} new samples`, score: samples, threshold: samples };
        }
      },
    };
  },
});
