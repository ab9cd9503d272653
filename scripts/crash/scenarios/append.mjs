// A dataset is made and samples with state entries are appended.
import { Dataset } from '../../../dist/index.js';
import { expect, expectRows, rows, schema } from './rows.mjs';

const sizes = [1, 300, 700, 1, 5000, 998, 3000];
const path = (folder) => `${folder}/data/datasets/d`;

export function prepare() {}

export async function work(folder, { mark, attempt }) {
  const dataset = await attempt(() => openOrCreate(path(folder)));
  mark({ made: true });
  for (let size = dataset.size(), n = 0, end = 0; n < sizes.length; n++) {
    end += sizes[n];
    if (end <= size) continue;
    await attempt(() => dataset.append(rows(size, end, { end: String(end) })));
    size = end;
    mark({ samples: size });
    if (n === 3) await attempt(() => dataset.setState('note', 'n'.repeat(9000)));
    if (n === 3) mark({ noted: true });
  }
  dataset.close();
}

function openOrCreate(at) {
  try {
    return Dataset.open(at);
  } catch (error) {
    if (error.code !== 'E_NOT_FOUND') throw error;
    return Dataset.create(at, schema);
  }
}

export async function check(folder, { made, samples = 0, noted }) {
  const at = path(folder);
  const dataset = openOrCreate(at);
  const size = dataset.size();
  const end = dataset.state('end');
  const note = dataset.state('note');
  dataset.close();
  const ends = sizes.map((_, n) => sizes.slice(0, n + 1).reduce((a, b) => a + b));
  expect(size === 0 || ends.includes(size), `half of an append is there: ${size} samples`);
  expect(size >= samples, `${samples} samples were acknowledged, ${size} are there`);
  expect(size === 0 ? end === null : end === String(size), `the state is ${end} where ${size} samples are`);
  expect(!noted || note?.length === 9000, 'an acknowledged entry is lost');
  await expectRows(at, size);
  return made;
}
