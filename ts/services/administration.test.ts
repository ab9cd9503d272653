// Deleting and compacting while a pipeline is in production.
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { loadPipeline } from '../config/parse.js';
import { Dataset } from '../native/dataset.js';
import { failure, inWorkplace, rows, type Workplace } from '../pipeline/fixture.test.helper.js';
import { foldersOf } from '../pipeline/folders.js';
import { Journal, readResult } from '../pipeline/journal.js';
import type { RunResult } from '../pipeline/results.js';
import { runExperiment } from '../pipeline/run.js';
import { compactDataset, deleteSamples } from './control.js';
import { arrivedAt, ask, jsonRows, push, pushing, serving, trainedTrigger, urlOf } from './fixture.test.helper.js';

const test = suite('administration');

async function result({ data }: Workplace): Promise<RunResult> {
  const journal = await Journal.open(foldersOf(data).state);
  try {
    return readResult(journal, 'tiny');
  } finally {
    await journal.close();
  }
}

const decided = ({ triggers }: RunResult) => triggers.map(({ trigger: { id, key, outcome } }) => ({ id, key, outcome }));

test('the process in production deletes for others; a training on the samples begins again without them', () =>
  inWorkplace(async (place) => {
    const serve = await serving(place, { ...pushing(), 'epochs: 3': 'epochs: 3000' });
    const url = await urlOf(serve);
    await push(url, jsonRows(0, 700));
    await serve.until((e) => e.type === 'train');
    const deleted = await deleteSamples(place.data, 'tiny', { keys: '10-19,300', reason: 'asked for' });
    assert.equal(deleted, { dataset: 'tiny', samples: 11, models: [], waiting: 0, by: process.pid });
    assert.is((await deleteSamples(place.data, 'tiny', { keys: '10-19' })).samples, 0);
    await serve.until((e) => e.type === 'discarded' && e.triggerId === 0);
    const event = await serve.until((e) => e.type === 'deleted');
    assert.equal(event, { type: 'deleted', dataset: 'tiny', samples: 11, models: [], waiting: 0, reason: 'asked for' });
    const compacted = await compactDataset(place.data, 'tiny');
    assert.equal([compacted.samples, compacted.by], [11, process.pid]);
    assert.is((await push(url, jsonRows(700, 710))).status, 200);
    const trained = await serve.until(trainedTrigger(0));
    assert.is(trained.type === 'trained' && trained.training.trainsetSize, 672 - 11);
    const later = await deleteSamples(place.data, 'tiny', { where: 'key = 20' });
    assert.equal([later.samples, later.models], [1, ['tiny/0']]);
    await serve.stop();
    using dataset = Dataset.open(foldersOf(place.data).dataset('tiny'), { readOnly: true });
    assert.equal(
      (await dataset.deletions()).map(({ reason, keys }) => [reason, keys.length]),
      [
        ['asked for', 2],
        ['', 1],
      ],
    );
    assert.equal((await Dataset.check(foldersOf(place.data).dataset('tiny'))).damages, []);
    // Nobody listens any more: it is done here.
    assert.is((await deleteSamples(place.data, 'tiny', { keys: '30' })).by, null);
  }));

for (const trigger of ['id: time, every: 1w', 'id: amount, samples: 500'])
  test(`a restart after samples were deleted and compacted goes on with what was decided (${trigger})`, () =>
    inWorkplace(async (place) => {
      const changes = { ...pushing(), 'id: time, every: 1w': trigger };
      let size = 0;
      const pushTo = async (url: string, end: number) => {
        assert.is((await push(url, jsonRows(size, end), { 'idempotency-key': `to ${end}` })).status, 200);
        size = end;
      };
      let before: ReturnType<typeof decided> = [];
      // Each time the oldest go, as an operator who keeps samples for some time does, and some in between, seen and unseen.
      for (const [end, where] of [
        [1500, 'time < 2020-01-08'],
        [2100, 'key >= 1400 and key < 1600'],
        [2900, 'time < 2020-01-20'],
        [rows, 'key >= 2000 and label = 1'],
      ] as const) {
        const serve = await serving(place, changes);
        const url = await urlOf(serve);
        await pushTo(url, end);
        assert.ok((await deleteSamples(place.data, 'tiny', { where })).samples > 0);
        assert.ok((await compactDataset(place.data, 'tiny')).samples > 0);
        await serve.until(arrivedAt(end));
        await serve.stop();
        const now = decided(await result(place));
        assert.equal(now.slice(0, before.length), before);
        before = now;
      }
      const last = await serving(place, changes);
      // Keys of requests are known as before.
      assert.equal((await push(await urlOf(last), jsonRows(2900, rows), { 'idempotency-key': `to ${rows}` })).json, {
        first: 2900,
        count: rows - 2900,
      });
      await last.until((e) => e.type === 'serving' && e.waiting === 0).catch(() => last.until(trainedTrigger(before.length - 1)));
      await last.stop();
      const live = await result(place);
      assert.ok(live.triggers.length > 3);
      const windows = live.windows.map(({ index }) => index);
      assert.equal(
        windows,
        [...new Set(windows)].sort((a, b) => a - b),
      );
      const again = await runExperiment(await loadPipeline(join(place.folder, 'p.yaml')), { dataFolder: place.data, trace: 'tiny' });
      assert.equal(decided(again), decided(live));
    }));

test('by HTTP it asks for a token of its own', () =>
  inWorkplace(async (place) => {
    process.env['SLUICE_TEST_PUSH'] = 'pushes';
    process.env['SLUICE_TEST_ADMIN'] = 'deletes';
    const post = (url: string, path: string, token: string, body = '') =>
      ask(url, path, { method: 'POST', headers: { authorization: `Bearer ${token}` }, body });
    const without = await serving(place, pushing('port: 0, token: "env:SLUICE_TEST_PUSH"'));
    assert.is((await post(await urlOf(without), '/v1/delete', 'pushes', '{"keys":"1"}')).status, 403);
    await without.stop();
    const serve = await serving(place, pushing('port: 0, token: "env:SLUICE_TEST_PUSH", admin: "env:SLUICE_TEST_ADMIN"'));
    const url = await urlOf(serve);
    await push(url, jsonRows(0, 100), { authorization: 'Bearer pushes' });
    assert.is((await post(url, '/v1/delete', 'pushes', '{"keys":"1"}')).status, 401);
    assert.is((await ask(url, '/v1/compact')).status, 405);
    for (const [body, message] of [
      ['', /expected a JSON object/],
      ['{}', /which samples/],
      ['{"keys":"1","all":true}', /all/],
      ['{"where":"time < soon"}', /'soon' is no time/],
    ] as const) {
      const answer = await post(url, '/v1/delete', 'deletes', body);
      assert.is(answer.status, 400, answer.text);
      assert.match(answer.text, message);
    }
    assert.is((await post(url, '/v1/delete', 'deletes', '{"keys":"100"}')).status, 422);
    assert.equal((await post(url, '/v1/delete', 'deletes', '{"label":1,"where":"key < 4"}')).json.dataset, 'tiny');
    assert.is((await post(url, '/v1/delete', 'deletes', '{"keys":"5-9"}')).json.samples, 5);
    assert.ok((await post(url, '/v1/compact', 'deletes')).json.samples >= 5);
    await serve.stop();
  }));

test('the socket is for the owner alone; one that was left behind is replaced', () =>
  inWorkplace(async (place) => {
    // Addresses of sockets are short; folders need not be.
    place.data = join(place.folder, 'a-folder-with-a-long-name'.repeat(6), 'data');
    const socket = foldersOf(place.data).controlSocket('tiny');
    const first = await serving(place, pushing());
    await push(await urlOf(first), jsonRows(0, 10));
    assert.is(statSync(socket).mode & 0o777, 0o600);
    assert.is(statSync(join(socket, '..')).mode & 0o777, 0o700);
    assert.is((await deleteSamples(place.data, 'tiny', { keys: '1' })).by, process.pid);
    await first.stop();
    if (existsSync(socket)) assert.equal(readdirSync(join(socket, '..')), ['tiny.sock']);
    else writeFileSync(socket, '');
    using dataset = Dataset.open(foldersOf(place.data).dataset('tiny'));
    assert.is((await failure(deleteSamples(place.data, 'tiny', { keys: '2' }))).code, 'E_LOCKED');
    dataset.close();
    const second = await serving(place, pushing());
    await urlOf(second);
    assert.is((await deleteSamples(place.data, 'tiny', { keys: '2' })).by, process.pid);
    await second.stop();
  }));

test('what was deleted is in no file after a compaction in production', () =>
  inWorkplace(async (place) => {
    const serve = await serving(place, pushing());
    const url = await urlOf(serve);
    const secret = 123_456.78;
    await push(url, `${JSON.stringify({ t: '2020-01-06T00:00:00Z', x: secret, c: 'a', y: 1 })}\n${jsonRows(1, 300)}`);
    const bytes = Buffer.from(Float32Array.of(secret).buffer);
    const holds = (folder: string): boolean =>
      readdirSync(folder, { withFileTypes: true }).some((entry) => {
        const path = join(folder, entry.name);
        return entry.isDirectory() ? holds(path) : entry.isFile() && readFileSync(path).includes(bytes);
      });
    assert.ok(holds(place.data));
    await deleteSamples(place.data, 'tiny', { keys: '0' });
    const pushes = Array.from({ length: 20 }, (_, i) => push(url, jsonRows(300 + 10 * i, 310 + 10 * i)));
    await compactDataset(place.data, 'tiny');
    for (const answer of await Promise.all(pushes)) assert.is(answer.status, 200);
    assert.not.ok(holds(place.data));
    await serve.until(arrivedAt(500));
    await serve.stop();
    assert.equal((await Dataset.check(foldersOf(place.data).dataset('tiny'))).damages, []);
  }));

test.run();
