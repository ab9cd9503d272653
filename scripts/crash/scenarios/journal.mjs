// Steps of a pipeline are journalled.
import { Journal } from '../../../dist/index.js';
import { expect } from './rows.mjs';

const many = 9;
const triggerOf = (id, round = 0) => ({
  id,
  key: 100 * id + 99,
  timeMs: 1000 * id,
  reason: `trigger ${id} ${'.'.repeat(200 * (id % 5))} ${round}`,
});
const traceOf = (id) => Array.from({ length: id + 1 }, (_, i) => 100 * (i + 1));
const path = (folder) => `${folder}/data/state`;

export function prepare() {}

export async function work(folder, { mark, attempt }) {
  const journal = await attempt(() => Journal.open(path(folder)));
  await attempt(() => journal.lock('p'));
  for (let id = 0; id < many; id++) {
    await attempt(() => journal.putArrival('p', [[0, traceOf(id)]], [triggerOf(id)]));
    mark({ triggers: id + 1 });
    await attempt(() => journal.putSet('p', id, { trainset: String(id), size: id }));
    mark({ sets: id + 1 });
    if (id % 4 === 0) await attempt(() => journal.putTrigger('p', triggerOf(id, 1)));
    mark({ changed: id });
  }
  await journal.close();
}

export async function check(folder, { triggers = 0, sets = 0, changed = -1 }) {
  const journal = await Journal.open(path(folder));
  await journal.lock('p');
  let found = 0;
  while (journal.trigger('p', found) !== undefined) found++;
  expect(found >= triggers, `${triggers} triggers were journalled, ${found} are there`);
  for (let id = 0; id < found; id++) {
    const rounds = id > changed ? [0, 1] : [id % 4 === 0 ? 1 : 0];
    const text = JSON.stringify(journal.trigger('p', id));
    expect(
      rounds.some((round) => text === JSON.stringify(triggerOf(id, round))),
      `trigger ${id} is ${text}`,
    );
  }
  for (let id = 0; id < sets; id++) expect(journal.set('p', id)?.size === id, `the set of trigger ${id} is lost`);
  const trace = journal.tracePage('p', 0) ?? [];
  expect(trace.length === found, `the trace has ${trace.length} borders, ${found} triggers fired`);
  await journal.putTrigger('p', triggerOf(found));
  expect(journal.trigger('p', found)?.id === found, 'a record afterwards is not there');
  await journal.close();
}
