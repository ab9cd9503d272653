// A damaged index is made anew from the segments.
import { closeSync, openSync, writeSync } from 'node:fs';
import { Dataset } from '../../../dist/index.js';
import { expect, expectRows, rows, schema } from './rows.mjs';

const path = (folder) => `${folder}/d`;

export async function prepare(folder) {
  const dataset = Dataset.create(path(folder), schema);
  for (let first = 0; first < 5000; first += 1000) await dataset.append(rows(first, first + 1000, { end: String(first + 1000) }));
  dataset.close();
  damage('index/data.mdb', 25, 33);
  damage('index/data.mdb', 40, 44);
  damage('segments/00000000.seg', 0, 1);

  function damage(file, firstPage, endPage) {
    const fd = openSync(`${path(folder)}/${file}`, 'r+');
    for (let page = firstPage; page < endPage; page++) writeSync(fd, Buffer.alloc(16, 0xa5), 0, 16, 4096 * page + 70);
    closeSync(fd);
  }
}

export async function work(folder, { mark, attempt }) {
  const report = await attempt(() => Dataset.check(path(folder), { repair: true }));
  expect(
    report.damages.every((damage) => damage.repaired),
    `it was not repaired: ${JSON.stringify(report.damages)}`,
  );
  mark({ repaired: true });
}

export async function check(folder, { repaired }) {
  const at = path(folder);
  if (!repaired) {
    const { damages } = await Dataset.check(at, { repair: true });
    expect(
      damages.every((damage) => damage.repaired),
      `it cannot be repaired any more: ${JSON.stringify(damages)}`,
    );
  }
  const dataset = Dataset.open(at, { readOnly: true });
  expect(dataset.state('end') === '5000', 'the state is another one');
  dataset.close();
  await expectRows(at, 5000);
}
