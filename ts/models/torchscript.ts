import { resolve } from 'node:path';
import { z } from 'zod';
import { defineModel } from './define.js';

export const torchscript = defineModel({
  id: 'torchscript',
  summary: 'Any PyTorch model, exported with torch.jit.script(model).save(file). It is checked before it is loaded.',
  config: z.strictObject({
    file: z
      .string()
      .min(1)
      .max(4096)
      .describe('The archive, relative to the pipeline file. Its forward takes dense, then categorical features and gives logits.'),
    seconds: z.number().gt(0).max(86_400).default(60).describe('Longest time that one forward pass may take.'),
  }),
  files: ({ file }) => [file],
  build: ({ file, seconds }, { dense, tables, values, ids, outputs, dir }) => ({
    kind: 'torchscript',
    file: resolve(dir, file),
    dense,
    tables: tables.length,
    values,
    ids,
    outputs,
    seconds,
  }),
});
