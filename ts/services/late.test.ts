import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { sluice } from '../cli/cli.test.helper.js';
import { loadPipeline } from '../config/parse.js';
import { Dataset } from '../native/dataset.js';
import { changed, csv, failure, inWorkplace, type Workplace } from '../pipeline/fixture.test.helper.js';
import { foldersOf } from '../pipeline/folders.js';
import { Journal, readResult } from '../pipeline/journal.js';
import { runExperiment } from '../pipeline/run.js';
import { type Answer, ask, arrivedAt, pushing, serving, spawned, trainedTrigger, urlOf } from './fixture.test.helper.js';

const test = suite('late labels');

/** The small stream's rows, as objects with an id. */
const stream = csv()
  .trimEnd()
  .split('\n')
  .slice(1)
  .map((line, i) => {
    const [t, x, c, y] = line.split(',') as [string, string, string, string];
    return { t, x: Number(x), c, y: Number(y), imp: `imp-${i}` };
  });

const late = (fields = 'id: imp, within: 7d') => ({
  ...pushing(),
  'label: { column: y }': `label: { column: y, late: { ${fields} } }`,
});

type Row = Record<string, unknown>;
const withoutLabel = ({ y: _, ...row }: (typeof stream)[number]): Row => row;
const labelOf = ({ imp, y }: (typeof stream)[number]): Row => ({ imp, y });
const lines = (rows: Row[]): string => rows.map((row) => JSON.stringify(row)).join('\n');

function send(url: string, path: string, rows: Row[], key?: string): Promise<Answer> {
  const headers = { 'content-type': 'application/x-ndjson', ...(key === undefined ? {} : { 'idempotency-key': key }) };
  return ask(url, path, { method: 'POST', headers, body: lines(rows) });
}

/** Time and label of all samples, in order. */
function stored({ data }: Workplace): [string, number][] {
  using dataset = Dataset.open(foldersOf(data).dataset('tiny'), { readOnly: true });
  using snapshot = dataset.snapshot();
  const labels = snapshot.labels();
  return Array.from(snapshot.timestamps(), (ms, i) => [new Date(Number(ms)).toISOString(), labels[i]!]);
}

const expected = (rows: typeof stream): [string, number][] => rows.map(({ t, y }) => [t, y]);
const sorted = (all: [string, number][]): string[] => all.map(String).sort();

test('samples wait for their labels, and the policy sees them in the order of labelling', () =>
  inWorkplace(async (place) => {
    const serve = await serving(place, late());
    const url = await urlOf(serve);
    const pushed = await send(url, '/v1/samples', stream.slice(0, 10).map(withoutLabel));
    assert.equal([pushed.status, pushed.json], [200, { waiting: 1, count: 10, joined: 0 }]);
    const order = [3, 1, 2];
    const labels = await send(url, '/v1/labels', [...order.map((i) => labelOf(stream[i]!)), labelOf(stream[20]!)]);
    assert.equal([labels.status, labels.json], [200, { joined: 3, early: 1, known: 0, late: 0 }]);
    await serve.until(arrivedAt(3));
    const mixed = await send(url, '/v1/samples', [withoutLabel(stream[20]!), stream[21]!, { ...stream[22], y: null }]);
    assert.equal([mixed.json.count, mixed.json.joined], [3, 1]);
    await serve.until(arrivedAt(5));
    const straight = await send(url, '/v1/samples', stream.slice(30, 32));
    assert.equal(straight.json, { first: 5, count: 2 });
    await serve.until(arrivedAt(7));
    const { text } = await ask(url, '/metrics');
    assert.match(text, /^sluice_waiting_samples\{[^}]*\} 8$/m);
    assert.match(text, /^sluice_joined_labels_total\{[^}]*\} 4$/m);
    await serve.stop();
    assert.equal(stored(place), expected([3, 1, 2, 20, 21, 30, 31].map((i) => stream[i]!)));
    const again = await serving(place, late());
    const rest = await send(await urlOf(again), '/v1/labels', stream.slice(0, 10).map(labelOf));
    assert.equal(rest.json, { joined: 7, early: 0, known: 3, late: 0 });
    await again.stop();
    assert.equal(sorted(stored(place)), sorted(expected([...Array(10).keys(), 20, 21, 30, 31].map((i) => stream[i]!))));
  }));

test('a request is all or nothing, and one that is sent again counts once', () =>
  inWorkplace(async (place) => {
    const serve = await serving(place, late());
    const url = await urlOf(serve);
    const samples = stream.slice(0, 4).map(withoutLabel);
    const first = await send(url, '/v1/samples', samples, 'a');
    assert.equal((await send(url, '/v1/samples', samples, 'a')).json, first.json);
    assert.is((await send(url, '/v1/samples', samples.slice(1), 'a')).status, 409);
    const twice = await send(url, '/v1/samples', [withoutLabel(stream[9]!), samples[0]!]);
    assert.equal([twice.status, twice.json.error.code], [409, 'E_EXISTS']);
    assert.match(twice.json.error.message, /row 2: imp "imp-0": there is a sample with it already/);
    const one = await send(url, '/v1/labels', [labelOf(stream[0]!)], 'l');
    assert.equal((await send(url, '/v1/labels', [labelOf(stream[0]!)], 'l')).json, one.json);
    const other = { imp: 'imp-0', y: 1 - stream[0]!.y };
    const conflict = await send(url, '/v1/labels', [labelOf(stream[1]!), other]);
    assert.equal([conflict.status, conflict.json.error.code], [409, 'E_EXISTS']);
    assert.match(conflict.json.error.message, new RegExp(`row 2: imp "imp-0": its label is ${stream[0]!.y} already`));
    await serve.stop();
    assert.equal(stored(place), expected([stream[0]!]));
    // After a restart keys are known still.
    const again = await serving(place, late());
    const laterUrl = await urlOf(again);
    assert.equal((await send(laterUrl, '/v1/samples', samples, 'a')).json, first.json);
    assert.equal((await send(laterUrl, '/v1/labels', [labelOf(stream[0]!)], 'l')).json, one.json);
    assert.is((await send(laterUrl, '/v1/samples', [withoutLabel(stream[9]!)])).status, 200);
    await again.stop();
    assert.equal(stored(place), expected([stream[0]!]));
  }));

test('what cannot be taken is refused with its place', () =>
  inWorkplace(async (place) => {
    const serve = await serving(place, late());
    const url = await urlOf(serve);
    await send(url, '/v1/samples', [withoutLabel(stream[0]!)]);
    const cases: [string, Row[], number, RegExp][] = [
      ['/v1/labels', [{ imp: 'imp-0' }], 422, /column 'y', row 1/],
      ['/v1/labels', [{ imp: 'imp-0', y: 7 }], 422, /column 'y', row 1: expected a class from 0 to 1/],
      ['/v1/labels', [{ y: 1 }], 422, /column 'imp', row 1: expected an id/],
      ['/v1/labels', [{ imp: 2 ** 60, y: 1 }], 422, /column 'imp', row 1/],
      ['/v1/labels', [{ imp: ['imp-0'], y: 1 }], 422, /column 'imp', row 1/],
      ['/v1/labels', [{ imp: 'x'.repeat(300), y: 1 }], 422, /1 to 256 bytes/],
      ['/v1/labels', [{ imp: '\ud800', y: 1 }], 422, /column 'imp', row 1/],
      ['/v1/labels', [{ imp: 'imp-0', y: 1, t: 'soon' }], 422, /column 't', row 1/],
      ['/v1/labels', [], 422, /no labels in it/],
      ['/v1/samples', [{ ...withoutLabel(stream[1]!), imp: '' }], 422, /column 'imp', row 1/],
      ['/v1/samples', [stream[1]!, { ...stream[2], y: 'maybe' }], 422, /column 'y', row 2/],
    ];
    for (const [path, rows, status, message] of cases) {
      const answer = await send(url, path, rows);
      assert.is(answer.status, status, `${message}`);
      assert.match(answer.json.error.message, message);
    }
    assert.match((await ask(url, '/metrics')).text, /^sluice_waiting_samples\{[^}]*\} 1$/m);
    await serve.stop();
    const plain = await serving(place, { ...pushing(), 'id: tiny\n': 'id: other\n', 'id: tiny, seed': 'id: other, seed' });
    const none = await send(await urlOf(plain), '/v1/labels', [labelOf(stream[0]!)]);
    assert.equal([none.status, none.json.error.code], [404, 'E_NOT_FOUND']);
    await plain.stop();
  }));

test('labels join by the number that the push answered', () =>
  inWorkplace(async (place) => {
    const serve = await serving(place, late('within: 7d'));
    const url = await urlOf(serve);
    const { waiting } = (await send(url, '/v1/samples', stream.slice(0, 3).map(withoutLabel))).json;
    assert.is((await send(url, '/v1/labels', [{ key: waiting + 1, y: stream[1]!.y }])).json.joined, 1);
    const unknown = await send(url, '/v1/labels', [{ key: 99, y: 1 }]);
    assert.equal([unknown.status, unknown.json.error.code], [404, 'E_NOT_FOUND']);
    assert.is((await send(url, '/v1/labels', [{ key: -1, y: 1 }])).status, 422);
    await serve.stop();
    assert.equal(stored(place), expected([stream[1]!]));
  }));

test('what gets no label in time is dropped or counts as the label that is named', () =>
  inWorkplace(async (place) => {
    for (const missing of ['drop', '0']) {
      const serve = await serving(place, late(`id: imp, within: 1s, missing: ${missing}`));
      const url = await urlOf(serve);
      const rows = stream.slice(missing === '0' ? 10 : 0).slice(0, 3);
      await send(url, '/v1/samples', rows.map(withoutLabel));
      await send(url, '/v1/labels', [labelOf(rows[1]!), { imp: `nobody-${missing}`, y: 1 }]);
      await serve.until((e) => e.type === 'expired' && e.samples === 2);
      await serve.until((e) => e.type === 'expired' && e.labels === 1);
      const after = await send(url, '/v1/labels', [labelOf(rows[0]!)]);
      assert.is(after.json.late + after.json.early, 1);
      await serve.stop();
      assert.equal(
        stored(place),
        missing === 'drop'
          ? expected([rows[1]!])
          : [...expected([stream[1]!, rows[1]!]), ...[rows[0]!, rows[2]!].map(({ t }): [string, number] => [t, 0])],
      );
    }
  }));

test('it goes on after a window that ended with nothing to be stored', () =>
  inWorkplace(async (place) => {
    const changes = late('id: imp, within: 1s');
    const serve = await serving(place, changes);
    await send(await urlOf(serve), '/v1/samples', [withoutLabel(stream[0]!)]);
    await serve.until((e) => e.type === 'expired');
    await serve.stop();
    const again = await serving(place, changes);
    const answer = await send(await urlOf(again), '/v1/samples', [withoutLabel(stream[0]!)]);
    assert.is(answer.status, 200);
    await again.stop();
    assert.equal(stored(place), []);
  }));

test('triggers fire on labelled samples, and a replay of the trace gives the same', () =>
  inWorkplace(async (place) => {
    const serve = await serving(place, late());
    const url = await urlOf(serve);
    for (let first = 0; first < 2000; first += 500) await send(url, '/v1/samples', stream.slice(first, first + 500).map(withoutLabel));
    // Two of three get a label, those of an hour in any order.
    const labels = stream.slice(0, 2000).filter((_, i) => i % 3 > 0);
    for (let first = 0; first < labels.length; first += 4) labels.splice(first, 4, ...labels.slice(first, first + 4).reverse());
    for (let first = 0; first < labels.length; first += 400) await send(url, '/v1/labels', labels.slice(first, first + 400).map(labelOf));
    await serve.until(trainedTrigger(1));
    await serve.stop();
    assert.equal(stored(place), expected(labels));
    const journal = await Journal.open(foldersOf(place.data).state);
    const live = readResult(journal, 'tiny').triggers.map(({ trigger, training }) => [trigger.key, training?.trainset]);
    await journal.close();
    const again = await runExperiment(await loadPipeline(join(place.folder, 'p.yaml')), { dataFolder: place.data, trace: 'tiny' });
    assert.equal(
      again.triggers.map(({ trigger, training }) => [trigger.key, training?.trainset]),
      live,
    );
  }));

test('killed at random it neither loses a sample nor doubles one', () =>
  inWorkplace(async (place) => {
    place.write('p.yaml', changed(late()));
    const rows = stream.slice(0, 600);
    const requests = Array.from({ length: 30 }, (_, i) => rows.slice(20 * i, 20 * i + 20)).flatMap((part, i): [string, Row[]][] => {
      const [samples, labels]: [string, Row[]][] = [
        ['/v1/samples', part.map((row, k) => (k % 5 === 0 ? row : withoutLabel(row)))],
        ['/v1/labels', part.filter((_, k) => k % 5 !== 0).map(labelOf)],
      ];
      return i % 4 === 0 ? [labels!, samples!] : [samples!, labels!];
    });
    const done = new Array<boolean>(requests.length).fill(false);
    for (let kill = 0; done.includes(false); kill++) {
      const { child, exit, url } = await spawned(place.folder);
      const timer = kill < 6 ? setTimeout(() => child.kill('SIGKILL'), 20 + 37 * kill) : undefined;
      const open = requests.map((_, i) => i).filter((i) => !done[i]);
      await Promise.all(
        open.map(async (i) => {
          const [path, body] = requests[i]!;
          const answer = await send(url, path, body, `key-${i}`).catch(() => undefined);
          if (answer === undefined) return;
          assert.is(answer.status, 200, answer.text);
          done[i] = true;
        }),
      );
      clearTimeout(timer);
      child.kill(done.includes(false) ? 'SIGKILL' : 'SIGTERM');
      const status = await exit;
      if (!done.includes(false)) assert.is(status, 0);
    }
    place.data = join(place.folder, 'sluice-data');
    assert.equal(sorted(stored(place)), sorted(expected(rows)));
  }));

test('samples that wait are deleted by time, and by their ids', () =>
  inWorkplace(async (place) => {
    place.write('p.yaml', changed(late()));
    const { child, exit, url } = await spawned(place.folder);
    await send(url, '/v1/samples', stream.slice(0, 6).map(withoutLabel));
    await send(url, '/v1/labels', [labelOf(stream[0]!)]);
    const served = sluice(place.folder, 'delete', 'tiny', '--ids', 'imp-5,imp-0', '--yes').out;
    assert.match(served, /deleted by sluice serve.*\n1 that waited for their labels deleted/);
    const byTime = sluice(place.folder, 'delete', 'tiny', '--where', `time = ${stream[4]!.t}`, '--yes', '--json');
    assert.is(JSON.parse(byTime.out).waiting, 1);
    child.kill('SIGTERM');
    assert.is(await exit, 0);
    assert.match(sluice(place.folder, 'delete', 'tiny', '--ids', 'imp-1,imp-0', '--yes').out, /1 that waited for their labels deleted/);
    assert.match(sluice(place.folder, 'delete', 'tiny', '--ids', 'imp-1', '--yes').out, /none of 1 waits/);
    const early = sluice(place.folder, 'delete', 'tiny', '--where', `time <= ${stream[2]!.t}`, '--yes', '--json');
    assert.equal(JSON.parse(early.out), { dataset: 'tiny', samples: 1, waiting: 1, deleted: true, models: [], by: null });
    for (const args of [
      ['--ids', 'a'],
      ['--ids', '', '--yes'],
      ['--ids', 'a', '--keys', '1', '--yes'],
    ])
      assert.is(sluice(place.folder, 'delete', 'tiny', ...args).code, 2, args.join(' '));
    const again = await spawned(place.folder);
    const labels = await send(again.url, '/v1/labels', stream.slice(0, 6).map(labelOf));
    assert.equal(labels.json, { joined: 1, early: 0, known: 1, late: 4 });
    again.child.kill('SIGTERM');
    assert.is(await again.exit, 0);
  }));

test('samples that wait are not thrown away with an empty dataset', () =>
  inWorkplace(async (place) => {
    const serve = await serving(place, late());
    await send(await urlOf(serve), '/v1/samples', [withoutLabel(stream[0]!)]);
    await serve.stop();
    const other = { ...late(), 'columns: { x: f32, c: category }': 'columns: { x: f32, c: category, n: i32 }' };
    const { ended } = await serving(place, { ...other, 'id: tiny, seed': 'id: second, seed' });
    assert.is((await failure(ended)).code, 'E_CHANGED');
    assert.ok(existsSync(foldersOf(place.data).waiting('tiny')) && readdirSync(foldersOf(place.data).waiting('tiny')).length > 0);
  }));

test('files that tell when labels became known are replayed in that order', () =>
  inWorkplace(
    async (place) => {
      const result = await place.run({ 'label: { column: y }': 'label: { column: y, time: { column: l } }' });
      assert.is(result.status, 'complete');
      const known = (i: number) => Date.parse(stream[i]!.t) + (i % 7) * 3_600_000;
      const order = stream.map((_, i) => i).sort((a, b) => known(a) - known(b) || a - b);
      assert.equal(stored(place), expected(order.map((i) => stream[i]!)));
      const again = await place.run({ 'label: { column: y }': 'label: { column: y, time: { column: l } }' });
      assert.equal(again.triggers.length, result.triggers.length);
    },
    csv()
      .trimEnd()
      .split('\n')
      .map((line, i) =>
        i === 0 ? `${line},l` : `${line},${new Date(Date.parse(line.split(',')[0]!) + ((i - 1) % 7) * 3_600_000).toISOString()}`,
      )
      .join('\n'),
  ));

test.run();
