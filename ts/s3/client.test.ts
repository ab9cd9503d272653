// Against a real server: see server.test.helper.ts.
import { randomBytes } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ErrorCode } from '../errors.js';
import { failure } from '../sources/fixture.test.helper.js';
import { S3, type S3Object } from './client.js';
import { s3Config } from './config.js';
import { configFor, quick, type TestServer, withServer } from './server.test.helper.js';

const test = suite('s3 client');

async function keysOf(s3: S3, bucket: string, prefix: string, options = {}): Promise<string[]> {
  const keys: string[] = [];
  for await (const found of s3.list(bucket, prefix, options)) keys.push('key' in found ? found.key : `${found.prefix}*`);
  return keys;
}

async function object({ s3, bucket }: TestServer, key: string, bytes: Buffer): Promise<S3Object> {
  await s3.put(bucket, key, bytes);
  return (await s3.head(bucket, key))!;
}

async function bytesOf(s3: S3, bucket: string, found: S3Object, start = 0, end = found.size): Promise<Buffer> {
  const into = Buffer.alloc(end - start);
  await s3.read(bucket, found, start, into);
  return into;
}

test('objects are written, listed over many pages, looked at, read in ranges and removed', () =>
  withServer(async (server) => {
    const { s3, bucket } = server;
    const bytes = randomBytes(100_000);
    const found = await object(server, 'a/x.bin', bytes);
    assert.is(found.size, bytes.length);
    assert.ok(Math.abs(found.modifiedMs - Date.now()) < 60_000);
    assert.equal(await bytesOf(s3, bucket, found), bytes);
    assert.equal(await bytesOf(s3, bucket, found, 777, 99_999), bytes.subarray(777, 99_999));
    for (let i = 0; i < 25; i++) await s3.put(bucket, `b/${String(i).padStart(2, '0')}`, Buffer.from('x'));
    assert.equal(await keysOf(s3, bucket, '', { delimiter: '/' }), ['a/*', 'b/*']);
    const keys = Array.from({ length: 25 }, (_, i) => `b/${String(i).padStart(2, '0')}`);
    assert.equal(await keysOf(s3, bucket, 'b/', { most: 4 }), keys);
    for await (const entry of s3.list(bucket, 'a/')) assert.equal({ ...entry, modifiedMs: 0 }, { ...found, modifiedMs: 0 });
    await s3.remove(bucket, 'a/x.bin');
    assert.is(await s3.head(bucket, 'a/x.bin'), undefined);
  }));

test('keys with any characters', () =>
  withServer(async (server) => {
    const { s3, bucket } = server;
    const keys = ['a b+c&d=e.csv', "é ü/ß'()!*.csv", '100%25.csv', 'x<y>.csv', '{z}~[1].csv'].sort();
    for (const key of keys) await s3.put(bucket, key, Buffer.from(key));
    assert.equal((await keysOf(s3, bucket, '')).sort(), keys);
    for (const key of keys) assert.is(String(await bytesOf(s3, bucket, (await s3.head(bucket, key))!)), key);
  }));

test('what the server refuses has a code and says what to do', () =>
  withServer(async ({ s3, bucket, endpoint, strict }) => {
    await failure('E_NOT_FOUND', ['s3://no-such-bucket-there', 'no such bucket'], () => keysOf(s3, 'no-such-bucket-there', ''));
    await failure('E_NOT_FOUND', ['no such bucket'], () => s3.head('no-such-bucket-there', 'x'));
    const gone = { key: 'gone', size: 3, etag: 'e', modifiedMs: 0 };
    await failure('E_NOT_FOUND', [`s3://${bucket}/gone`, 'no such object'], () => bytesOf(s3, bucket, gone));
    if (!strict) return;
    const wrong = new S3(configFor(endpoint, { AWS_SECRET_ACCESS_KEY: 'wrong' }), quick);
    const secret = await failure('E_ACCESS', [bucket], () => keysOf(wrong, bucket, ''));
    assert.match(secret.hint ?? '', 'AWS_SECRET_ACCESS_KEY');
    const unknown = new S3(configFor(endpoint, { AWS_ACCESS_KEY_ID: 'nobody' }), quick);
    await failure('E_ACCESS', [bucket, 'access key'], () => keysOf(unknown, bucket, ''));
    const unsigned = new S3({ ...configFor(endpoint), credentials: undefined }, quick);
    const denied = await failure('E_ACCESS', [bucket, 'denied'], () => keysOf(unsigned, bucket, ''));
    assert.match(denied.hint ?? '', 'no credentials are set');
  }));

/** As AWS and Ceph answer. */
const answers: [status: number, body: string, code: ErrorCode, texts: string[]][] = [
  [403, '<Error><Code>RequestTimeTooSkewed</Code><Message>The difference…</Message></Error>', 'E_ACCESS', ['clock']],
  [403, '<Error><Code>AccessDenied</Code></Error>', 'E_ACCESS', ['denied']],
  [403, '', 'E_ACCESS', ['denied']],
  [403, '<Error><Code>InvalidAccessKeyId</Code></Error>', 'E_ACCESS', ['access key is unknown']],
  [403, '<Error><Code>SignatureDoesNotMatch</Code></Error>', 'E_ACCESS', ['secret key']],
  [400, '<Error><Code>ExpiredToken</Code></Error>', 'E_ACCESS', ['expired']],
  [
    400,
    '<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-3</Region></Error>',
    'E_ARGUMENT',
    ['in eu-west-3, not in us-east-1'],
  ],
  [301, '<Error><Code>PermanentRedirect</Code></Error>', 'E_ARGUMENT', ['not in us-east-1']],
  [418, '<Error><Code>Odd</Code><Message>a &lt;b&gt; &#x263a;</Message></Error>', 'E_IO', ['418', 'Odd: a <b> ☺']],
  [
    200,
    `<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken></ListBucketResult>`,
    'E_IO',
    ['same page'],
  ],
  [200, '<ListBucketResult><Contents><Key>k</Key><Size>-1</Size></Contents></ListBucketResult>', 'E_IO', ['size']],
];

test('answers that cannot be used have a code, too', () =>
  withServer(async (server) => {
    for (const [status, body, code, texts] of answers) {
      const { s3 } = await server.faulty((_, response) => response.writeHead(status).end(body));
      await failure(code, texts, () => keysOf(s3, 'bucket', ''));
    }
  }));

test('a clock that is wrong', () =>
  withServer(async ({ s3, bucket, strict }) => {
    if (!strict) return;
    const RealDate = Date;
    try {
      globalThis.Date = class extends RealDate {
        constructor(...given: unknown[]) {
          super(...((given.length === 0 ? [RealDate.now() - 86_400_000] : given) as [number]));
        }
      } as DateConstructor;
      await failure('E_ACCESS', [bucket, 'clock'], () => keysOf(s3, bucket, ''));
    } finally {
      globalThis.Date = RealDate;
    }
  }));

test('an endpoint that is not there', async () => {
  const nowhere = new S3(configFor('http://127.0.0.1:1'), quick);
  await failure('E_UNREACHABLE', ['s3://bb/', 'http://127.0.0.1:1', 'ECONNREFUSED', 'tried 4 times'], () => keysOf(nowhere, 'bb', ''));
  await failure('E_UNREACHABLE', ['s3.invalid'], () => keysOf(new S3(configFor('http://s3.invalid'), quick), 'bb', ''));
});

test('slow-downs, resets and answers that are cut off are tried again, from the byte reached on', () =>
  withServer(async (server) => {
    const bytes = randomBytes(3_000_000);
    const found = await object(server, 'x', bytes);
    let count = 0;
    const proxy = await server.faulty((_, response, pass) => {
      count++;
      if (count === 1) response.writeHead(503).end('<Error><Code>SlowDown</Code><Message>later</Message></Error>');
      else if (count === 2) response.destroy();
      else if (count === 3) response.writeHead(500).end();
      else if (count < 10)
        pass((answer) => {
          // Half a megabyte, then the connection breaks.
          let passed = 0;
          response.writeHead(answer.statusCode!, answer.headers);
          answer.on('data', (chunk: Buffer) => {
            const piece = chunk.subarray(0, 500_000 - passed);
            passed += piece.length;
            response.write(piece, () => passed >= 500_000 && response.destroy());
          });
          answer.on('end', () => response.end());
        });
      else pass();
    });
    assert.equal(await bytesOf(proxy.s3, server.bucket, found), bytes);
    const starts = proxy.requests.map((line) => Number(/bytes=(\d+)-/.exec(line)![1]));
    assert.equal(starts.slice(0, 4), [0, 0, 0, 0]);
    assert.ok(
      starts.slice(4).every((start, i) => start > starts[i + 3]!),
      starts.join(' '),
    );
  }));

test('a server that keeps failing, stays silent, or answers with less is told after some tries', () =>
  withServer(async (server) => {
    const found = await object(server, 'x', randomBytes(1000));
    const failing = await server.faulty((_, response) => response.writeHead(503).end());
    await failure('E_IO', [`s3://${server.bucket}/x`, '503', 'tried 4 times'], () => bytesOf(failing.s3, server.bucket, found));
    const silent = await server.faulty(() => {}, { waitMs: 30 });
    await failure('E_UNREACHABLE', ['nothing came'], () => bytesOf(silent.s3, server.bucket, found));
    const short = await server.faulty(
      (_, response) =>
        response
          .writeHead(206, { 'content-range': 'bytes 0-999/1000', etag: `"${found.etag}"`, 'content-length': '10' })
          .end(Buffer.alloc(10)),
      { tries: 1 },
    );
    await failure('E_IO', ['ends 990 bytes too early'], () => bytesOf(short.s3, server.bucket, found));
    const wrong = await server.faulty((_, response) =>
      response.writeHead(206, { 'content-range': 'bytes 5-999/1000', etag: `"${found.etag}"` }).end(Buffer.alloc(995)),
    );
    await failure('E_IO', ['asked for bytes 0 to 999'], () => bytesOf(wrong.s3, server.bucket, found));
  }));

test('an object that is replaced while it is read is an error, not mixed data', () =>
  withServer(async (server) => {
    const { s3, bucket } = server;
    const found = await object(server, 'x', Buffer.alloc(1000, 1));
    for (const other of [Buffer.alloc(1000, 2), Buffer.alloc(10, 2), Buffer.alloc(5000, 2)]) {
      await s3.put(bucket, 'x', other);
      await failure('E_CHANGED', [`s3://${bucket}/x`, 'replaced'], () => bytesOf(s3, bucket, found, 500));
    }
  }));

test('settings of a pipeline come before those of the environment; halves of credentials are refused', async () => {
  const env = { AWS_ENDPOINT_URL: 'http://a:1', AWS_ENDPOINT_URL_S3: 'http://b:2', AWS_REGION: 'eu-central-1' };
  assert.is(s3Config({}, env).endpoint?.origin, 'http://b:2');
  assert.is(s3Config({ endpoint: 'http://c:3' }, env).endpoint?.origin, 'http://c:3');
  assert.is(s3Config({}, env).region, 'eu-central-1');
  assert.is(s3Config({}, {}).pathStyle, false);
  assert.is(s3Config({}, env).pathStyle, true);
  await failure('E_ACCESS', ['AWS_SECRET_ACCESS_KEY'], () => s3Config({}, { AWS_ACCESS_KEY_ID: 'x' }));
  await failure('E_ACCESS', ['blank'], () => s3Config({}, { AWS_ACCESS_KEY_ID: 'x', AWS_SECRET_ACCESS_KEY: 'y\n' }));
  await failure('E_ARGUMENT', ['ftp://x'], () => s3Config({}, { AWS_ENDPOINT_URL: 'ftp://x' }));
});

test.run();
