import { fileURLToPath } from 'node:url';
import { credentials, loadPackageDefinition, Metadata, status } from '@grpc/grpc-js';
import { load } from '@grpc/proto-loader';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Dataset } from '../native/dataset.js';
import { inWorkplace, type Workplace } from '../pipeline/fixture.test.helper.js';
import { foldersOf } from '../pipeline/folders.js';
import { jsonRows, pushing, serving, trainedTrigger, urlOf } from './fixture.test.helper.js';

const test = suite('grpc');
const proto = fileURLToPath(new URL('../../ts/services/proto/sluice.proto', import.meta.url));

type Stored = { first: number; count: number };
type Failure = Error & { code: number };

async function clientOf(url: string) {
  const loaded = loadPackageDefinition(await load(proto, { longs: Number })) as any;
  const client = new loaded.sluice.v1.Arrival(url.replace('grpc://', ''), credentials.createInsecure());
  const push = (samples: object, metadata = new Metadata()) =>
    new Promise<Stored>((resolve, reject) => {
      client.Push(samples, metadata, (error: Failure | null, stored: Stored) => (error === null ? resolve(stored) : reject(error)));
    });
  return { client, push };
}

/** Rows [first, end) of the small stream as columns. */
function columns(first: number, end: number) {
  const objects = jsonRows(first, end)
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  const of = (name: string) => objects.map((row) => row[name]);
  return [
    { name: 't', numbers: of('t').map((t) => Date.parse(t)) },
    { name: 'x', numbers: of('x') },
    { name: 'c', texts: of('c') },
    { name: 'y', numbers: of('y') },
    { name: 'more', texts: ['ignored'] },
  ];
}

const size = ({ data }: Workplace): number => {
  using dataset = Dataset.open(foldersOf(data).dataset('tiny'), { readOnly: true });
  return dataset.size();
};

const listening = (more = '') => ({ ...pushing(), 'http: { port: 0 }': `grpc: { port: 0${more} }` });

async function withServer(more: string, work: (url: string, place: Workplace) => Promise<void>): Promise<void> {
  await inWorkplace(async (place) => {
    const serve = await serving(place, listening(more));
    try {
      await work(await urlOf(serve), place);
    } finally {
      await serve.stop();
    }
  });
}

async function failed(work: Promise<unknown>): Promise<Failure> {
  return await work.then(
    () => assert.unreachable('it did not fail') as never,
    (error: Failure) => error,
  );
}

test('batches are stored once and fire triggers; a call may carry many', () =>
  inWorkplace(async (place) => {
    const serve = await serving(place, listening());
    const { client, push } = await clientOf(await urlOf(serve));
    assert.equal(await push({ columns: columns(0, 100) }), { first: 0, count: 100 });
    const keyed = { columns: columns(100, 150), idempotencyKey: 'one' };
    assert.equal(await push(keyed), { first: 100, count: 50 });
    assert.equal(await push(keyed), { first: 100, count: 50 });
    assert.is((await failed(push({ ...keyed, columns: columns(0, 10) }))).code, status.ALREADY_EXISTS);
    const call = client.PushStream();
    const answers: Stored[] = [];
    const ended = new Promise<void>((resolve, reject) => {
      call.on('data', (stored: Stored) => answers.push(stored));
      call.on('end', resolve);
      call.on('error', reject);
    });
    for (let first = 150; first < 1150; first += 50) call.write({ columns: columns(first, first + 50) });
    call.end();
    await ended;
    assert.equal(
      answers,
      Array.from({ length: 20 }, (_, i) => ({ first: 150 + 50 * i, count: 50 })),
    );
    await serve.until(trainedTrigger(0));
    client.close();
    await serve.stop();
    assert.is(size(place), 1150);
  }));

const refused: [what: string, change: (samples: ReturnType<typeof columns>) => object[], message: RegExp][] = [
  ['no columns', () => [], /no samples/],
  ['a missing column', (all) => all.filter((c) => c.name !== 'x'), /column 'x': expected 10 values, the source gave no such column/],
  [
    'columns of different lengths',
    (all) => all.map((c) => (c.name === 'c' ? { name: 'c', texts: ['a'] } : c)),
    /column 'c' has 1 values, column 'x' has 10/,
  ],
  ['a column twice', (all) => [...all, all[0]!], /two columns are named 't'/],
  ['two lists', (all) => all.map((c) => (c.name === 'x' ? { ...c, texts: ['a'] } : c)), /several lists/],
  [
    'a label outside the classes',
    (all) => all.map((c) => (c.name === 'y' ? { name: 'y', numbers: Array(10).fill(3) } : c)),
    /E_LABEL_RANGE.*column 'y', row 1/,
  ],
];

test('what cannot be taken is refused as a whole; in a call of many those before it stay', () =>
  withServer(', maxBytes: 5000', async (url, place) => {
    const { client, push } = await clientOf(url);
    for (const [what, change, message] of refused) {
      const error = await failed(push({ columns: change(columns(0, 10)) }));
      assert.is(error.code, status.INVALID_ARGUMENT, what);
      assert.match(error.message, message, what);
    }
    assert.is((await failed(push({ columns: columns(0, 4000) }))).code, status.RESOURCE_EXHAUSTED);
    const call = client.PushStream();
    const answers: Stored[] = [];
    const ended = new Promise<Failure>((resolve) => {
      call.on('data', (stored: Stored) => answers.push(stored));
      call.on('error', resolve);
    });
    call.write({ columns: columns(0, 10) });
    call.write({ columns: [] });
    call.write({ columns: columns(10, 20) });
    assert.is((await ended).code, status.INVALID_ARGUMENT);
    assert.equal(answers, [{ first: 0, count: 10 }]);
    client.close();
    assert.ok(size(place) <= 20);
  }));

test('a token is asked for', async () => {
  process.env['SLUICE_TEST_TOKEN'] = 'secret';
  await withServer(', token: "env:SLUICE_TEST_TOKEN"', async (url) => {
    const { client, push } = await clientOf(url);
    const metadata = new Metadata();
    metadata.set('authorization', 'Bearer secret');
    assert.is((await failed(push({ columns: columns(0, 10) }))).code, status.UNAUTHENTICATED);
    assert.equal(await push({ columns: columns(0, 10) }, metadata), { first: 0, count: 10 });
    client.close();
  });
});

test('labels come later by a call of their own', () =>
  inWorkplace(async (place) => {
    const late = { 'label: { column: y }': 'label: { column: y, late: { id: imp, within: 7d } }' };
    const serve = await serving(place, { ...listening(), ...late });
    const { client, push } = await clientOf(await urlOf(serve));
    const label = (values: object, metadata = new Metadata()) =>
      new Promise<object>((resolve, reject) => {
        client.PushLabels(values, metadata, (error: Failure | null, found: object) => (error === null ? resolve(found) : reject(error)));
      });
    const ids = Array.from({ length: 5 }, (_, i) => `i${i}`);
    const unlabelled = [...columns(0, 5).filter(({ name }) => name !== 'y'), { name: 'imp', texts: ids }];
    assert.equal(await push({ columns: unlabelled }), { first: 1, count: 5, waiting: true, joined: 0 });
    const labels = (y: number[], imp = ids) => ({
      columns: [
        { name: 'imp', texts: imp },
        { name: 'y', numbers: y },
      ],
      idempotencyKey: y.join(),
    });
    assert.equal(await label(labels([0, 1, 0], ['i0', 'i1', 'later'])), { joined: 2, early: 1, known: 0, late: 0 });
    assert.equal(await label(labels([0, 1, 0], ['i0', 'i1', 'later'])), { joined: 2, early: 1, known: 0, late: 0 });
    const conflict = await failed(label(labels([1, 1, 1, 1, 1])));
    assert.is(conflict.code, status.ALREADY_EXISTS);
    assert.match(conflict.message, /imp "i0": its label is 0 already/);
    assert.is((await failed(label({ columns: [{ name: 'imp', texts: ['i0'] }] }))).code, status.INVALID_ARGUMENT);
    await serve.stop();
    assert.is(size(place), 2);
  }));

test.run();
