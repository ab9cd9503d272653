// One signed request and its answer, by Node's HTTP client: sockets are kept, and every wait has a limit.
import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { AwsV4Signer } from 'aws4fetch';
import { addressOf } from './address.js';
import type { S3Config } from './config.js';
import { BrokenAnswer } from './errors.js';

export type S3Request = {
  method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  bucket: string;
  key: string;
  query?: Record<string, string>;
  headers?: Record<string, string>;
  /** `sha256`: of the bytes, hexadecimal; the server checks it. */
  body?: { bytes: Uint8Array; sha256: string };
  signal?: AbortSignal | undefined;
};

export type Answer = IncomingMessage & { statusCode: number };

/** Of a request without a body. */
const emptySha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
const maxSockets = 64;
/** Of an answer that is read as text. */
const maxTextBytes = 2 ** 24;

export class Http {
  readonly #http = new HttpAgent({ keepAlive: true, maxSockets });
  readonly #https = new HttpsAgent({ keepAlive: true, maxSockets });

  /** `waitMs`: longest time without a byte, also for the connection. */
  constructor(
    readonly config: S3Config,
    readonly waitMs: number,
  ) {}

  /** The head of the answer; its body has to be read or destroyed. Rejects where there is none. */
  async send(request: S3Request): Promise<Answer> {
    const url = addressOf(this.config, request.bucket, request.key, request.query ?? {});
    const headers = await this.#headers(url, request);
    const secure = url.protocol === 'https:';
    const { method, body, signal } = request;
    return await new Promise<Answer>((resolve, reject) => {
      const sent = (secure ? httpsRequest : httpRequest)(url, {
        method,
        headers,
        agent: secure ? this.#https : this.#http,
        ...(signal === undefined ? {} : { signal }),
      });
      sent.setTimeout(this.waitMs, () => sent.destroy(new Error(`nothing came for ${this.waitMs / 1000} s`)));
      sent.on('error', reject);
      sent.on('response', (answer) => resolve(answer as Answer));
      sent.end(body?.bytes);
    });
  }

  async #headers(url: URL, { method, headers = {}, body }: S3Request): Promise<Record<string, string>> {
    const given = {
      ...headers,
      'x-amz-content-sha256': body?.sha256 ?? emptySha256,
      ...(body === undefined ? {} : { 'content-length': String(body.bytes.byteLength) }),
    };
    const { credentials, region } = this.config;
    if (credentials === undefined) return given;
    const signed = await new AwsV4Signer({ method, url: url.href, headers: given, service: 's3', region, ...credentials }).sign();
    return Object.fromEntries(signed.headers as Headers);
  }
}

/** The whole body as text. */
export async function textOfAnswer(answer: Answer): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer) {
    bytes += (chunk as Buffer).length;
    if (bytes > maxTextBytes) throw new BrokenAnswer(`the answer has more than ${maxTextBytes} bytes`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString();
}
