// Samples that stay in the files of their source beside copied ones: how fast they are taken up, and how fast a DLRM trains on them.
// Two layouts of Criteo's features: a record of 160 bytes for each sample, and NVIDIA's, a file for each feature.
//   node scripts/bench/in-place.mjs [--samples 8e6] [--rounds 3] [--json]
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { main, say } from '../lib/run.mjs';
import { machine, markdown, median } from './lib.mjs';

const numbers = 13;
const categories = 26;
const half = 10; // categories with more than 32,767 codes
const codes = (c) => (c < half ? 1_000_000 : c < 20 ? 5000 : 100);
const names = {
  numbers: Array.from({ length: numbers }, (_, i) => `I${i + 1}`),
  categories: Array.from({ length: categories }, (_, i) => `C${i + 1}`),
};
const blockRows = 250_000;

/** Uniform 32-bit integers (Numerical Recipes' linear congruential generator). */
function generator(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 1;
  };
}

/** Writes the files; a block of rows is made once and written again and again. */
function writeFiles(folder, samples) {
  mkdirSync(join(folder, 'set/train'), { recursive: true });
  const random = generator(1);
  const values = Array.from({ length: 1 + numbers + categories }, (_, c) => {
    const most = c === 0 ? 2 : c <= numbers ? 1000 : codes(c - 1 - numbers);
    return Int32Array.from({ length: blockRows }, () => random() % most);
  });
  const records = new Int32Array(blockRows * values.length);
  for (const [c, column] of values.entries()) for (let i = 0; i < blockRows; i++) records[i * values.length + c] = column[i];
  const halves = new Uint16Array(blockRows * numbers);
  for (let n = 0; n < numbers; n++) for (let i = 0; i < blockRows; i++) halves[i * numbers + n] = 0x3c00 + values[1 + n][i];
  const repeat = (path, bytes) => {
    const file = openSync(join(folder, path), 'w');
    for (let row = 0; row < samples; row += blockRows) writeSync(file, bytes);
    closeSync(file);
  };
  repeat('rows.bin', records);
  repeat('set/train/label.bin', Uint8Array.from(values[0]));
  repeat('set/train/numerical.bin', halves);
  for (let c = 0; c < categories; c++) {
    const type = c < half ? Int32Array : c < 20 ? Int16Array : Int8Array;
    repeat(`set/train/C${c + 1}.bin`, type.from(values[1 + numbers + c]));
  }
  writeFileSync(join(folder, 'set/feature_spec.yaml'), featureSpec());
}

function featureSpec() {
  const type = (c) => (c < half ? 'int32' : c < 20 ? 'int16' : 'int8');
  return `channel_spec: { label: [label], numerical: [${names.numbers}], categorical: [${names.categories}] }
feature_spec:
  label: { dtype: bool }
${names.numbers.map((name) => `  ${name}: { dtype: float16 }\n`).join('')}${names.categories.map((name, c) => `  ${name}: { dtype: ${type(c)}, cardinality: ${codes(c)} }\n`).join('')}source_spec:
  train:
    - { type: split_binary, features: [label], files: [train/label.bin] }
    - { type: split_binary, features: [${names.numbers}], files: [train/numerical.bin] }
${names.categories.map((name) => `    - { type: split_binary, features: [${name}], files: [train/${name}.bin] }\n`).join('')}`;
}

const layouts = {
  'records of 160 bytes': {
    files: 'rows.bin',
    source: `format: binary, path: rows.bin, fields: [${['label', ...names.numbers, ...names.categories].map((name) => `{ name: ${name}, type: int32 }`)}]`,
    number: 'i32',
  },
  "NVIDIA's files, one for each feature": { files: 'set/train/*.bin', source: 'format: criteo, path: set', number: 'f32' },
};

const pipelineOf = (id, { source, number }, inPlace, samples) => `pipeline: { id: ${id} }
dataset:
  id: ${id}
  source: { ${source}, inPlace: ${inPlace} }
  time: { start: 2024-01-01, step: 10ms }
  label: { column: label }
  columns: { ${names.numbers.map((name) => `${name}: ${number}`)}, ${names.categories.map((name, c) => `${name}: { category: ${codes(c)} }`)} }
features:
  dense: [${names.numbers.map((name) => `{ column: ${name}, log: true, min: 0 }`)}]
  categorical: [${names.categories.map((name, c) => `{ column: ${name}, buckets: ${Math.min(codes(c), 40_000)} }`)}]
model: { id: dlrm, embedding: 16, bottom: [64, 16], top: [64, 32] }
training: { batchSize: 2048, epochs: 1, optimizer: { id: sgd, lr: 0.05 } }
trigger: { id: amount, samples: ${samples} }
selection: { id: new-data }
`;

const secondsOf = (work) => {
  const before = performance.now();
  const result = work();
  const done = () => (performance.now() - before) / 1000;
  return result instanceof Promise ? result.then(done) : done();
};

main(async () => {
  const { values } = parseArgs({
    options: { samples: { type: 'string', default: '8e6' }, rounds: { type: 'string', default: '3' }, json: { type: 'boolean' } },
  });
  const samples = Math.ceil(Number(values.samples) / blockRows) * blockRows;
  const { ingestPipeline } = await import('../../dist/pipeline/ingest.js');
  const { foldersOf } = await import('../../dist/pipeline/folders.js');
  const { loadPipeline } = await import('../../dist/config/parse.js');
  const { runExperiment } = await import('../../dist/pipeline/run.js');
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  const results = {};
  try {
    say(`writing ${samples.toLocaleString('en-US')} samples in both layouts …`);
    writeFiles(folder, samples);
    for (const [name, layout] of Object.entries(layouts)) {
      const times = { cat: [], placed: [], copied: [] };
      const speeds = { placed: [], copied: [] };
      const bytes = Number(spawnSync('sh', ['-c', `cat ${layout.files} | wc -c`], { cwd: folder, encoding: 'utf8' }).stdout);
      for (let round = 0; round < Number(values.rounds); round++) {
        say(`${name}, round ${round + 1} …`);
        times.cat.push(secondsOf(() => spawnSync('sh', ['-c', `cat ${layout.files} > /dev/null`], { cwd: folder })));
        for (const kind of ['placed', 'copied']) {
          const data = join(folder, 'data');
          const path = join(folder, 'p.yaml');
          writeFileSync(path, pipelineOf(kind, layout, kind === 'placed', samples));
          const pipeline = await loadPipeline(path);
          times[kind].push(await secondsOf(() => ingestPipeline(pipeline, foldersOf(data), { onEvent: () => {} })));
          const { triggers } = await runExperiment(pipeline, { dataFolder: data });
          speeds[kind].push(triggers[0].training.samplesPerSecond);
          rmSync(data, { recursive: true });
        }
      }
      results[name] = {
        bytes,
        catGBs: bytes / median(times.cat) / 1e9,
        placedGBs: bytes / median(times.placed) / 1e9,
        placedPerSecond: samples / median(times.placed),
        copiedPerSecond: samples / median(times.copied),
        trainPlaced: median(speeds.placed),
        trainCopied: median(speeds.copied),
        trainRatio: median(speeds.placed.map((speed, i) => speed / speeds.copied[i])),
      };
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  if (values.json) return console.log(JSON.stringify({ machine: machine(), samples, results }));
  const rows = Object.entries(results).map(([name, r]) => [
    name,
    `${r.catGBs.toFixed(2)} GB/s`,
    `${r.placedGBs.toFixed(2)} GB/s`,
    `${(r.placedPerSecond / 1e6).toFixed(2)} M/s`,
    `${(r.copiedPerSecond / 1e6).toFixed(2)} M/s`,
    `${Math.round(r.trainPlaced / 1000)} k/s`,
    `${Math.round(r.trainCopied / 1000)} k/s`,
    r.trainRatio.toFixed(3),
  ]);
  console.log(markdown(['layout', 'cat', 'taken up in place', 'samples', 'copied', 'trained in place', 'trained, copied', 'ratio'], rows));
});
