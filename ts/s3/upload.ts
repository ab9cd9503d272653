// Uploads in parts that go on after a stop: what the server has of a file is noted by the caller.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { SluiceError } from '../errors.js';
import { etagOf, type S3, sha256 } from './client.js';
import { S3Refusal } from './errors.js';
import { textOfAnswer } from './http.js';
import { encodeXml, textOf } from './xml.js';

const mebibyte = 2 ** 20;
/** Files up to here go in one request. */
const partBytes = 16 * mebibyte;
/** S3 takes 10,000. */
const maxParts = 9000;
const parallel = 4;

/** An upload that was begun: its parts as the server has them, by their place. */
export type UploadNote = { id: string; partBytes: number; parts: { etag: string; sha256: string }[] };

export type UploadOptions = {
  signal?: AbortSignal | undefined;
  /** What is known of this upload from an earlier try. */
  note?: UploadNote | undefined;
  /** Called when more of it is on the server; what it says should be durable. */
  onNote(note: UploadNote | undefined): Promise<void>;
  onBytes?(bytes: number): void;
};

export type Uploaded = { bytes: number; sha256: string };

/** Uploads a file as an object; the server checks each part by its SHA-256. Rejects with the signal's reason when it aborts. */
export async function uploadFile(s3: S3, bucket: string, key: string, path: string, options: UploadOptions): Promise<Uploaded> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    if (size > partBytes) return await new Multipart(s3, bucket, key, file, size, options).run();
    const bytes = await readPart(file, 0, size);
    await s3.put(bucket, key, bytes, { ...(options.signal ? { signal: options.signal } : {}) });
    options.onBytes?.(size);
    return { bytes: size, sha256: sha256(bytes) };
  } finally {
    await file.close();
  }
}

class Multipart {
  readonly #partBytes: number;
  #note: UploadNote | undefined;

  constructor(
    readonly s3: S3,
    readonly bucket: string,
    readonly key: string,
    readonly file: FileHandle,
    readonly size: number,
    readonly options: UploadOptions,
  ) {
    this.#partBytes = Math.max(partBytes, Math.ceil(size / maxParts / mebibyte) * mebibyte);
    if (options.note?.partBytes === this.#partBytes) this.#note = options.note;
  }

  async run(): Promise<Uploaded> {
    try {
      return await this.#upload(this.#note ?? (await this.#begin()));
    } catch (error) {
      if (!isUnknown(error) || this.#note === undefined) throw error;
      // The server has given it up meanwhile.
      return await this.#upload(await this.#begin());
    }
  }

  async #begin(): Promise<UploadNote> {
    const { s3, bucket, key } = this;
    const answer = await s3.call({ method: 'POST', bucket, key, query: { uploads: '' }, signal: this.options.signal }, textOfAnswer);
    const id = textOf(answer, 'UploadId');
    if (id === undefined || id === '')
      throw new SluiceError('E_IO', `s3://${bucket}/${key}: the server began an upload without telling its id`);
    this.#note = { id, partBytes: this.#partBytes, parts: [] };
    await this.options.onNote(this.#note);
    return this.#note;
  }

  /** Parts are read and hashed in order, and sent a few at a time, unless the server has them. After an error those under way are waited for: they count. */
  async #upload(note: UploadNote): Promise<Uploaded> {
    const hash = createHash('sha256');
    const sending = new Set<Promise<void>>();
    let failure: { error: unknown } | undefined;
    for (let at = 0, n = 0; at < this.size && failure === undefined; at += this.#partBytes, n++) {
      this.options.signal?.throwIfAborted();
      const bytes = await readPart(this.file, at, Math.min(this.#partBytes, this.size - at));
      hash.update(bytes);
      const sent = this.#send(note, n, bytes)
        .catch((error: unknown) => {
          failure ??= { error };
        })
        .finally(() => sending.delete(sent));
      sending.add(sent);
      if (sending.size >= parallel) await Promise.race(sending);
    }
    await Promise.all(sending);
    if (failure !== undefined) throw failure.error;
    await this.#complete(note);
    return { bytes: this.size, sha256: hash.digest('hex') };
  }

  async #send(note: UploadNote, n: number, bytes: Buffer): Promise<void> {
    const { s3, bucket, key } = this;
    const digest = sha256(bytes);
    if (note.parts[n]?.sha256 !== digest) {
      const query = { partNumber: String(n + 1), uploadId: note.id };
      const request = { method: 'PUT', bucket, key, query, body: { bytes, sha256: digest }, signal: this.options.signal } as const;
      const etag = await s3.call(request, async (answer) => {
        await textOfAnswer(answer);
        return etagOf(answer);
      });
      note.parts[n] = { etag, sha256: digest };
      await this.options.onNote(note);
    }
    this.options.onBytes?.(bytes.length);
  }

  async #complete(note: UploadNote): Promise<void> {
    const { s3, bucket, key } = this;
    const parts = note.parts.slice(0, Math.ceil(this.size / this.#partBytes));
    const list = parts.map(({ etag }, n) => `<Part><PartNumber>${n + 1}</PartNumber><ETag>&quot;${encodeXml(etag)}&quot;</ETag></Part>`);
    const bytes = Buffer.from(`<CompleteMultipartUpload>${list.join('')}</CompleteMultipartUpload>`);
    const request = { method: 'POST', bucket, key, query: { uploadId: note.id }, body: { bytes, sha256: sha256(bytes) } } as const;
    try {
      await s3.call({ ...request, signal: this.options.signal }, checkCompleted);
    } catch (error) {
      // An answer that was lost: the upload is unknown then because it is complete.
      if (!isUnknown(error) || (await s3.head(bucket, key))?.size !== this.size) throw error;
    }
    await this.options.onNote(undefined);
  }
}

/** An error may come with the status 200, after a long wait. */
async function checkCompleted(answer: Parameters<typeof textOfAnswer>[0]): Promise<void> {
  const text = await textOfAnswer(answer);
  if (/<Error[\s>]/.test(text)) throw new S3Refusal(500, textOf(text, 'Code') ?? '', textOf(text, 'Message') ?? '', undefined);
}

const isUnknown = (error: unknown): boolean =>
  error instanceof SluiceError && error.cause instanceof S3Refusal && error.cause.code === 'NoSuchUpload';

async function readPart(file: FileHandle, at: number, count: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(count);
  for (let done = 0; done < count; ) {
    const { bytesRead } = await file.read(bytes, done, count - done, at + done);
    if (bytesRead === 0) throw new SluiceError('E_CHANGED', `the file ends at byte ${at + done}; it was changed while it was read`);
    done += bytesRead;
  }
  return bytes;
}
