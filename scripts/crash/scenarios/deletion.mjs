// Samples are deleted, and taken out of the bytes.
import { Dataset, Metadata } from '../../../dist/index.js';
import { readdirSync, readFileSync } from 'node:fs';
import { expect, expectRows, rows, schema } from './rows.mjs';

const path = (folder) => `${folder}/d`;
const deletions = [
  [{ first: 10, end: 20 }],
  [
    { first: 3000, end: 3001 },
    { first: 4990, end: 5010 },
  ],
];

export async function prepare(folder) {
  const dataset = Dataset.create(path(folder), schema);
  await dataset.append(rows(0, 6000));
  dataset.close();
  const recorded = new Metadata(`${path(folder)}/metadata/p`);
  await recorded.define([{ name: 'loss' }]);
  await recorded.update(
    BigUint64Array.from({ length: 100 }, (_, i) => BigInt(i)),
    [{ name: 'loss', values: Float32Array.from({ length: 100 }, (_, i) => i) }],
  );
}

export async function work(folder, { mark, attempt }) {
  const dataset = Dataset.open(path(folder));
  for (const [n, keys] of deletions.entries()) {
    await attempt(() => dataset.delete(keys, `deletion ${n}`));
    mark({ deletions: n + 1 });
  }
  dataset.close();
  await attempt(() => Dataset.compact(path(folder)));
  mark({ compact: true });
}

export async function check(folder, { deletions: told = 0, compact }) {
  const at = path(folder);
  const dataset = Dataset.open(at, { readOnly: true });
  const found = await dataset.deletions();
  dataset.close();
  expect(found.length >= told, `${told} deletions were acknowledged, ${found.length} are there`);
  const gone = found.flatMap(({ keys }) => keys);
  expect(JSON.stringify(gone) === JSON.stringify(deletions.slice(0, found.length).flat()), 'other samples are deleted');
  if (compact) expectGone(at);
  await expectRows(at, 6000, gone);
  await Dataset.compact(at);
  await expectRows(at, 6100, gone);
  if (found.length === deletions.length) expectGone(at);
  const values = await new Metadata(`${at}/metadata/p`).readRange('loss', 0, 100);
  for (let key = 0; key < 100; key++) {
    const deleted = gone.some(({ first, end }) => key >= first && key < end);
    expect(deleted ? Number.isNaN(values[key]) : values[key] === key, `the recorded value of sample ${key} is ${values[key]}`);
  }
}

/** No file holds the record of sample 3000 any more. */
function expectGone(at) {
  const { timestamps } = rows(3000, 3001);
  const bytes = Buffer.from(timestamps.buffer);
  for (const entry of readdirSync(at, { recursive: true, withFileTypes: true })) {
    if (entry.isFile())
      expect(!readFileSync(`${entry.parentPath ?? entry.path}/${entry.name}`).includes(bytes), `${entry.name} holds a deleted sample`);
  }
}
