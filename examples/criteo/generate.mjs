// Clicks in the binary layout of NVIDIA's DLRM example (feature_spec.yaml, one file per channel and category), with the 13
// numerical and 26 categorical features of Criteo's logs, generated: which categories are clicked changes from day to day.
//   node examples/criteo/generate.mjs [samples = 400000] [folder = examples/criteo/data]
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const samples = Number(process.argv[2] ?? 400_000);
if (!Number.isInteger(samples) || samples < 1000) {
  console.error('usage: node examples/criteo/generate.mjs [samples, at least 1000] [folder]');
  process.exit(2);
}
const folder = process.argv[3] ?? join(dirname(fileURLToPath(import.meta.url)), 'data');
const NUMERICAL = 13;
const DAYS = 24;
const CARDINALITIES = [
  40_000, 20_000, 15_000, 7_000, 7_000, 3_000, 1_500, 1_500, 1_000, 900, 600, 300, 200, 150, 120, 100, 60, 40, 25, 20, 15, 10, 10, 4, 4, 3,
];

/** A well-mixed 32-bit hash as a number in [0, 1). */
function unit(a, b) {
  let h = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b + 0x7f4a7c15, 0xc2b2ae35);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39);
  return ((h ^ (h >>> 15)) >>> 0) / 2 ** 32;
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);
/** IEEE half precision of a number whose magnitude is 0 or within 6e-5 … 65,504, rounded towards zero. */
function half(x) {
  float[0] = x;
  const exponent = ((bits[0] >>> 23) & 0xff) - 112;
  return ((bits[0] >>> 16) & 0x8000) | (exponent <= 0 ? 0 : (exponent << 10) | ((bits[0] >>> 13) & 0x3ff));
}

const bytesOf = (cardinality) => (cardinality <= 128 ? 1 : cardinality <= 32_768 ? 2 : 4);
const dtypeOf = (cardinality) => `int${8 * bytesOf(cardinality)}`;
const arrayOf = (cardinality) => new ({ 1: Int8Array, 2: Int16Array, 4: Int32Array })[bytesOf(cardinality)](samples);

const label = new Uint8Array(samples);
const numerical = new Uint16Array(samples * NUMERICAL);
const categorical = CARDINALITIES.map(arrayOf);

for (let i = 0; i < samples; i++) {
  const day = (i * DAYS) / samples;
  let logit = -1.6;
  for (let j = 0; j < NUMERICAL; j++) {
    const value = Math.log1p(50 * unit(i, 1000 + j) ** 4);
    numerical[i * NUMERICAL + j] = half(value);
    logit += 0.25 * (unit(j, 77) - 0.5) * value;
  }
  for (let t = 0; t < CARDINALITIES.length; t++) {
    const code = Math.floor(CARDINALITIES[t] * unit(i, 2000 + t) ** 3); // few are popular
    categorical[t][i] = code;
    const taste = 2 * Math.PI * unit(code, 3000 + t);
    logit += (t % 3 === 0 ? 0.9 : 0.35) * Math.cos(t % 3 === 0 ? taste + (2 * Math.PI * day) / 60 : taste);
  }
  label[i] = unit(i, 1) < 1 / (1 + Math.exp(-logit)) ? 1 : 0;
}

const names = CARDINALITIES.map((_, t) => `cat_${t}`);
const numbers = Array.from({ length: NUMERICAL }, (_, j) => `num_${j}`);
const source = (features, file) => `  - type: split_binary\n    features: [${features.join(', ')}]\n    files: [train/${file}]\n`;
mkdirSync(join(folder, 'train'), { recursive: true });
writeFileSync(join(folder, 'train/label.bin'), label);
writeFileSync(join(folder, 'train/numerical.bin'), numerical);
for (const [t, name] of names.entries()) writeFileSync(join(folder, `train/${name}.bin`), categorical[t]);
writeFileSync(
  join(folder, 'feature_spec.yaml'),
  `channel_spec:
  label: [label]
  numerical: [${numbers.join(', ')}]
  categorical: [${names.join(', ')}]
feature_spec:
  label: { dtype: bool }
${numbers.map((name) => `  ${name}: { dtype: float16 }\n`).join('')}${names
  .map((name, t) => `  ${name}: { dtype: ${dtypeOf(CARDINALITIES[t])}, cardinality: ${CARDINALITIES[t]} }\n`)
  .join('')}source_spec:
  train:
${source(['label'], 'label.bin')}${source(numbers, 'numerical.bin')}${names.map((name) => source([name], `${name}.bin`)).join('')}metadata: {}
`,
);
console.log(`${samples.toLocaleString('en')} samples, ${(100 * label.reduce((a, b) => a + b, 0)) / samples} % clicked: ${folder}`);
