import { request } from 'node:https';
import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { credentials, loadPackageDefinition } from '@grpc/grpc-js';
import { load } from '@grpc/proto-loader';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { failure, inWorkplace, type Workplace } from '../pipeline/fixture.test.helper.js';
import { ask, jsonRows, pushing, serving, urlOf } from './fixture.test.helper.js';

const test = suite('tls');
const fixture = (name: string) => fileURLToPath(new URL(`../../ts/services/fixtures/${name}`, import.meta.url));
const ca = readFileSync(fixture('localhost.cert.pem'));
const tls = 'tls: { cert: cert.pem, key: key.pem }';

function withFiles({ folder }: Workplace): void {
  copyFileSync(fixture('localhost.cert.pem'), join(folder, 'cert.pem'));
  copyFileSync(fixture('localhost.key.pem'), join(folder, 'key.pem'));
}

function pushed(url: string, body: string, trusted: Buffer | undefined): Promise<number> {
  return new Promise((resolve, reject) => {
    const options = { method: 'POST', headers: { 'content-type': 'application/x-ndjson' }, agent: false as const };
    const sent = request(new URL('/v1/samples', url), { ...options, ...(trusted === undefined ? {} : { ca: trusted }) }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

test('samples are pushed over HTTPS by those who trust the certificate', () =>
  inWorkplace(async (place) => {
    withFiles(place);
    const serve = await serving(place, pushing(`port: 0, ${tls}`));
    const url = await urlOf(serve);
    assert.match(url, /^https:\/\/127\.0\.0\.1:/);
    assert.is(await pushed(url, jsonRows(0, 10), ca), 200);
    assert.match(String(await pushed(url, jsonRows(10, 20), undefined).catch((error) => error.code)), /SELF_SIGNED/);
    // Who speaks HTTP without TLS disturbs nobody.
    assert.ok(
      await ask(url.replace('https', 'http'), '/healthz').then(
        () => false,
        () => true,
      ),
    );
    assert.is(await pushed(url, jsonRows(10, 20), ca), 200);
    await serve.stop();
  }));

test('and over gRPC', () =>
  inWorkplace(async (place) => {
    withFiles(place);
    const changes = pushing();
    changes['selection: { id: new-data }\n'] = `selection: { id: new-data }\nserve: { grpc: { port: 0, ${tls} } }\n`;
    const serve = await serving(place, changes);
    const url = await urlOf(serve);
    const proto = fileURLToPath(new URL('../../ts/services/proto/sluice.proto', import.meta.url));
    // biome-ignore lint/suspicious/noExplicitAny: made from the file
    const { sluice } = loadPackageDefinition(await load(proto, { longs: Number })) as any;
    const client = new sluice.v1.Arrival(url.replace('grpcs://', ''), credentials.createSsl(ca));
    const columns = [
      { name: 't', texts: ['2020-01-06T00:00:00Z'] },
      { name: 'x', numbers: [1] },
      { name: 'c', texts: ['a'] },
      { name: 'y', numbers: [1] },
    ];
    const answer = await new Promise((resolve, reject) => {
      client.Push({ columns }, (error: Error | null, value: unknown) => (error === null ? resolve(value) : reject(error)));
    });
    assert.equal(answer, { first: 0, count: 1 });
    client.close();
    await serve.stop();
  }));

test('files that cannot be used are named', () =>
  inWorkplace(async (place) => {
    const error = async () => await failure((await serving(place, pushing(`port: 0, ${tls}`))).ended);
    const missing = await error();
    assert.equal([missing.code, /serve\.http\.tls\.cert.*cert\.pem/.test(missing.message)], ['E_NOT_FOUND', true]);
    withFiles(place);
    place.write('key.pem', 'no key');
    const broken = await error();
    assert.equal([broken.code, /serve\.http\.tls: cert\.pem and key\.pem cannot be used/.test(broken.message)], ['E_ARGUMENT', true]);
  }));

test.run();
