// Bodies of requests that come compressed.
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { hasZstd, unzstd } from '../sources/zstd-stream.js';

const gunzipAll = promisify(gunzip);
/** log2 of the largest window of Zstandard that is accepted: a decoder has to take up to 8 MiB (RFC 8878, section 3.1.1.1.2). */
const maxWindowLog = 23;

/** Values of Content-Encoding that are understood. */
export const encodings: readonly string[] = ['identity', 'gzip', ...(hasZstd ? ['zstd'] : [])];

/** Content larger than the bound. */
export class TooLarge extends Error {}

/** The content of a body, of at most `maxBytes`. TooLarge beyond; an Error where it is damaged. */
export async function decoded(body: Buffer, encoding: string, maxBytes: number): Promise<Buffer> {
  if (encoding === 'gzip') {
    try {
      return await gunzipAll(body, { maxOutputLength: maxBytes });
    } catch (error) {
      throw (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE' ? new TooLarge() : error;
    }
  }
  if (encoding !== 'zstd') return body;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of unzstd(once(body), maxWindowLog)) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new TooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function* once(body: Buffer): AsyncGenerator<Buffer> {
  yield body;
}
