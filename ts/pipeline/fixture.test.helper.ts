// A small stream with a learnable label, a pipeline over it, and a folder that goes away after the test.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { sha256 } from '../config/hash.js';
import { loadPipeline } from '../config/parse.js';
import { SluiceError } from '../errors.js';
import { foldersOf } from './folders.js';
import { type RunOptions, runExperiment } from './run.js';

/** The SluiceError with which the work ends. */
export async function failure(work: Promise<unknown>): Promise<SluiceError> {
  const error: unknown = await work.then(
    () => undefined,
    (e: unknown) => e,
  );
  assert.instance(error, SluiceError);
  return error as SluiceError;
}

export const rows = 4000;
const quarterHour = 15 * 60_000;
const start = Date.UTC(2020, 0, 6); // a Monday

/** 4,000 rows, a quarter of an hour apart: five whole weeks of 672 and a part of a sixth. y depends on x and c, and drifts. */
export function csv(change: (row: number, values: string[]) => string[] = (_, values) => values): string {
  let state = 1;
  const random = () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
  const lines = ['t,x,c,y'];
  for (let i = 0; i < rows; i++) {
    const x = 2 * random() - 1;
    const c = 'abcd'[Math.floor(4 * random())] as string;
    const y = x + (c === 'a' ? 0.5 : 0) + (i / rows) * (c === 'b' ? 1 : 0) + 0.3 * (random() - 0.5) > 0.3 ? 1 : 0;
    lines.push(change(i, [new Date(start + i * quarterHour).toISOString(), x.toFixed(5), c, String(y)]).join(','));
  }
  return `${lines.join('\n')}\n`;
}

export const pipelineText = `pipeline: { id: tiny, seed: 1 }
dataset:
  id: tiny
  source: { format: csv, path: d.csv }
  time: { column: t }
  label: { column: y }
  columns: { x: f32, c: category }
features: { dense: [{ column: x }], categorical: [{ column: c, buckets: 8 }] }
model: { id: dlrm, embedding: 4, bottom: [8], top: [8] }
training: { batchSize: 16, epochs: 3, optimizer: { id: adam, lr: 0.02 } }
trigger: { id: time, every: 1w }
selection: { id: new-data }
`;

export type Workplace = {
  folder: string;
  data: string;
  write(name: string, text: string): string;
  /** Runs the pipeline with parts of its text replaced. */
  run(changes?: Record<string, string>, options?: RunOptions & { data?: string }): ReturnType<typeof runExperiment>;
  /** Hashes of the model files of pipeline `tiny`, by trigger. */
  models(count: number, data?: string): string[];
};

export async function inWorkplace(work: (place: Workplace) => Promise<void>, data = csv()): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-pipeline-'));
  const write = (name: string, text: string) => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };
  const place: Workplace = {
    folder,
    data: join(folder, 'data'),
    write,
    async run(changes = {}, { data: dataFolder = join(folder, 'data'), ...options } = {}) {
      const pipeline = await loadPipeline(write('p.yaml', changed(changes)));
      return runExperiment(pipeline, { dataFolder, ...options });
    },
    models: (count, dataFolder = join(folder, 'data')) =>
      Array.from({ length: count }, (_, i) => sha256(readFileSync(foldersOf(dataFolder).modelFile('tiny', i)))),
  };
  try {
    write('d.csv', data);
    await work(place);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export function changed(changes: Record<string, string>): string {
  let text = pipelineText;
  for (const [from, to] of Object.entries(changes)) {
    if (!text.includes(from)) throw new Error(`the pipeline has no '${from}'`);
    text = text.replace(from, to);
  }
  return text;
}
