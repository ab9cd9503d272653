import { z } from 'zod';
import { SluiceError } from '../errors.js';
import { defineModel } from './define.js';

const widths = z.array(z.int().min(1).max(65_536)).max(32);

export const dlrm = defineModel({
  id: 'dlrm',
  summary: 'Deep learning recommendation model: embeddings, dot interaction, two MLPs (Naumov et al., 2019, arXiv 1906.00091).',
  config: z.strictObject({
    embedding: z.int().min(1).max(4096).default(16).describe('Width of an embedding.'),
    bottom: widths.default([32]).describe('Widths of the hidden layers for dense features. A last layer as wide as an embedding is added.'),
    top: widths.default([64, 32]).describe('Widths of the hidden layers after the interaction. The output layer is added.'),
  }),
  build: ({ embedding, bottom, top }, { dense, tables, values, ids, outputs }) => {
    if (values.length > 0 || ids > 0) {
      throw new SluiceError('E_CONFIG', 'model dlrm takes dense and categorical features only: leave out tensors and token ids');
    }
    return { kind: 'dlrm', dense, tables, embedding, bottom: dense > 0 ? [...bottom, embedding] : [], top: [...top, outputs] };
  },
});
