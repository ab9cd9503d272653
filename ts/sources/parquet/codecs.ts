// Decompression of pages. Lengths come from the file: nothing is allocated that the compressed bytes cannot hold.
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import type { CompressionCodec } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { checkFrames } from './zstd.js';

type Codec = {
  /** Bytes that one compressed byte can become, at most. */
  ratio: number;
  decompress(bytes: Uint8Array, length: number): Uint8Array;
};

const codecs: Partial<Record<CompressionCodec, Codec>> = {
  UNCOMPRESSED: { ratio: 1, decompress: (bytes) => bytes },
  SNAPPY: { ratio: 32, decompress: compressors.SNAPPY! },
  LZ4: { ratio: 256, decompress: compressors.LZ4! },
  LZ4_RAW: { ratio: 256, decompress: compressors.LZ4_RAW! },
  GZIP: { ratio: 1040, decompress: (bytes, length) => gunzipSync(bytes, { maxOutputLength: length }) },
  BROTLI: { ratio: Number.POSITIVE_INFINITY, decompress: (bytes, length) => brotliDecompressSync(bytes, { maxOutputLength: length }) },
  ZSTD: {
    ratio: Number.POSITIVE_INFINITY,
    decompress(bytes, length) {
      checkFrames(bytes, length);
      return compressors.ZSTD!(bytes, length);
    },
  },
};

/** Larger pages are not believed: writers make pages of about 1 MiB, some one page of a whole column chunk. */
const maxPageBytes = 2 ** 30;
const slackBytes = 1024;

export const codecNames = Object.keys(codecs);

export function isSupported(codec: CompressionCodec): boolean {
  return Object.hasOwn(codecs, codec);
}

/** The `length` bytes that `bytes` were before compression. Throws when they are not. */
export function decompress(codec: CompressionCodec, bytes: Uint8Array, length: number): Uint8Array {
  const { ratio, decompress } = codecs[codec]!;
  if (length === 0) return new Uint8Array(0);
  if (length > maxPageBytes || length > bytes.length * ratio + slackBytes) {
    throw new Error(`a page claims to hold ${length} bytes in ${bytes.length} compressed ones`);
  }
  const page = decompress(bytes, length);
  if (page.length !== length) throw new Error(`a page has ${page.length} bytes instead of ${length}`);
  return page;
}
