import { z } from 'zod';
import { SluiceError } from '../errors.js';
import { defineModel } from './define.js';

export const mlp = defineModel({
  id: 'mlp',
  summary: 'Multi-layer perceptron with ReLU over the dense features.',
  config: z.strictObject({
    hidden: z
      .array(z.int().min(1).max(65_536))
      .max(32)
      .default([64, 32])
      .describe('Widths of the hidden layers. The output layer is added.'),
  }),
  build: ({ hidden }, { dense, tables, values, ids, outputs }) => {
    if (tables.length > 0 || values.length > 0 || ids > 0 || dense === 0) {
      throw new SluiceError('E_CONFIG', 'model mlp takes dense features only: leave out the others, or use dlrm for categorical ones');
    }
    return { kind: 'mlp', inputs: dense, layers: [...hidden, outputs] };
  },
});
