// A real S3-compatible server for tests: the npm package s3rver in a process of its own, or the one at the address in SLUICE_TEST_S3, and a proxy in front of it that fails on
// demand.
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { packageRoot } from '../package.js';
import { type Patience, S3 } from './client.js';
import { type S3Config, s3Config } from './config.js';

/** s3rver's own; a server that is named has a user with them. */
const credentials = { AWS_ACCESS_KEY_ID: 'S3RVER', AWS_SECRET_ACCESS_KEY: 'S3RVER' };

/** What the proxy makes of a request: `pass` hands it on. */
export type Fault = (
  request: IncomingMessage,
  response: ServerResponse,
  pass: (change?: (answer: IncomingMessage) => void) => void,
) => void;

export type TestServer = {
  endpoint: string;
  bucket: string;
  /** Straight to the server. */
  s3: S3;
  /** By the proxy, with short pauses. */
  faulty(fault: Fault, patience?: Partial<Patience>): Promise<{ s3: S3; endpoint: string; requests: string[] }>;
  /** Whether it asks for a signature: s3rver takes requests without one, and looks at no clock. */
  strict: boolean;
  /** The environment that leads a pipeline there. */
  env: Record<string, string>;
};

export const quick: Partial<Patience> = { tries: 4, pauseMs: 1, maxPauseMs: 5, waitMs: 20_000 };

export const configFor = (endpoint: string, more: Record<string, string> = {}): S3Config =>
  s3Config({ endpoint }, { ...credentials, ...more });

/** Runs `work` with variables of the environment set. */
export async function inEnvironment<T>(env: Record<string, string>, work: () => Promise<T>): Promise<T> {
  const before = Object.fromEntries(Object.keys(env).map((name) => [name, process.env[name]]));
  Object.assign(process.env, env);
  try {
    return await work();
  } finally {
    for (const [name, value] of Object.entries(before)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

export async function withServer(work: (server: TestServer) => Promise<void>): Promise<void> {
  const named = process.env['SLUICE_TEST_S3'];
  own ??= named === undefined ? startOwn() : undefined;
  const endpoint = named ?? (await own!);
  const proxies: Server[] = [];
  const bucket = `sluice-${randomUUID()}`;
  const s3 = new S3(configFor(endpoint), quick);
  try {
    await s3.call({ method: 'PUT', bucket, key: '' }, async (answer) => void answer.resume());
    const faulty = async (fault: Fault, patience: Partial<Patience> = {}) => {
      const { server, url, requests } = await startProxy(new URL(endpoint), fault);
      proxies.push(server);
      return { s3: new S3(configFor(url), { ...quick, ...patience }), endpoint: url, requests };
    };
    await work({
      strict: await refusesUnsigned(endpoint, bucket),
      endpoint,
      bucket,
      s3,
      faulty,
      env: { ...credentials, AWS_ENDPOINT_URL: endpoint },
    });
  } finally {
    for (const server of proxies) {
      server.closeAllConnections();
      server.close();
    }
  }
}

async function refusesUnsigned(endpoint: string, bucket: string): Promise<boolean> {
  const unsigned = new S3({ ...configFor(endpoint), credentials: undefined }, quick);
  try {
    for await (const _ of unsigned.list(bucket, '')) break;
    return false;
  } catch {
    return true;
  }
}

/** Its continuation tokens are encrypted with DES, which OpenSSL has in its legacy provider only. */
const program = `
const S3rver = require('s3rver');
const server = new S3rver({ address: '127.0.0.1', port: 0, directory: process.argv[1], silent: true });
server.run().then(({ port }) => console.log(String(port)));
`;

let own: Promise<string> | undefined;

/** One for the process; it ends with it. */
async function startOwn(): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-s3-'));
  const child = spawn(process.execPath, ['--openssl-legacy-provider', '-e', program, directory], {
    cwd: packageRoot(),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  child.unref();
  process.once('exit', () => {
    child.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  });
  const port = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    child.once('exit', () => reject(new Error('s3rver ended')));
  });
  (child.stdout as Socket).unref();
  return `http://127.0.0.1:${port}`;
}

async function startProxy(target: URL, fault: Fault): Promise<{ server: Server; url: string; requests: string[] }> {
  const requests: string[] = [];
  const server = createServer((incoming, response) => {
    requests.push(`${incoming.method} ${incoming.url} ${incoming.headers.range ?? ''}`.trim());
    const pass = (change: (answer: IncomingMessage) => void = () => {}) => {
      const { method, url, headers } = incoming;
      // The signature covers the host that the client sees: it has to stay.
      const sent = request({ host: target.hostname, port: target.port, method, path: url, headers }, (answer) => {
        change(answer);
        if (response.headersSent || response.destroyed) return;
        response.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(response);
      });
      sent.on('error', () => response.destroy());
      incoming.pipe(sent);
    };
    fault(incoming, response, pass);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}
