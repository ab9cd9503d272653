import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import zlib, { gzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Dataset } from '../native/dataset.js';
import { changed, inWorkplace, type Workplace } from '../pipeline/fixture.test.helper.js';
import { foldersOf } from '../pipeline/folders.js';
import { type Answer, arrivedAt, ask, jsonRows, push, pushing, type Serving, serving, spawned, urlOf } from './fixture.test.helper.js';

const test = suite('http');
const row = '{"t":"2024-01-01","x":1,"c":"a","y":0}';
const json = { 'content-type': 'application/json' };

const size = ({ data }: Workplace): number => {
  using dataset = Dataset.open(foldersOf(data).dataset('tiny'), { readOnly: true });
  return dataset.size();
};

async function withServer(
  work: (url: string, place: Workplace, serve: Serving) => Promise<void>,
  http?: string,
  options = {},
): Promise<void> {
  await inWorkplace(async (place) => {
    const serve = await serving(place, pushing(http), options);
    const url = await urlOf(serve);
    try {
      await work(url, place, serve);
    } finally {
      await serve.stop();
    }
  });
}

const refused: [what: string, status: number, message: RegExp, body: string | Buffer, headers?: Record<string, string>][] = [
  ['a broken line', 422, /E_SOURCE.*line 2: /, `${row}\n{"t":\n`],
  ['a line end within a text', 422, /E_SOURCE.*line 1: /, '{"t":"2024\n-01-01","x":1,"c":"a","y":0}'],
  ['a value that is no object', 422, /E_SOURCE.*row 2: expected an object/, `${row}\n7\n`],
  ['a list', 422, /row 1: expected an object/, '[1]\n'],
  ['no samples', 422, /no samples/, '\n'],
  ['a missing column', 422, /column 't', row 1: .*got nothing/, '{"x":1,"c":"a","y":0}'],
  ['a number that is none', 422, /E_NOT_FINITE.*column 'x', row 2: .*got \\"one\\"/, `${row}\n${row.replace('"x":1', '"x":"one"')}`],
  ['a label outside the classes', 422, /E_LABEL_RANGE.*column 'y', row 1/, row.replace('"y":0', '"y":2')],
  ['a time that is none', 422, /column 't', row 1: expected a time/, row.replace('2024-01-01', 'yesterday')],
  ['other bytes than UTF-8', 422, /UTF-8/, Buffer.from([0x7b, 0xff, 0x7d])],
  ['a broken array', 422, /E_SOURCE/, '[{]', json],
  ['an object alone', 422, /expected a JSON array/, row, json],
  ['another type', 415, /Content-Type/, row, { 'content-type': 'text/csv' }],
  ['another character set', 415, /UTF-8/, row, { 'content-type': 'application/json; charset=latin1' }],
  ['another encoding', 415, /Content-Encoding: expected identity or gzip.*got br/, row, { 'content-encoding': 'br' }],
  ['a compressed body that is none', 400, /cannot be decompressed/, row, { 'content-encoding': 'gzip' }],
  ['a compressed body that is cut off', 400, /cannot be decompressed/, gzipSync(row).subarray(0, 40), { 'content-encoding': 'gzip' }],
  ['a compressed body that is too large', 413, /more than 2000 bytes/, gzipSync(`${row}\n`.repeat(100)), { 'content-encoding': 'gzip' }],
  ['a long key', 400, /Idempotency-Key/, row, { 'idempotency-key': 'k'.repeat(300) }],
  ['a body that is too large', 413, /more than 2000 bytes/, `${row}\n`.repeat(100)],
];

test('what cannot be taken is refused as a whole, with its place', () =>
  withServer(async (url, place) => {
    for (const [what, status, message, body, headers] of refused) {
      const answer = await push(url, body, headers);
      assert.is(answer.status, status, `${what}: ${answer.text}`);
      assert.match(answer.text, message);
    }
    assert.is(size(place), 0);
    // A category of a refused request was not given a code.
    await push(url, row.replace('"c":"a","y":0', '"c":"ghost","y":9'));
    assert.is((await push(url, row)).status, 200);
    using dataset = Dataset.open(foldersOf(place.data).dataset('tiny'), { readOnly: true });
    assert.is(dataset.state('dict:c'), '["a"]');
  }, 'port: 0, maxBytes: 2000'));

test('an array, lines with empty ones between, other columns beside, chunks: all are taken', () =>
  withServer(async (url, place) => {
    assert.equal((await push(url, `[${row},${row}]`, json)).json, { first: 0, count: 2 });
    assert.equal((await push(url, `\uFEFF${row}\r\n\r\n${row.replace('}', ',"more":{"a":[1]}}')}`)).json, { first: 2, count: 2 });
    assert.equal((await push(url, row, { 'transfer-encoding': 'chunked' })).json, { first: 4, count: 1 });
    assert.equal((await push(url, row, { expect: '100-continue' })).json, { first: 5, count: 1 });
    assert.equal((await push(url, gzipSync(row), { 'content-encoding': 'GZIP', 'idempotency-key': 'a' })).json, { first: 6, count: 1 });
    // The same content is the same request, however it was sent.
    assert.equal((await push(url, row, { 'idempotency-key': 'a' })).json, { first: 6, count: 1 });
    assert.is(size(place), 7);
  }));

test('a bomb is refused before it is unpacked', () =>
  withServer(async (url) => {
    const bomb = gzipSync(Buffer.alloc(2 ** 28, 32));
    assert.ok(bomb.length < 2 ** 19);
    const before = process.memoryUsage().rss;
    assert.is((await push(url, bomb, { 'content-encoding': 'gzip' })).status, 413);
    assert.ok(process.memoryUsage().rss - before < 2 ** 27);
  }, 'port: 0, maxBytes: 1000000'));

test('Zstandard is taken where Node knows it, within the same bound', () =>
  withServer(async (url) => {
    const encoding = 'zstd';
    const compress = (zlib as unknown as { zstdCompressSync?: (bytes: string | Buffer) => Buffer }).zstdCompressSync;
    if (compress === undefined) return assert.is((await push(url, row, { 'content-encoding': encoding })).status, 415);
    assert.equal((await push(url, compress(row), { 'content-encoding': encoding })).json, { first: 0, count: 1 });
    assert.is((await push(url, compress(Buffer.alloc(2 ** 28, 32)), { 'content-encoding': encoding })).status, 413);
    assert.is((await push(url, row, { 'content-encoding': encoding })).status, 400);
  }, 'port: 0, maxBytes: 1000000'));

test('other paths and methods; health; metrics', () =>
  withServer(async (url, _, serve) => {
    assert.is((await ask(url, '/')).status, 404);
    const wrong = await ask(url, '/v1/samples');
    assert.equal([wrong.status, wrong.headers['allow']], [405, 'POST']);
    assert.is((await ask(url, '/metrics', { method: 'DELETE' })).status, 405);
    assert.equal((await ask(url, '/healthz')).json, { status: 'ok' });
    assert.equal((await ask(url, '/readyz')).json, { status: 'ready' });
    await push(url, jsonRows(0, 700));
    await push(url, 'nonsense');
    await serve.until((e) => e.type === 'available');
    const { text, headers } = await ask(url, '/metrics');
    assert.match(headers['content-type'] as string, /^text\/plain; version=0\.0\.4/);
    const lines = [
      'sluice_samples{pipeline="tiny"} 700',
      'sluice_informed_samples{pipeline="tiny"} 700',
      'sluice_pushed_samples_total{pipeline="tiny"} 700',
      'sluice_commits_total{pipeline="tiny"} 1',
      'sluice_commit_seconds_count{pipeline="tiny"} 1',
      'sluice_triggers{pipeline="tiny"} 1',
      'sluice_triggers_waiting{pipeline="tiny"} 0',
      'sluice_model_trigger{pipeline="tiny"} 0',
      'sluice_pending_bytes{pipeline="tiny"} 0',
      'sluice_http_requests_total{status="422",pipeline="tiny"} 1',
    ];
    for (const line of lines) assert.ok(text.includes(`${line}\n`), `${line}\n${text}`);
    assert.match(text, /sluice_model_age_seconds\{pipeline="tiny"\} [0-9.]+\n/);
  }));

test('a token is asked for', async () => {
  process.env['SLUICE_TEST_TOKEN'] = 'secret';
  await withServer(async (url, place) => {
    for (const authorization of ['', 'Bearer wrong', 'Basic secret']) {
      const answer = await push(url, row, { authorization });
      assert.equal([answer.status, answer.headers['www-authenticate']], [401, 'Bearer']);
    }
    assert.is(size(place), 0);
    assert.is((await push(url, row, { authorization: 'Bearer secret' })).status, 200);
    assert.is((await ask(url, '/healthz')).status, 200);
  }, 'port: 0, token: "env:SLUICE_TEST_TOKEN"');
});

test('a key gives the same answer again, also at the same time and after a restart; other content is refused', () =>
  inWorkplace(async (place) => {
    const first = await serving(place, pushing());
    const url = await urlOf(first);
    const [body, key] = [jsonRows(0, 10), { 'idempotency-key': 'one' }];
    const answers = await Promise.all([
      push(url, body, key),
      push(url, body, key),
      push(url, jsonRows(10, 12), { 'idempotency-key': 'two' }),
    ]);
    assert.equal(answers[0]?.json, answers[1]?.json);
    assert.is(size(place), 12);
    assert.match((await ask(url, '/metrics')).text, 'sluice_pushed_samples_total{pipeline="tiny"} 12\n');
    await first.stop();
    const second = await serving(place, pushing());
    const again = await urlOf(second);
    assert.equal((await push(again, body, key)).json, answers[0]?.json);
    assert.equal((await push(again, jsonRows(10, 12), { 'idempotency-key': 'two' })).json, answers[2]?.json);
    assert.match((await ask(again, '/metrics')).text, 'sluice_pushed_samples_total{pipeline="tiny"} 0\n');
    const other = await push(again, jsonRows(0, 11), key);
    assert.equal([other.status, other.json.error.code], [409, 'E_EXISTS']);
    // A refused request does not use up its key.
    assert.is((await push(again, 'nonsense', { 'idempotency-key': 'three' })).status, 422);
    assert.is((await push(again, row, { 'idempotency-key': 'three' })).status, 200);
    await second.stop();
    assert.is(size(place), 13);
  }));

test('requests at the same time share a transaction', () =>
  withServer(async (url) => {
    const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => push(url, jsonRows(20 * i, 20 * i + 20))));
    const firsts = answers.map((a) => a.json.first as number).sort((a, b) => a - b);
    assert.equal(
      firsts,
      Array.from({ length: 40 }, (_, i) => 20 * i),
    );
    const commits = Number(/sluice_commits_total\{pipeline="tiny"\} (\d+)/.exec((await ask(url, '/metrics')).text)?.[1]);
    assert.ok(commits < 40, String(commits));
  }));

/** Begins a request and sends a part of its body. */
function begin(url: string, length: number, part: string) {
  const headers = { 'content-type': 'application/x-ndjson', 'content-length': String(length) };
  const request = httpRequest(new URL('/v1/samples', url), { method: 'POST', headers, agent: false });
  request.write(part);
  const answer = new Promise<number>((resolve, reject) => {
    request.on('response', (response) => resolve(response.resume().statusCode ?? 0));
    request.on('error', reject);
  });
  return { request, answer };
}

async function pendingIs(url: string, bytes: number): Promise<void> {
  while (!(await ask(url, '/metrics')).text.includes(`sluice_pending_bytes{pipeline="tiny"} ${bytes}\n`));
}

test('beyond maxPending clients are told to come again; what was under way is taken', () =>
  withServer(async (url, place) => {
    const body = jsonRows(0, 20);
    const slow = begin(url, body.length, body.slice(0, 100));
    await pendingIs(url, body.length);
    const answer = await push(url, jsonRows(20, 40));
    assert.equal([answer.status, answer.headers['retry-after']], [429, '1']);
    slow.request.end(body.slice(100));
    assert.is(await slow.answer, 200);
    await pendingIs(url, 0);
    assert.is((await push(url, jsonRows(20, 40))).status, 200);
    assert.is(size(place), 40);
  }, 'port: 0, maxPending: 2000'));

test('a client that goes away in the middle, or is too slow, leaves nothing behind', () =>
  withServer(
    async (url, place) => {
      const body = jsonRows(0, 20);
      const gone = begin(url, body.length, body.slice(0, 100));
      await pendingIs(url, body.length);
      gone.request.destroy();
      await gone.answer.catch(() => {});
      await pendingIs(url, 0);
      const slow = begin(url, body.length, body.slice(0, 100));
      assert.is(await slow.answer, 408);
      await pendingIs(url, 0);
      const { hostname, port } = new URL(url);
      const nonsense = connect(Number(port), hostname);
      nonsense.end('nonsense\r\n\r\n');
      const text = await new Promise<string>((resolve) => nonsense.once('data', (data) => resolve(String(data))));
      assert.match(text, /^HTTP\/1\.1 400/);
      assert.is((await push(url, body)).status, 200);
      assert.is(size(place), 20);
    },
    undefined,
    { requestTimeoutMs: 300 },
  ));

test('kill -9 in the middle: what was acknowledged is there once; SIGTERM ends it well', () =>
  inWorkplace(async (place) => {
    place.write('p.yaml', changed(pushing()));
    const batches = 60;
    const body = (i: number) => jsonRows(20 * i, 20 * i + 20);
    const acknowledged = new Map<number, number>();
    for (const kills of [9, 30, 47]) {
      const { child, exit, url } = await spawned(place.folder);
      const send = async (i: number) => {
        const answer: Answer | undefined = await push(url, body(i), { 'idempotency-key': `k${i}` }).catch(() => undefined);
        if (answer?.status === 200) acknowledged.set(i, answer.json.first);
        if (acknowledged.size >= kills) child.kill('SIGKILL');
      };
      const open = Array.from({ length: batches }, (_, i) => i).filter((i) => !acknowledged.has(i));
      await Promise.all(
        [0, 1, 2, 3].map(async (lane) => {
          for (const i of open.filter((n) => n % 4 === lane)) await send(i);
        }),
      );
      assert.is(await exit, null);
    }
    const { child, exit, url, events } = await spawned(place.folder);
    for (let i = 0; i < batches; i++) {
      const answer = await push(url, body(i), { 'idempotency-key': `k${i}` });
      assert.is(answer.status, 200);
      if (acknowledged.has(i)) assert.is(answer.json.first, acknowledged.get(i));
      acknowledged.set(i, answer.json.first);
    }
    child.kill('SIGTERM');
    assert.is(await exit, 0);
    assert.is(events.at(-1)?.type, 'stopped');
    using dataset = Dataset.open(join(place.folder, 'sluice-data/datasets/tiny'), { readOnly: true });
    assert.is(dataset.size(), 20 * batches);
    using snapshot = dataset.snapshot();
    const times = snapshot.timestamps();
    for (const [i, first] of acknowledged) {
      const expected = body(i)
        .trimEnd()
        .split('\n')
        .map((line) => BigInt(Date.parse(JSON.parse(line).t)));
      assert.equal([...times.slice(first, first + 20)], expected);
    }
  }));

test('stopping while requests are under way: they are answered, later ones are refused', () =>
  inWorkplace(async (place) => {
    const serve = await serving(place, pushing());
    const url = await urlOf(serve);
    const body = jsonRows(0, 20);
    const slow = begin(url, body.length, body.slice(0, 100));
    await pendingIs(url, body.length);
    const stopped = serve.stop();
    slow.request.end(body.slice(100));
    assert.is(await slow.answer, 200);
    await stopped;
    assert.is(size(place), 20);
    const again = await serving(place, pushing());
    await again.until(arrivedAt(20));
    await again.stop();
  }));

test.run();
