// Samples that follow from their key, and their check.
import { Dataset } from '../../../dist/index.js';

export const schema = {
  columns: [
    { name: 'x', type: 'f32', shape: [] },
    { name: 'c', type: 'category', shape: [] },
  ],
  label: 'class',
  classes: 2,
};

const timeOf = (key) => 1_700_000_000_000 + 1000 * key;
const xOf = (key) => ((key * 7919) % 1000) / 500 - 1;

/** Rows of the keys [first, end). */
export function rows(first, end, state = {}) {
  const keys = Array.from({ length: end - first }, (_, i) => first + i);
  return {
    timestamps: BigInt64Array.from(keys, (key) => BigInt(timeOf(key))),
    labels: Float32Array.from(keys, (key) => key % 2),
    columns: [Float32Array.from(keys, xOf), Int32Array.from(keys, (key) => key % 17)],
    state,
  };
}

export function expect(right, what) {
  if (!right) throw new Error(what);
}

/** That the dataset holds these keys' times and labels and is sound in every byte, and takes more samples. `deleted`: has no times. */
export async function expectRows(path, size, deleted = []) {
  const report = await Dataset.check(path);
  expect(report.damages.length === 0, `fsck finds ${JSON.stringify(report.damages[0])}`);
  const dataset = Dataset.open(path);
  try {
    expect(dataset.size() === size, `${dataset.size()} samples instead of ${size}`);
    const gone = (key) => deleted.some(({ first, end }) => key >= first && key < end);
    const snapshot = dataset.snapshot();
    const [times, labels] = [snapshot.timestamps(), snapshot.labels()];
    for (let key = 0; key < size; key++) {
      if (gone(key)) continue;
      expect(Number(times[key]) === timeOf(key) && labels[key] === key % 2, `sample ${key} is another one`);
    }
    snapshot.close();
    await dataset.append(rows(size, size + 100));
    expect(dataset.size() === size + 100, 'an append afterwards is not there');
  } finally {
    dataset.close();
  }
}
