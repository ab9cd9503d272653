// Pictures whose look changes: discs, squares, triangles and crosses of 32 x 32 pixels, one every three hours for two years. Their colours
// wander, and in the second year they are drawn as outlines, so that a model of the first year fails on the second.
//   node examples/images/generate.mjs [pictures = 5840] [folder = examples/images/data]
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';

const pictures = Number(process.argv[2] ?? 5840);
if (!Number.isInteger(pictures) || pictures < 100) {
  console.error('usage: node examples/images/generate.mjs [pictures, at least 100] [folder]');
  process.exit(2);
}
const folder = process.argv[3] ?? join(dirname(fileURLToPath(import.meta.url)), 'data');
const SIZE = 32;
const START = Date.UTC(2024, 0, 1);
const THREE_HOURS = 3 * 3600 * 1000;

let state = 42;
/** Uniform in [0, 1): mulberry32. */
function random() {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), state | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}

/** Distance of (x, y) to the border of a shape of half-width r around the origin; below 0 inside. */
const shapes = {
  disc: (x, y, r) => Math.hypot(x, y) - r,
  square: (x, y, r) => Math.max(Math.abs(x), Math.abs(y)) - 0.85 * r,
  triangle: (x, y, r) => Math.max(0.87 * Math.abs(x) + 0.5 * y, -y) - 0.55 * r,
  cross: (x, y, r) => Math.max(Math.min(Math.abs(x), Math.abs(y)) - 0.3 * r, Math.max(Math.abs(x), Math.abs(y)) - r),
};
const names = Object.keys(shapes);

/** RGB bytes of one picture; age runs from 0 to 1. */
function draw(name, age) {
  const hue = 2 * Math.PI * (age + 0.15 * random());
  const back = [0, 1, 2].map((c) => 128 + 70 * Math.cos(hue + c * 2.1));
  const front = [0, 1, 2].map((c) => 128 - 70 * Math.cos(hue + c * 2.1 + 0.8));
  const [cx, cy, r, turn] = [10 + 12 * random(), 10 + 12 * random(), 6 + 5 * random(), (random() - 0.5) * 0.9];
  const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
  const pixels = Buffer.alloc(SIZE * SIZE * 3);
  for (let y = 0; y < SIZE; y++) {
    for (let x = 0; x < SIZE; x++) {
      const d = shapes[name](cos * (x - cx) + sin * (y - cy), cos * (y - cy) - sin * (x - cx), r);
      const inside = age < 0.5 ? d < 0 : Math.abs(d + 1) < 1;
      for (let c = 0; c < 3; c++) {
        const value = (inside ? front : back)[c] + 60 * (random() - 0.5);
        pixels[(y * SIZE + x) * 3 + c] = Math.max(0, Math.min(255, value));
      }
    }
  }
  return pixels;
}

const rows = ['path,label,time'];
for (const name of names) mkdirSync(join(folder, name), { recursive: true });
for (let i = 0; i < pictures; i++) {
  const name = names[Math.floor(names.length * random())];
  const path = `${name}/${String(i).padStart(6, '0')}.png`;
  await sharp(draw(name, i / pictures), { raw: { width: SIZE, height: SIZE, channels: 3 } })
    .png()
    .toFile(join(folder, path));
  rows.push(`${path},${name},${new Date(START + i * THREE_HOURS).toISOString()}`);
}
writeFileSync(join(folder, 'labels.csv'), `${rows.join('\n')}\n`);
console.log(`${pictures} pictures of ${names.length} classes: ${folder}`);
