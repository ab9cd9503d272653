// Where backups lie: below a prefix of a bucket, or in a folder.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readFile, rename, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SluiceError } from '../errors.js';
import { streamOf } from '../files/blocks.js';
import { asSluiceError } from '../pipeline/folders.js';
import { isS3, parseS3 } from '../s3/address.js';
import { type Patience, S3 } from '../s3/client.js';
import { type S3Settings, s3Config } from '../s3/config.js';
import { type UploadNote, type UploadOptions, type Uploaded, uploadFile } from '../s3/upload.js';

export type { UploadNote };

/** Names are relative to the place. */
export type BackupPlace = {
  /** As the user gave it. */
  shown: string;
  /** Undefined where there is none. */
  text(name: string): Promise<string | undefined>;
  /** Writes it at once or not at all. E_EXISTS where there is one. */
  writeText(name: string, text: string): Promise<void>;
  put(name: string, path: string, options: UploadOptions): Promise<Uploaded>;
  /** E_NOT_FOUND. */
  stream(name: string): AsyncGenerator<Buffer>;
};

/** E_ARGUMENT, E_ACCESS. */
export function backupPlace(target: string, settings: S3Settings, patience: Partial<Patience> = {}): BackupPlace {
  return isS3(target) ? bucketPlace(target, new S3(s3Config(settings), patience)) : folderPlace(target);
}

const maxTextBytes = 2 ** 28;

function bucketPlace(shown: string, s3: S3): BackupPlace {
  const { bucket, key } = parseS3(shown);
  const prefix = key.replace(/\/+$/, '');
  const keyOf = (name: string) => (prefix === '' ? name : `${prefix}/${name}`);
  return {
    shown,
    async text(name) {
      const object = await s3.head(bucket, keyOf(name));
      if (object === undefined) return undefined;
      if (object.size > maxTextBytes) throw new SluiceError('E_CORRUPT', `${shown}/${name} has more than ${maxTextBytes} bytes`);
      const bytes = Buffer.alloc(object.size);
      await s3.read(bucket, object, 0, bytes);
      return bytes.toString();
    },
    async writeText(name, text) {
      await s3.put(bucket, keyOf(name), Buffer.from(text));
    },
    put: (name, path, options) => uploadFile(s3, bucket, keyOf(name), path, options),
    async *stream(name) {
      const object = await s3.head(bucket, keyOf(name));
      if (object === undefined) throw new SluiceError('E_NOT_FOUND', `${shown}/${name} is missing in the backup`);
      yield* streamOf({ s3, cache: undefined, bucket, object });
    },
  };
}

function folderPlace(shown: string): BackupPlace {
  const failed = (error: unknown): never => {
    throw asSluiceError(error, shown);
  };
  return {
    shown,
    text: (name) =>
      readFile(join(shown, name), 'utf8').catch((error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? undefined : failed(error))),
    writeText: (name, text) =>
      writeWhole(join(shown, name), async function* () {
        yield Buffer.from(text);
      }).then(() => {}, failed),
    put: (name, path, options) => writeWhole(join(shown, name), () => chunksOf(path, options)).catch(failed),
    async *stream(name) {
      try {
        for await (const chunk of createReadStream(join(shown, name), { highWaterMark: 2 ** 20 })) yield chunk as Buffer;
      } catch (error) {
        failed(error);
      }
    },
  };
}

async function* chunksOf(path: string, { signal, onBytes }: UploadOptions): AsyncGenerator<Buffer> {
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) {
    signal?.throwIfAborted();
    yield chunk as Buffer;
    onBytes?.((chunk as Buffer).length);
  }
}

/** Beside its place, synced, and renamed. */
export async function writeWhole(path: string, chunks: () => AsyncIterable<Buffer>): Promise<Uploaded> {
  await mkdir(dirname(path), { recursive: true });
  const hash = createHash('sha256');
  let bytes = 0;
  const file = await open(`${path}.tmp`, 'w');
  try {
    for await (const chunk of chunks()) {
      hash.update(chunk);
      bytes += chunk.length;
      await file.writeFile(chunk);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.tmp`, path);
  return { bytes, sha256: hash.digest('hex') };
}

/** Undefined where there is no such file. */
export async function digestOf(path: string): Promise<Uploaded | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile()) return undefined;
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) hash.update(chunk as Buffer);
  return { bytes: found.size, sha256: hash.digest('hex') };
}
