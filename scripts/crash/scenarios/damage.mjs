// A dataset whose files were damaged: fsck names it and repairs what it can, and no read ends by a signal or gives what is wrong.
import { Dataset } from '../../../dist/index.js';
import { expect, expectRows, rows, schema } from './rows.mjs';

const path = (folder) => `${folder}/d`;
const size = 6000;

export async function prepare(folder) {
  const dataset = Dataset.create(path(folder), schema);
  for (let first = 0; first < size; first += 1500) await dataset.append(rows(first, first + 1500, { end: String(first + 1500) }));
  dataset.close();
}

/** `found`: the damage must be found, since bytes that are in use were changed. */
export async function check(folder, { found }) {
  const at = path(folder);
  readAnyway(at);
  const before = await Dataset.check(at);
  expect(!found || before.damages.length > 0, 'the damage was not found');
  const after = await Dataset.check(at, { repair: true });
  const left = after.damages.filter((damage) => !damage.repaired);
  expect(
    left.every(({ what }) => what.startsWith('records are damaged') || what.includes('cut')),
    `it was not repaired: ${JSON.stringify(left)}`,
  );
  if (left.length > 0)
    return expect(
      left.every(({ first, end }) => end > first),
      `no samples are named: ${JSON.stringify(left)}`,
    );
  const dataset = Dataset.open(at, { readOnly: true });
  expect(dataset.state('end') === String(size), `the state is ${dataset.state('end')}`);
  dataset.close();
  await expectRows(at, size);
}

/** Reading gives the samples, or an error with a code. */
function readAnyway(at) {
  try {
    const dataset = Dataset.open(at, { readOnly: true });
    try {
      expect(dataset.size() === size, `it says that it has ${dataset.size()} samples`);
      const snapshot = dataset.snapshot();
      const expected = rows(0, size).timestamps;
      const times = snapshot.timestamps();
      for (let key = 0; key < size; key++) expect(times[key] === expected[key], `sample ${key} is another one, and nobody says so`);
      snapshot.close();
    } finally {
      dataset.close();
    }
  } catch (error) {
    if (error.code !== 'E_CORRUPT' && error.code !== 'E_NOT_FOUND') throw error;
  }
}
