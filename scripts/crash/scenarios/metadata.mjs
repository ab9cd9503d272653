// Values of samples are recorded.
import { existsSync } from 'node:fs';
import { Metadata } from '../../../dist/index.js';
import { expect } from './rows.mjs';

const path = (folder) => `${folder}/datasets/d/metadata/p`;
const rounds = 4;
const many = 3000;
const keys = BigUint64Array.from({ length: many }, (_, i) => BigInt(3 * i));
const recordedValue = (round, i) => (1000 * round + i) / 8;

export function prepare() {}

export async function work(folder, { mark, attempt }) {
  const metadata = new Metadata(path(folder));
  await attempt(() => metadata.define([{ name: 'loss' }]));
  mark({ rounds: 0 });
  for (let round = 1; round <= rounds; round++) {
    const values = Float32Array.from({ length: many }, (_, i) => recordedValue(round, i));
    await attempt(() => metadata.update(keys, [{ name: 'loss', values }]));
    mark({ rounds: round });
  }
}

export async function check(folder, { rounds: told = -1 }) {
  const metadata = new Metadata(path(folder));
  const there = existsSync(`${path(folder)}/data.mdb`);
  expect(there || told < 0, 'the acknowledged columns are lost');
  await metadata.define([{ name: 'loss' }]);
  const values = await metadata.read('loss', keys);
  const round = Number.isNaN(values[0]) ? 0 : Math.floor((8 * values[0]) / 1000);
  expect(round >= told, `round ${told} was acknowledged, round ${round} is there`);
  for (let i = 0; i < many; i++) {
    expect(round === 0 ? Number.isNaN(values[i]) : values[i] === recordedValue(round, i), `value ${i} is ${values[i]} in round ${round}`);
  }
}
