// One connection to a broker: requests and their answers, in order (kafka.apache.org/protocol#protocol_network).
import { connect as connectTcp, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { SluiceError } from '../../errors.js';
import { nameOf } from './error-names.js';
import { authenticate, type Credentials } from './sasl.js';
import { WireError, WireReader, WireWriter } from './wire.js';

export type Address = { host: string; port: number };

export type Security = { tls: ConnectionOptions | undefined; sasl: Credentials | undefined };

/** A request: its number, the versions of it that we speak, and the first that is flexible. */
export type Api = { key: number; name: string; least: number; most: number; flexible: number };

const api = {
  versions: { key: 18, name: 'ApiVersions', least: 0, most: 0, flexible: 3 },
  saslHandshake: { key: 17, name: 'SaslHandshake', least: 1, most: 1, flexible: 99 },
  saslAuthenticate: { key: 36, name: 'SaslAuthenticate', least: 0, most: 1, flexible: 2 },
} satisfies Record<string, Api>;

/** An answer may have so many bytes. */
const maxAnswerBytes = 2 ** 28;
/** A broker has answered within it, beside the time that a request asks it to wait. */
const answerMs = 30_000;

type Waiting = { api: Api; version: number; timer: NodeJS.Timeout; done(answer: WireReader): void; failed(error: Error): void };

export class Connection {
  readonly #socket: Socket;
  readonly #name: string;
  readonly #waiting: Waiting[] = [];
  #versions = new Map<number, { least: number; most: number }>();
  #chunks: Buffer[] = [];
  #bytes = 0;
  #correlation = 0;
  #failure: Error | undefined;
  /** performance.now() from which on the broker may end the session. */
  #expires = Number.POSITIVE_INFINITY;

  private constructor(socket: Socket, name: string) {
    this.#socket = socket;
    this.#name = name;
    socket.on('data', (chunk) => this.#arrived(chunk));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the broker closed the connection')));
  }

  /** Connected, agreed on versions and authenticated. E_IO where that fails; the signal ends the connection. */
  static async open({ host, port }: Address, { tls, sasl }: Security, signal: AbortSignal): Promise<Connection> {
    const socket =
      tls === undefined ? connectTcp({ host, port }) : connectTls({ ...(isIp(host) ? {} : { servername: host }), ...tls, host, port });
    socket.setNoDelay(true);
    const connection = new Connection(socket, `${host}:${port}`);
    const stop = () => connection.close();
    signal.addEventListener('abort', stop, { once: true });
    socket.once('close', () => signal.removeEventListener('abort', stop));
    if (signal.aborted) stop();
    try {
      await connection.#agree();
      if (sasl !== undefined) await connection.#authenticate(sasl);
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  /** false: it was lost, or the broker is about to end it. */
  get usable(): boolean {
    return this.#failure === undefined && performance.now() < this.#expires;
  }

  close(): void {
    this.#fail(new Error('the connection was closed'));
  }

  /** The newest version that both sides speak. E_SOURCE where there is none. */
  version({ key, name, least, most }: Api): number {
    const theirs = this.#versions.get(key);
    const version = Math.min(most, theirs?.most ?? -1);
    if (theirs !== undefined && version >= Math.max(least, theirs.least)) return version;
    const offered = theirs === undefined ? 'does not know it' : `speaks ${theirs.least} to ${theirs.most}`;
    throw new SluiceError('E_SOURCE', `Kafka: ${name} is spoken here in versions ${least} to ${most}; the broker ${this.#name} ${offered}`);
  }

  /** The body of the answer. E_IO where there is none; `waitMs`: the request lets the broker wait so long. */
  async request(api: Api, version: number, write: (body: WireWriter) => void, waitMs = 0): Promise<WireReader> {
    const flexible = version >= api.flexible;
    const body = new WireWriter(flexible);
    body
      .int32(0)
      .int16(api.key)
      .int16(version)
      .int32(++this.#correlation);
    // The name of the client is not flexible, whatever the version.
    const client = Buffer.from('sluice');
    body.int16(client.length);
    for (const byte of client) body.int8(byte);
    body.tags();
    write(body);
    const { bytes } = body;
    bytes.writeInt32BE(bytes.length - 4, 0);
    try {
      return await new Promise<WireReader>((done, failed) => {
        if (this.#failure !== undefined) return failed(this.#failure);
        const late = () => this.#fail(new Error(`no answer within ${Math.round((waitMs + answerMs) / 1000)} s`));
        const timer = setTimeout(late, waitMs + answerMs);
        this.#waiting.push({ api, version, timer, done, failed });
        this.#socket.write(bytes);
      });
    } catch (error) {
      throw new SluiceError('E_IO', `Kafka at ${this.#name}: ${(error as Error).message}`, { cause: error });
    }
  }

  async #agree(): Promise<void> {
    const answer = await this.request(api.versions, 0, () => {});
    const code = answer.int16();
    if (code !== 0) throw new SluiceError('E_IO', `Kafka at ${this.#name}: ${nameOf(code)}`);
    for (const [key, least, most] of answer.array(() => [answer.int16(), answer.int16(), answer.int16()] as const))
      this.#versions.set(key, { least, most });
  }

  async #authenticate(sasl: Credentials): Promise<void> {
    const refused = (why: string) => new SluiceError('E_IO', `Kafka at ${this.#name} refuses ${sasl.username}: ${why}`);
    const mechanism = sasl.mechanism.toUpperCase();
    const handshake = await this.request(api.saslHandshake, this.version(api.saslHandshake), (body) => body.string(mechanism));
    const code = handshake.int16();
    const offered = handshake.array(() => handshake.string());
    if (code !== 0) throw refused(`${nameOf(code)}; it knows ${offered.join(', ') || 'none'}, not ${mechanism}`);
    const version = this.version(api.saslAuthenticate);
    const started = performance.now();
    const exchange = async (message: Buffer) => {
      const answer = await this.request(api.saslAuthenticate, version, (body) => body.blob(message));
      const code = answer.int16();
      const why = answer.string();
      if (code !== 0) throw refused(why || nameOf(code));
      const theirs = Buffer.from(answer.blob());
      const lifetimeMs = version >= 1 ? answer.int64() : 0;
      if (lifetimeMs > 0) this.#expires = started + 0.8 * lifetimeMs;
      return theirs;
    };
    await authenticate(sasl, exchange).catch((error: Error) => {
      throw error instanceof SluiceError ? error : refused(error.message);
    });
  }

  #arrived(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    while (this.#bytes >= 4 && this.#failure === undefined) {
      if (this.#chunks[0]!.length < 4) this.#chunks = [Buffer.concat(this.#chunks)];
      const length = this.#chunks[0]!.readInt32BE(0);
      if (length < 4 || length > maxAnswerBytes) this.#fail(new Error('it does not speak the Kafka protocol (or expects TLS)'));
      if (this.#failure !== undefined || this.#bytes < 4 + length) return;
      const all = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
      this.#bytes -= 4 + length;
      this.#chunks = this.#bytes === 0 ? [] : [all.subarray(4 + length)];
      this.#answered(all.subarray(4, 4 + length));
    }
  }

  #answered(bytes: Buffer): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) {
      this.#fail(new Error('it answers what was not asked'));
      return;
    }
    clearTimeout(waiting.timer);
    const { api, version } = waiting;
    const answer = new WireReader(bytes, version >= api.flexible);
    try {
      // Answers come in the order of the requests, so that the number tells nothing new.
      answer.int32();
      if (api.key !== 18) answer.tags();
      waiting.done(answer);
    } catch (error) {
      waiting.failed(error as WireError);
    }
  }

  #fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#socket.destroy();
    this.#chunks = [];
    for (const { timer, failed } of this.#waiting.splice(0)) {
      clearTimeout(timer);
      failed(error);
    }
  }
}

const isIp = (host: string) => /^[\d.]+$|:/.test(host);
