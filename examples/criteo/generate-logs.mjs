// Clicks in the layout of Criteo's published logs (day_0.gz …: label, 13 numbers, 26 categories of eight hexadecimal digits,
// tabs between, no header), generated: which categories are clicked changes from day to day, and many are rare.
//   node examples/criteo/generate-logs.mjs [samples a day = 25000] [folder = examples/criteo/data/logs]
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const samples = Number(process.argv[2] ?? 25_000);
if (!Number.isInteger(samples) || samples < 100) {
  console.error('usage: node examples/criteo/generate-logs.mjs [samples a day, at least 100] [folder]');
  process.exit(2);
}
const folder = process.argv[3] ?? join(dirname(fileURLToPath(import.meta.url)), 'data/logs');
const [NUMBERS, CATEGORIES, DAYS] = [13, 26, 8];

/** A well-mixed 32-bit hash. */
function hash(a, b) {
  let h = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b + 0x7f4a7c15, 0xc2b2ae35);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39);
  return (h ^ (h >>> 15)) >>> 0;
}

const unit = (a, b) => hash(a, b) / 2 ** 32;

function line(i, day) {
  let logit = -1.6;
  const numbers = Array.from({ length: NUMBERS }, (_, j) => {
    if (unit(i, 500 + j) < 0.2) return '';
    const value = Math.floor(50 * unit(i, 1000 + j) ** 4) - (j === 1 ? 2 : 0);
    logit += 0.25 * (unit(j, 77) - 0.5) * Math.log1p(Math.max(0, value));
    return value;
  });
  const categories = Array.from({ length: CATEGORIES }, (_, t) => {
    if (unit(i, 4000 + t) < 0.05) return '';
    const code = Math.floor(10 ** (1 + (t % 5)) * unit(i, 2000 + t) ** 4); // few are popular, most are rare
    const taste = 2 * Math.PI * unit(code, 3000 + t);
    logit += (t % 3 === 0 ? 0.9 : 0.35) * Math.cos(t % 3 === 0 ? taste + (2 * Math.PI * day) / 60 : taste);
    return hash(code, 5000 + t)
      .toString(16)
      .padStart(8, '0');
  });
  const clicked = unit(i, 1) < 1 / (1 + Math.exp(-logit)) ? 1 : 0;
  return [clicked, ...numbers, ...categories].join('\t');
}

mkdirSync(folder, { recursive: true });
for (let day = 0; day < DAYS; day++) {
  const lines = Array.from({ length: samples }, (_, i) => `${line(day * samples + i, day + i / samples)}\n`);
  writeFileSync(join(folder, `day_${day}.gz`), gzipSync(lines.join('')));
}
console.log(`${DAYS} days of ${samples.toLocaleString('en')} samples: ${folder}`);
