// Whole runs over images and over raw bytes, from the source to the evaluation.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { sha256 } from '../config/hash.js';
import { loadPipeline } from '../config/parse.js';
import { uniformFrom } from '../policies/random.js';
import { foldersOf } from './folders.js';
import { inWorkplace } from './fixture.test.helper.js';
import { runExperiment } from './run.js';

const test = suite('inputs');
const samples = 600;
const side = 16;

const rest = `training: { batchSize: 32, epochs: 3, optimizer: { id: adam, lr: 0.01 }, loader: { threads: THREADS } }
trigger: { id: amount, samples: 300 }
selection: { id: new-data }
evaluation: { window: 1d }
`;

/** Label 1: the left half of the image is brighter, which neither crops nor (there is none) a flip change. */
function records(): Buffer {
  const random = uniformFrom(7);
  const width = 1 + side * side * 3;
  const bytes = Buffer.alloc(samples * width);
  for (let i = 0; i < samples; i++) {
    const label = random() < 0.5 ? 0 : 1;
    bytes[i * width] = label;
    for (let p = 0; p < side * side; p++) {
      const left = p % side < side / 2;
      for (let c = 0; c < 3; c++) bytes[i * width + 1 + 3 * p + c] = Math.floor(120 * random() + (left === (label === 1) ? 120 : 0));
    }
  }
  return bytes;
}

const images = `pipeline: { id: pictures, seed: 3 }
dataset:
  id: pictures
  source: { format: binary, path: images.bin, fields: [{ name: y, type: uint8 }, { name: image, type: uint8, shape: [${side}, ${side}, 3] }] }
  time: { start: 2024-01-01, step: 10m }
  label: { column: y }
  columns: { image: { tensor: u8, shape: [${side}, ${side}, 3] } }
features: { image: { column: image, crop: random, pad: 2, mean: 0.5, std: 0.25 } }
model: { id: ./net.ts }
${rest}`;

const net = `import { defineModel } from 'sluice';
import { z } from 'zod';
export default defineModel({ id: 'net', summary: 'A CNN.', config: z.strictObject({}),
  build: (_, { values: [height, width, channels], outputs }) => ({ kind: 'cnn', image: { height, width, channels }, outputs }) });
`;

test('images are augmented, trained on and evaluated; threads of the loader change nothing', () =>
  inWorkplace(async ({ folder, write }) => {
    writeFileSync(join(folder, 'images.bin'), records());
    write('net.ts', net);
    const run = async (threads: number) => {
      const dataFolder = join(folder, `data-${threads}`);
      const result = await runExperiment(await loadPipeline(write('p.yaml', images.replace('THREADS', String(threads)))), { dataFolder });
      return { result, model: sha256(readFileSync(foldersOf(dataFolder).modelFile('pictures', 1))) };
    };
    const one = await run(1);
    const [evaluation] = one.result.triggers.map((trigger) => trigger.evaluation ?? []);
    assert.ok((evaluation?.length ?? 0) > 0);
    for (const metrics of evaluation ?? []) assert.ok((metrics.accuracy ?? 0) > 0.9, JSON.stringify(metrics));
    assert.is((await run(3)).model, one.model);
  }));

const source = `import { defineSource } from 'sluice';
const rows = ${samples};
const value = (i: number) => ((i * 7919) % 1024) / 512 - 1;
const raw = (i: number) => {
  const bytes = new Uint8Array(5);
  new DataView(bytes.buffer).setFloat32(0, value(i), true);
  bytes[4] = i % 4;
  return bytes;
};
export default defineSource({ id: 's', summary: 'S.', parts: async () => [{ name: 'all', fingerprint: '1', async *read(_columns, startRow) {
  const rest = Array.from({ length: rows - startRow }, (_, k) => startRow + k);
  yield { rows: rest.length, columns: { t: rest.map((i) => 600_000 * i), y: rest.map((i) => (value(i) > 0 ? 1 : 0)), x: rest.map(value), c: rest.map((i) => i % 4), raw: rest.map(raw) } };
} }] });
`;
const parser = `import { defineParser } from 'sluice';
import { z } from 'zod';
export default defineParser({ id: 'p', summary: 'P.', config: z.strictObject({ scale: z.number() }), parse(bytes, _sample, { scale }) {
  return { dense: [scale * new DataView(bytes.buffer, bytes.byteOffset).getFloat32(0, true)], categorical: [bytes[4] as number] };
} });
`;
const raw = `pipeline: { id: raw, seed: 3 }
dataset:
  id: raw
  module: ./source.ts
  time: { column: t }
  label: { column: y }
  columns: { x: f32, c: i32, raw: { bytes: 8 } }
features: FEATURES
model: { id: dlrm, embedding: 4, bottom: [8], top: [8] }
${rest.replace('THREADS', '1')}`;

test('a parser runs through a whole pipeline; its code and its config count in the hash, its path and its threads do not', () =>
  inWorkplace(async ({ folder, write }) => {
    write('source.ts', source);
    write('parser.ts', parser);
    const load = (features: string) => loadPipeline(write('p.yaml', raw.replace('FEATURES', features)));
    const parse = (more: string, id = './parser.ts') =>
      `{ dense: [{ time: sin-day }], parse: { id: ${id}, column: raw, dense: 1, categorical: [4], ${more} } }`;
    const pipeline = await load(parse('config: { scale: 1 }'));
    const result = await runExperiment(pipeline, { dataFolder: join(folder, 'data') });
    const evaluation = result.triggers[0]?.evaluation ?? [];
    assert.ok(evaluation.length > 0);
    for (const metrics of evaluation) assert.ok((metrics.auc ?? 0) > 0.9, JSON.stringify(metrics));
    write('moved.ts', parser);
    assert.is((await load(parse('config: { scale: 1 }, threads: 2, seconds: 5', './moved.ts'))).hash, pipeline.hash);
    assert.is.not((await load(parse('config: { scale: 2 }'))).hash, pipeline.hash);
    write('parser.ts', `${parser}// changed\n`);
    assert.is.not((await load(parse('config: { scale: 1 }'))).hash, pipeline.hash);
    const refused = await load(parse('config: { scale: wide }')).then(
      () => '',
      (error) => error.message,
    );
    assert.match(refused, /features\.parse\.config\.scale.*expected a number/);
  }));

test.run();
