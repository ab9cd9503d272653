// The bytes of a file, decompressed on the way where they are gzip or Zstandard: the first bytes tell, not the name.
import { isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { SluiceError } from '../errors.js';
import type { SourceFile } from './files.js';
import { hasZstd, isZstd, unzstd } from './zstd-stream.js';

const readBytes = 2 ** 18;

type Compression = 'none' | 'gzip' | 'zstd';

/** Chunks of the content. What goes wrong is thrown as the system or zlib says it; see unreadable(). */
export async function* bytesOf(file: Pick<SourceFile, 'name' | 'path'>): AsyncGenerator<Buffer> {
  const compression = await compressionOf(file.path);
  if (compression === 'zstd' && !hasZstd)
    throw new SluiceError('E_SOURCE', `${file.name}: the file is Zstandard data, which Node ${process.versions.node} cannot decompress`, {
      hint: 'use Node 22.15 or later, or decompress it with zstd -d --long=31',
    });
  const raw = createReadStream(file.path, { highWaterMark: readBytes });
  try {
    if (compression === 'gzip') yield* gunzipped(raw);
    else if (compression === 'zstd') yield* unzstd(raw[Symbol.asyncIterator]());
    else for await (const chunk of raw) yield chunk as Buffer;
  } finally {
    raw.destroy();
  }
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
async function compressionOf(path: string): Promise<Compression> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
    if (bytesRead >= 2 && buffer[0] === 0x1f && buffer[1] === 0x8b) return 'gzip';
    if (bytesRead < 4) return 'none';
    return isZstd(buffer.readUInt32LE()) ? 'zstd' : 'none';
  } finally {
    await file.close();
  }
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
