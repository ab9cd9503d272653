// The HTTP side of production mode: POST /v1/samples and /v1/labels, and what a supervisor asks for: /healthz, /readyz, /metrics.
import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { type ErrorCode, SluiceError } from '../errors.js';
import type { DatasetSpec } from '../sources/spec.js';
import { type Administration, type AdministrationPath, isAdministration } from './administration.js';
import { goneOf } from './control.js';
import { decoded, encodings, TooLarge } from './encoding.js';
import type { Arrived, Inlet, Pushed } from './inlet.js';
import { labelBatch, requireLate } from './label-rows.js';
import type { Metrics } from './metrics.js';
import { parseRows, type Row, toBatch } from './rows.js';
import type { Identity } from './tls.js';

export type HttpOptions = {
  host: string;
  port: number;
  token: string | undefined;
  /** Token of those who delete and compact; without one that is refused. */
  adminToken: string | undefined;
  administration: Administration;
  /** Encrypts connections. */
  identity: Identity | undefined;
  maxBytes: number;
  maxPending: number;
  /** Longest time in which a request must have arrived. Default 60,000 ms. */
  requestTimeoutMs?: number | undefined;
  inlet: Inlet;
  spec: DatasetSpec;
  metrics: Metrics;
  /** Why no samples are taken at the moment, or null. */
  notReady(): string | null;
};

/** Refused with this status, and with a Retry-After where it may be over soon. */
class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: ErrorCode,
    message: string,
    readonly headers: Record<string, string> = {},
    readonly hint?: string,
  ) {
    super(message);
  }
}

const statuses: Partial<Record<ErrorCode, number>> = {
  E_USAGE: 400,
  E_SOURCE: 422,
  E_NOT_FINITE: 422,
  E_LABEL_RANGE: 422,
  E_ARGUMENT: 413,
  E_EXISTS: 409,
  E_NOT_FOUND: 404,
  E_CLOSED: 503,
  E_IO: 503,
  E_READ_ONLY: 503,
  E_MEMORY: 503,
  E_NO_SPACE: 507,
};
const soon = { 'Retry-After': '1' };
const maxKeyLength = 256;

export class HttpService {
  readonly #options: HttpOptions;
  readonly #server: Server;
  readonly #tokenHash: Buffer | undefined;
  readonly #adminHash: Buffer | undefined;
  #arriving = 0; // bytes of bodies
  #closing = false;

  private constructor(options: HttpOptions) {
    this.#options = options;
    this.#tokenHash = options.token === undefined ? undefined : sha256(options.token);
    this.#adminHash = options.adminToken === undefined ? undefined : sha256(options.adminToken);
    const requestTimeout = options.requestTimeoutMs ?? 60_000;
    const limits = { requestTimeout, headersTimeout: Math.min(requestTimeout, 20_000), keepAliveTimeout: 30_000, maxHeaderSize: 16_384 };
    const all = { ...limits, connectionsCheckingInterval: Math.min(5000, requestTimeout) };
    const answer = (request: IncomingMessage, response: ServerResponse) => this.#answer(request, response);
    const { identity } = options;
    this.#server =
      identity === undefined ? createServer(all, answer) : createTlsServer({ ...all, ...identity, minVersion: 'TLSv1.2' }, answer);
    // A client that waits for our consent to send its body is refused before it does.
    this.#server.on('checkContinue', (request, response) => this.#answer(request, response));
  }

  /** Resolves once it listens. E_IO where the port is taken, E_ARGUMENT for an address that is none of this machine. */
  static async listen(options: HttpOptions): Promise<HttpService> {
    const service = new HttpService(options);
    await new Promise<void>((resolve, reject) => {
      service.#server.once('error', (error) => reject(unavailable(error, options)));
      service.#server.listen(options.port, options.host, resolve);
    });
    return service;
  }

  get url(): string {
    const { address, port, family } = this.#server.address() as AddressInfo;
    const scheme = this.#options.identity === undefined ? 'http' : 'https';
    return `${scheme}://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  }

  /** Takes no more requests and waits for those under way, at most `graceMs`. */
  async close(graceMs = 5000): Promise<void> {
    this.#closing = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    const timer = setTimeout(() => this.#server.closeAllConnections(), graceMs);
    await closed;
    clearTimeout(timer);
  }

  /** Bytes of requests that arrive or wait to be appended. */
  get pending(): number {
    return this.#arriving + this.#options.inlet.bytes;
  }

  /** Never rejects. */
  #answer(request: IncomingMessage, response: ServerResponse): void {
    const started = performance.now();
    // What goes wrong on the connection ends it; nothing else has to be done.
    request.on('error', () => {});
    response.on('error', () => {});
    this.#route(request, response)
      .catch((error: unknown) => this.#refuse(request, response, error))
      .catch(() => response.destroy())
      .finally(() => this.#options.metrics.answered(response.statusCode, (performance.now() - started) / 1000));
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { metrics, notReady } = this.#options;
    const path = (request.url ?? '').replace(/\?.*$/, '');
    if (path === '/v1/samples' || path === '/v1/labels') {
      allow(request, 'POST');
      return send(response, 200, await this.#receive(request, response, path === '/v1/labels'));
    }
    if (isAdministration(path)) {
      allow(request, 'POST');
      return send(response, 200, await this.#administer(path, request, response));
    }
    if (path !== '/healthz' && path !== '/readyz' && path !== '/metrics')
      throw new Refusal(
        404,
        'E_NOT_FOUND',
        `there is no ${path}`,
        {},
        'POST /v1/samples and /v1/labels, GET /healthz, /readyz and /metrics',
      );
    allow(request, 'GET', 'HEAD');
    if (path === '/healthz') return send(response, 200, { status: 'ok' });
    if (path === '/metrics') {
      const text = await metrics.text();
      response.writeHead(200, { 'Content-Type': metrics.contentType }).end(text);
      return;
    }
    const reason = this.#closing ? 'the server is stopping' : notReady();
    send(response, reason === null ? 200 : 503, reason === null ? { status: 'ready' } : { status: 'not ready', reason });
  }

  async #receive(request: IncomingMessage, response: ServerResponse, labels: boolean): Promise<object> {
    const { inlet, spec, metrics, notReady, maxBytes } = this.#options;
    this.#authorize(request, this.#tokenHash);
    if (labels) requireLate(spec);
    const reason = this.#closing ? 'the server is stopping' : notReady();
    if (reason !== null) throw new Refusal(503, 'E_CLOSED', reason, soon);
    const form = formOf(request);
    const encoding = encodingOf(request);
    const key = request.headers['idempotency-key'];
    if (key !== undefined && (typeof key !== 'string' || key === '' || key.length > maxKeyLength))
      throw new Refusal(400, 'E_ARGUMENT', `Idempotency-Key: expected 1 to ${maxKeyLength} characters`);
    const body = await content(await this.#body(request, response), encoding, maxBytes);
    const toRows = labels ? (rows: Row[]): Arrived => ({ labels: labelBatch(rows, spec) }) : (rows: Row[]) => toBatch(rows, spec);
    const { pushed, repeated } = await inlet.push(body, () => toRows(parseRows(body, form)), key);
    if (!repeated) metrics.pushed(pushed.count, body.length);
    return answerOf(pushed, labels);
  }

  async #administer(path: AdministrationPath, request: IncomingMessage, response: ServerResponse): Promise<object> {
    if (this.#adminHash === undefined) {
      const hint = 'serve: { http: { admin: env:NAME } } names the variable that holds it; the command line needs none';
      throw new Refusal(403, 'E_ARGUMENT', 'no token of those who delete and compact is set', {}, hint);
    }
    this.#authorize(request, this.#adminHash);
    if (this.#closing) throw new Refusal(503, 'E_CLOSED', 'the server is stopping', soon);
    const body = await this.#body(request, response);
    return await this.#options.administration.answer(path, body, goneOf(response)).catch((error: unknown) => {
      if (!(error instanceof SluiceError)) throw error;
      const status = { E_ARGUMENT: 422, E_ABORTED: 503 }[error.code as string];
      throw status === undefined ? error : new Refusal(status, error.code, error.message, {}, error.hint);
    });
  }

  #authorize(request: IncomingMessage, expected: Buffer | undefined): void {
    if (expected === undefined) return;
    const given = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? '';
    if (timingSafeEqual(sha256(given), expected)) return;
    throw new Refusal(401, 'E_ARGUMENT', 'expected the header Authorization: Bearer <token>', { 'WWW-Authenticate': 'Bearer' });
  }

  /** The whole body; it counts as pending while it arrives. */
  async #body(request: IncomingMessage, response: ServerResponse): Promise<Buffer> {
    const { maxBytes, maxPending } = this.#options;
    const length = Number(request.headers['content-length'] ?? 0);
    const check = (bytes: number, more: number) => {
      if (bytes > maxBytes) throw tooLarge(maxBytes);
      if (this.pending + more > maxPending && this.pending > 0)
        throw new Refusal(429, 'E_MEMORY', 'too many samples are on their way', soon, 'send them again after a moment');
    };
    check(length, length);
    this.#arriving += length;
    let counted = length;
    const chunks: Buffer[] = [];
    let bytes = 0;
    try {
      if (request.headers.expect !== undefined) response.writeContinue();
      for await (const chunk of request as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        if (bytes > counted) {
          check(bytes, bytes - counted);
          this.#arriving += bytes - counted;
          counted = bytes;
        }
        chunks.push(chunk);
      }
    } finally {
      this.#arriving -= counted;
    }
    return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
  }

  /** Answers an error. What is left of a body that was not read is not waited for. */
  #refuse(request: IncomingMessage, response: ServerResponse, error: unknown): void {
    if (response.headersSent || (request.destroyed && !request.complete)) return void response.destroy();
    const known = error instanceof Refusal || error instanceof SluiceError;
    const code = known ? error.code : 'E_INTERNAL';
    const message = error instanceof Error ? error.message : String(error);
    const status = error instanceof Refusal ? error.status : (statuses[code] ?? 500);
    if (status >= 500) this.#options.metrics.failed(code);
    const headers = error instanceof Refusal ? error.headers : status === 503 || status === 507 ? soon : {};
    if (!request.complete) response.shouldKeepAlive = false;
    send(response, status, { error: { code, message, ...(known && error.hint !== undefined ? { hint: error.hint } : {}) } }, headers);
    if (!request.complete) response.once('finish', () => discard(request));
  }
}

/** What a client is told: of labels what they found, of samples where they are. */
function answerOf(pushed: Pushed, labels: boolean): object {
  if (!('waiting' in pushed)) return pushed;
  const { waiting, count, joined, early, known, late } = pushed;
  return labels ? { joined, early, known, late } : { waiting, count, joined };
}

/** Reads on for a moment, so that the client sees the answer before its connection ends. */
function discard(request: IncomingMessage): void {
  request.resume();
  const timer = setTimeout(() => request.destroy(), 1000).unref();
  request.once('close', () => clearTimeout(timer));
}

function send(response: ServerResponse, status: number, value: unknown, headers: Record<string, string> = {}): void {
  const text = `${JSON.stringify(value)}\n`;
  const all = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text), ...headers };
  response.writeHead(status, all).end(text);
}

function allow(request: IncomingMessage, ...methods: string[]): void {
  if (methods.includes(request.method ?? '')) return;
  throw new Refusal(405, 'E_ARGUMENT', `expected ${methods.join(' or ')}, got ${request.method}`, { Allow: methods.join(', ') });
}

const tooLarge = (maxBytes: number) =>
  new Refusal(413, 'E_ARGUMENT', `the body has more than ${maxBytes} bytes`, {}, 'send smaller batches');

function encodingOf({ headers }: IncomingMessage): string {
  const encoding = (headers['content-encoding'] ?? 'identity').toLowerCase();
  if (encodings.includes(encoding)) return encoding;
  const message = `Content-Encoding: expected ${encodings.join(' or ')}, got ${encoding}`;
  throw new Refusal(415, 'E_ARGUMENT', message, { 'Accept-Encoding': encodings.join(', ') });
}

/** The body without its compression. */
async function content(body: Buffer, encoding: string, maxBytes: number): Promise<Buffer> {
  try {
    return await decoded(body, encoding, maxBytes);
  } catch (error) {
    if (error instanceof TooLarge) throw tooLarge(maxBytes);
    throw new Refusal(400, 'E_SOURCE', `the body cannot be decompressed (${encoding}): ${(error as Error).message}`);
  }
}

function formOf(request: IncomingMessage): 'lines' | 'array' {
  const { 'content-type': type = '' } = request.headers;
  const [media = '', ...parameters] = type
    .toLowerCase()
    .split(';')
    .map((part) => part.trim());
  const charset = parameters.find((p) => p.startsWith('charset='))?.replace(/^charset="?([^"]*)"?$/, '$1');
  if (charset === undefined || charset === 'utf-8' || charset === 'utf8') {
    if (media === 'application/x-ndjson' || media === 'application/jsonl' || media === 'application/json-lines') return 'lines';
    if (media === 'application/json') return 'array';
  }
  throw new Refusal(
    415,
    'E_ARGUMENT',
    `Content-Type: expected application/x-ndjson or application/json in UTF-8, got ${type === '' ? 'none' : type}`,
  );
}

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();

function unavailable(error: NodeJS.ErrnoException, { host, port }: HttpOptions): SluiceError {
  if (error.code === 'EADDRINUSE') {
    const hint = 'choose another serve.http.port, or 0 for a free one';
    return new SluiceError('E_IO', `port ${port} of ${host} is in use`, { hint, cause: error });
  }
  return new SluiceError('E_ARGUMENT', `serve.http: cannot listen at ${host}:${port}: ${error.message}`, { cause: error });
}
