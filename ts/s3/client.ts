// An S3-compatible object store: list, look at, read and write objects. What fails and may pass is tried again, reading goes on at the byte reached.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
import { createHash } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { SluiceError } from '../errors.js';
import type { S3Config } from './config.js';
import { asS3Error, BrokenAnswer, mayPass, refusalOf, S3Refusal } from './errors.js';
import { type Answer, Http, type S3Request, textOfAnswer } from './http.js';
import { elementsOf, textOf } from './xml.js';

/** `etag` without its quotes. */
export type S3Object = { key: string; size: number; etag: string; modifiedMs: number };

/** Tries without a byte of progress, first pause, longest pause, longest wait for a byte; ms. */
export type Patience = { tries: number; pauseMs: number; maxPauseMs: number; waitMs: number };

const patience: Patience = { tries: 9, pauseMs: 100, maxPauseMs: 20_000, waitMs: 30_000 };
/** Tries while nothing has answered yet: a wrong address should be told soon. */
const firstTries = 4;

export class S3 {
  readonly #http: Http;
  readonly #patience: Patience;
  #answered = false;

  constructor(
    readonly config: S3Config,
    given: Partial<Patience> = {},
  ) {
    this.#patience = { ...patience, ...given };
    this.#http = new Http(config, this.#patience.waitMs);
  }

  /** Undefined where there is no such object. E_NOT_FOUND for the bucket; E_ACCESS, E_UNREACHABLE, E_IO, as all that follow. */
  async head(bucket: string, key: string): Promise<S3Object | undefined> {
    try {
      return await this.call({ method: 'HEAD', bucket, key }, async (answer) => {
        await textOfAnswer(answer);
        return objectOf(key, answer);
      });
    } catch (error) {
      if (!(error instanceof SluiceError) || error.code !== 'E_NOT_FOUND') throw error;
      // An answer to HEAD has no body that would tell which of both is missing.
      for await (const _ of this.list(bucket, key, { most: 1 })) break;
      return undefined;
    }
  }

  /** Objects and, with `delimiter`, common prefixes, in order of their keys. `most`: a hint how many are wanted. */
  async *list(
    bucket: string,
    prefix: string,
    options: { delimiter?: string; most?: number } = {},
  ): AsyncGenerator<S3Object | { prefix: string }> {
    const { delimiter, most } = options;
    for (let token: string | undefined; ; ) {
      const query = {
        'list-type': '2',
        'encoding-type': 'url',
        prefix,
        ...(delimiter === undefined ? {} : { delimiter }),
        ...(most === undefined ? {} : { 'max-keys': String(most) }),
        ...(token === undefined ? {} : { 'continuation-token': token }),
      };
      const page = await this.call({ method: 'GET', bucket, key: '', query }, textOfAnswer, `s3://${bucket}/${prefix}`);
      try {
        yield* listed(page);
      } catch (error) {
        throw asS3Error(error, `s3://${bucket}/${prefix}`, this.config);
      }
      const next = textOf(page, 'IsTruncated') === 'true' ? textOf(page, 'NextContinuationToken') : undefined;
      if (next === undefined) return;
      if (next === token) throw new SluiceError('E_IO', `s3://${bucket}/${prefix}: the server lists the same page without end`);
      token = next;
    }
  }

  /**
   * Fills `into` with the object's bytes from `start` on. E_CHANGED where it is no longer the object of that size and ETag.
   */
  async read(
    bucket: string,
    object: Pick<S3Object, 'key' | 'size' | 'etag'>,
    start: number,
    into: Uint8Array,
    signal?: AbortSignal,
  ): Promise<void> {
    let done = 0;
    const end = start + into.length;
    if (into.length === 0) return;
    const request = (): S3Request => ({
      method: 'GET',
      bucket,
      key: object.key,
      headers: { range: `bytes=${start + done}-${end - 1}`, ...(object.etag === '' ? {} : { 'if-match': `"${object.etag}"` }) },
      signal,
    });
    const fill = async (answer: Answer): Promise<void> => {
      checkRange(answer, object, start + done, end);
      for await (const chunk of answer as AsyncIterable<Buffer>) {
        if (chunk.length > into.length - done) throw new BrokenAnswer('the answer is longer than was asked for');
        into.set(chunk, done);
        done += chunk.length;
      }
      if (done < into.length) throw new BrokenAnswer(`the answer ends ${into.length - done} bytes too early`);
    };
    await this.call(request, fill, `s3://${bucket}/${object.key}`, () => done);
  }

  /** Writes an object as a whole; returns its ETag. E_EXISTS with `absent` where there is one, as far as the server knows that condition. */
  async put(bucket: string, key: string, bytes: Uint8Array, options: { absent?: boolean; signal?: AbortSignal } = {}): Promise<string> {
    const headers: Record<string, string> = options.absent ? { 'if-none-match': '*' } : {};
    const body = { bytes, sha256: sha256(bytes) };
    return await this.call({ method: 'PUT', bucket, key, headers, body, signal: options.signal }, async (answer) => {
      await textOfAnswer(answer);
      return etagOf(answer);
    });
  }

  async remove(bucket: string, key: string): Promise<void> {
    await this.call({ method: 'DELETE', bucket, key }, textOfAnswer);
  }

  /**
   * Sends a request until it succeeds, cannot succeed, or was tried too often, and returns what `use` makes of the answer. `progress` counts what an attempt
   * achieved: after some the tries begin anew.
   */
  async call<T>(
    given: S3Request | (() => S3Request),
    use: (answer: Answer) => Promise<T>,
    what?: string,
    progress: () => number = () => 0,
  ): Promise<T> {
    let before = progress();
    for (let tries = 1; ; tries++) {
      const request = typeof given === 'function' ? given() : given;
      try {
        const answer = await this.#http.send(request);
        this.#answered = true;
        return await this.#used(answer, use);
      } catch (error) {
        const shown = what ?? `s3://${request.bucket}/${request.key}`;
        request.signal?.throwIfAborted();
        // A defect of ours.
        if (error instanceof TypeError) throw error;
        if (progress() > before) [before, tries] = [progress(), 1];
        const most = this.#answered ? this.#patience.tries : Math.min(firstTries, this.#patience.tries);
        if (!mayPass(error) || tries >= most) throw asS3Error(error, shown, this.config, tries);
        await setTimeout(this.#pause(tries), undefined, request.signal === undefined ? {} : { signal: request.signal });
      }
    }
  }

  async #used<T>(answer: Answer, use: (answer: Answer) => Promise<T>): Promise<T> {
    try {
      if (answer.statusCode >= 300) throw refusalOf(answer.statusCode, answer.headers, await textOfAnswer(answer));
      return await use(answer);
    } finally {
      if (!answer.complete) answer.destroy();
    }
  }

  /** Full jitter, https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/. */
  #pause(tries: number): number {
    const { pauseMs, maxPauseMs } = this.#patience;
    return Math.random() * Math.min(maxPauseMs, pauseMs * 2 ** tries);
  }
}

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const unquoted = (etag: string | undefined): string => (etag ?? '').replace(/^(?:W\/)?"?|"$/g, '');

export const etagOf = (answer: Answer): string => unquoted(answer.headers.etag);

function objectOf(key: string, answer: Answer): S3Object {
  const { 'content-length': size, 'last-modified': modified } = answer.headers;
  return { key, size: checkedSize(size), etag: etagOf(answer), modifiedMs: Date.parse(modified ?? '') || 0 };
}

function checkedSize(text: string | undefined): number {
  const size = /^\d{1,16}$/.test(text ?? '') ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(size)) return size;
  throw new BrokenAnswer(`the answer has no size that can be read: ${text}`);
}

function* listed(page: string): Generator<S3Object | { prefix: string }> {
  const plain = textOf(page, 'EncodingType') === 'url' ? unescaped : (text: string) => text;
  for (const entry of elementsOf(page, 'Contents')) {
    const modifiedMs = Date.parse(textOf(entry, 'LastModified') ?? '') || 0;
    yield {
      key: plain(textOf(entry, 'Key') ?? ''),
      size: checkedSize(textOf(entry, 'Size')),
      etag: unquoted(textOf(entry, 'ETag')),
      modifiedMs,
    };
  }
  for (const entry of elementsOf(page, 'CommonPrefixes')) yield { prefix: plain(textOf(entry, 'Prefix') ?? '') };
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return text;
  }
}

/** Throws where the answer is not bytes [start, end) of that object. */
function checkRange({ statusCode, headers }: Answer, { size, etag }: Pick<S3Object, 'size' | 'etag'>, start: number, end: number): void {
  const found = unquoted(headers.etag);
  const whole = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(headers['content-range'] ?? '');
  const total = whole === null ? headers['content-length'] : whole[3] === '*' ? String(size) : whole[3];
  // Some servers do not know If-Match.
  if ((found !== '' && found !== etag) || (total !== undefined && Number(total) !== size && statusCode === (whole ? 206 : 200)))
    throw new S3Refusal(412, 'PreconditionFailed', '', undefined);
  if (statusCode === 206 && whole !== null && Number(whole[1]) === start && Number(whole[2]) === end - 1) return;
  if (statusCode === 200 && start === 0 && end === size) return;
  throw new BrokenAnswer(`asked for bytes ${start} to ${end - 1}, got ${statusCode} ${headers['content-range'] ?? 'without a range'}`);
}
