// Zstandard (RFC 8878) as a stream. Node's decompressor stops at the end of the first frame and takes data that is cut off
// for whole, both without a word: so the frames are told apart here, block by block, and each gets a decompressor.
import { Readable, type Transform } from 'node:stream';
import zlib from 'node:zlib';
import { ByteReader } from './byte-reader.js';

const frameMagic = 0xfd2fb528;
const blockTypes = { rle: 1, reserved: 3 };
/** Of the content that a decompressor gives at a time. */
const chunkBytes = 2 ** 18;
/** log2 of the largest window that is accepted: `zstd --long=31` wrote Reddit's dumps. */
const maxWindowLog = 31;

/** Node has Zstandard from 22.15 and 23.8 on. */
type WithZstd = typeof zlib & {
  createZstdDecompress?: (options: { chunkSize: number; params: Record<number, number> }) => Transform;
  constants: { ZSTD_d_windowLogMax?: number };
};

const { createZstdDecompress, constants } = zlib as WithZstd;
export const hasZstd = createZstdDecompress !== undefined;

/** Whether a file that begins with these bytes, read as u32 little-endian, is Zstandard. */
export const isZstd = (magic: number): boolean => magic === frameMagic || isSkippable(magic);

const isSkippable = (magic: number): boolean => (magic & 0xfffffff0) >>> 0 === 0x184d2a50;

/** The content of all frames, whose windows have at most 2^windowLog bytes. Throws where they are cut off or damaged. Only where hasZstd. */
export async function* unzstd(chunks: AsyncIterator<Buffer>, windowLog = maxWindowLog): AsyncGenerator<Buffer> {
  const reader = new ByteReader(chunks, 'the Zstandard data is cut off');
  while (!(await reader.atEnd())) {
    const magic = await reader.take(4);
    if (isSkippable(magic.readUInt32LE())) {
      await reader.skip((await reader.take(4)).readUInt32LE());
      continue;
    }
    if (magic.readUInt32LE() !== frameMagic) throw new Error('what follows the first frames is not Zstandard data');
    yield* decompressed(Readable.from(frame(magic, reader)), windowLog);
  }
}

async function* decompressed(frameBytes: Readable, windowLog: number): AsyncGenerator<Buffer> {
  const decompressor = createZstdDecompress!({ chunkSize: chunkBytes, params: { [constants.ZSTD_d_windowLogMax!]: windowLog } });
  frameBytes.on('error', (error) => decompressor.destroy(error));
  try {
    for await (const chunk of frameBytes.pipe(decompressor)) yield chunk as Buffer;
  } finally {
    frameBytes.destroy();
    decompressor.destroy();
  }
}

/** The bytes of one frame: header (section 3.1.1.1), blocks (3.1.1.2), checksum. */
async function* frame(magic: Buffer, reader: ByteReader): AsyncGenerator<Buffer> {
  const descriptor = await reader.take(1);
  const bits = descriptor[0]!;
  const singleSegment = (bits >> 5) & 1;
  const contentSize = [singleSegment, 2, 4, 8][bits >> 6]!;
  const dictionaryId = [0, 1, 2, 4][bits & 3]!;
  yield Buffer.concat([magic, descriptor, await reader.take(1 - singleSegment + dictionaryId + contentSize)]);
  for (let last = 0; last === 0; ) {
    const header = await reader.take(3);
    const fields = header.readUIntLE(0, 3);
    last = fields & 1;
    const type = (fields >> 1) & 3;
    if (type === blockTypes.reserved) throw new Error('the Zstandard data is damaged: a block of a reserved type');
    yield header;
    yield* reader.pieces(type === blockTypes.rle ? 1 : fields >> 3);
  }
  if ((bits >> 2) & 1) yield await reader.take(4);
}
