// The bytes of a file, decompressed on the way where they are gzip or Zstandard: the first bytes tell, not the name.
import { isUtf8 } from 'node:buffer';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { SluiceError } from '../errors.js';
import type { SourceFile } from './files.js';
import { hasZstd, isZstd, unzstd } from './zstd-stream.js';

const readBytes = 2 ** 18;

type Compression = 'none' | 'gzip' | 'zstd';

/** Chunks of the content. What goes wrong is thrown as the system or zlib says it; see unreadable(). */
export async function* bytesOf(file: SourceFile): AsyncGenerator<Buffer> {
  const raw = file.stream();
  try {
    yield* decompressed(file, raw);
  } finally {
    await raw.return(undefined);
  }
}

async function* decompressed(file: SourceFile, raw: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  const { done, value: first } = await raw.next();
  if (done) return;
  const compression = compressionOf(first);
  if (compression === 'zstd' && !hasZstd)
    throw new SluiceError('E_SOURCE', `${file.name}: the file is Zstandard data, which Node ${process.versions.node} cannot decompress`, {
      hint: 'use Node 22.15 or later, or decompress it with zstd -d --long=31',
    });
  if (compression === 'gzip') yield* gunzipped(Readable.from(chained(first, raw), { objectMode: true, highWaterMark: 1 }));
  else if (compression === 'zstd') yield* unzstd(chained(first, raw));
  else yield* chained(first, raw);
}

async function* chained(first: Buffer, rest: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  yield first;
  yield* rest;
}

async function* gunzipped(raw: Readable): AsyncGenerator<Buffer> {
  const gunzip = createGunzip({ chunkSize: readBytes });
  raw.on('error', (error) => gunzip.destroy(error));
  try {
    for await (const chunk of raw.pipe(gunzip)) yield chunk as Buffer;
  } finally {
    gunzip.destroy();
  }
}

/** https://www.rfc-editor.org/rfc/rfc1952#section-2.3.1, https://www.rfc-editor.org/rfc/rfc8878#section-3.1.1 */
function compressionOf(first: Buffer): Compression {
  if (first.length >= 2 && first[0] === 0x1f && first[1] === 0x8b) return 'gzip';
  if (first.length < 4) return 'none';
  return isZstd(first.readUInt32LE()) ? 'zstd' : 'none';
}

/** E_SOURCE for what reading the file threw. Passes through what is a SluiceError already. */
export function unreadable(name: string, error: unknown): SluiceError {
  if (error instanceof SluiceError) return error;
  return new SluiceError('E_SOURCE', `${name}: ${(error as Error).message}`, {
    hint: 'the file may be damaged or incomplete: fetch or write it again',
    cause: error,
  });
}

/**
 * Returns the line on which `bytes` end, when they begin on `line`. E_SOURCE that names the first line that is not UTF-8.
 */
export function checkUtf8(bytes: Buffer, line: number, name: string): number {
  const good = isUtf8(bytes);
  for (let at = 0; ; line++) {
    const newline = bytes.indexOf(10, at);
    if (!good && !isUtf8(bytes.subarray(at, newline < 0 ? bytes.length : newline))) {
      throw new SluiceError('E_SOURCE', `${name}:${line}: the line is not UTF-8 text`, {
        hint: 'convert the file, for example with iconv -f latin1 -t utf-8',
      });
    }
    if (newline < 0) return line;
    at = newline + 1;
  }
}
