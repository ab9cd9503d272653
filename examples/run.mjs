// Runs a TypeScript example of this repository: node examples/run.mjs examples/api/run.ts
// In a project of your own, `sluice` is an ordinary dependency and any TypeScript runner does.
import { resolve } from 'node:path';
import { createJiti } from 'jiti';
import * as zod from 'zod';
import * as sluice from '../dist/index.js';

const file = resolve(process.argv[2] ?? 'examples/api/run.ts');
try {
  await createJiti(file, { fsCache: false, virtualModules: { sluice, zod } }).import(file);
} catch (error) {
  console.error(error instanceof sluice.SluiceError ? `error ${error.code}: ${error.message}` : error);
  process.exitCode = 1;
}
