// Pictures (JPEG, PNG, WebP) to pixels, by sharp. Decoded once, at ingestion: see docs/design.md.
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { resolve, sep } from 'node:path';
import type { Sharp } from 'sharp';
import { cellLength } from './cells.js';
import { Column, type Place } from './column.js';
import { isImage, storedColumn } from './forms.js';
import type { DatasetSpec, ImageForm } from './spec.js';
import type { RecordBatch } from './types.js';

const maxFileBytes = 2 ** 28;
/** They tell the format. */
const headBytes = 12;
/** Of a picture before it is resized: a small file can claim any size. */
const maxPixels = 100_000_000;
const fits = { cover: 'cover', contain: 'contain', stretch: 'fill' } as const;
const black = { r: 0, g: 0, b: 0, alpha: 1 };

/** The batch with pixels instead of pictures, and with `dropped` rows where onError is skip. E_SOURCE names part, column and row. */
export async function decodeImages(batch: RecordBatch, spec: DatasetSpec, place: Place, folder: string | undefined): Promise<RecordBatch> {
  let result = batch;
  for (const [name, form] of Object.entries(spec.columns)) {
    if (!isImage(form)) continue;
    const column = new Column(name, batch, place);
    const size = cellLength(storedColumn(name, form));
    const pixels = new Uint8Array(batch.rows * size);
    const dropped = form.onError === 'skip' ? (result.dropped ?? new Uint8Array(batch.rows)) : undefined;
    const decode = await decoderOf(form);
    await inParallel(batch.rows, async (row) => {
      const given = column.values[row];
      const path = typeof given === 'string' ? pathIn(folder, given, column, row) : undefined;
      try {
        pixels.set(await decode(path === undefined ? bytesOf(given) : await readPicture(path)), row * size);
      } catch (error) {
        if (dropped === undefined) failed(column, row, error as Error);
        dropped[row] = 1;
      }
    });
    result = { ...result, columns: { ...result.columns, [name]: pixels }, ...(dropped ? { dropped } : {}) };
  }
  return result;
}

/** What is wrong with a picture, where not sharp says it. */
class Undecodable extends Error {}

function failed(column: Column, row: number, error: Error): never {
  const advice = 'correct or remove the picture, or leave out such samples with onError: skip';
  const shown = typeof column.values[row] === 'string' ? JSON.stringify(column.values[row]) : 'bytes';
  // sharp tells all that libvips noted, a line each; the first is the cause.
  const reason = error.message.split('\n', 1)[0]!.replace(/:\s*$/, '');
  return column.fail('E_SOURCE', row, 'a picture that can be decoded', advice, `${shown}: ${reason}`);
}

/** A path from the data is not trusted to stay in its folder. */
function pathIn(folder: string | undefined, given: string, column: Column, row: number): string {
  if (folder === undefined) column.fail('E_SOURCE', row, 'the bytes of a picture', 'give the part a folder that paths are relative to');
  const path = resolve(folder, given);
  if (given.includes('\0') || !path.startsWith(folder.endsWith(sep) ? folder : folder + sep))
    column.fail('E_SOURCE', row, `a path within ${folder}`, 'name pictures relative to the folder that their list lies in');
  return path;
}

function bytesOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new Undecodable(value === null || value === undefined ? 'there is none' : 'it is neither a path nor bytes');
}

/** The EXIF data of a picture's file, if it has any. Throws what sharp throws. */
export async function exifOf(path: string): Promise<Buffer | undefined> {
  checkFormat(await readPicture(path, headBytes));
  const picture = (await library())(path, { limitInputPixels: maxPixels });
  return (await picture.metadata()).exif;
}

/** At most the first `most` bytes. */
async function readPicture(path: string, most = maxFileBytes): Promise<Uint8Array> {
  // Without O_NONBLOCK opening a named pipe would wait for a writer.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: NodeJS.ErrnoException) => {
    throw new Undecodable(error.code === 'ENOENT' ? `there is no file ${path}` : error.message);
  });
  try {
    const status = await file.stat();
    if (!status.isFile()) throw new Undecodable(`${path} is not a file`);
    if (status.size > maxFileBytes) throw new Undecodable(`the file has ${status.size} bytes, at most ${maxFileBytes} are read`);
    if (most >= status.size) return await file.readFile();
    const { buffer, bytesRead } = await file.read(new Uint8Array(most), 0, most, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

function formatOf(bytes: Uint8Array): 'jpeg' | 'png' | 'webp' | undefined {
  const text = (first: number, end: number) =>
    Buffer.from(bytes.buffer, bytes.byteOffset + first, Math.max(0, Math.min(end, bytes.length) - first)).toString('latin1');
  if (bytes.length < 12) return undefined;
  if (text(0, 3) === '\xff\xd8\xff') return 'jpeg';
  if (text(0, 8) === '\x89PNG\r\n\x1a\n') return 'png';
  return text(0, 4) === 'RIFF' && text(8, 12) === 'WEBP' ? 'webp' : undefined;
}

/** Other formats that libvips knows are programs more than pictures (SVG) or rarely meant (PDF). */
function checkFormat(file: Uint8Array): void {
  if (formatOf(file) === undefined) throw new Undecodable(file.length === 0 ? 'the file is empty' : 'it is neither JPEG, PNG nor WebP');
}

async function library() {
  const { default: sharp } = await import('sharp');
  // A thread for each picture, many pictures at a time; libvips' cache would only hold what is read once.
  sharp.concurrency(1);
  sharp.cache(false);
  return sharp;
}

/** From a picture's file to height * width * channels values. Throws what sharp throws. */
async function decoderOf({ image: [height, width, channels], fit }: ImageForm): Promise<(file: Uint8Array) => Promise<Uint8Array>> {
  const sharp = await library();
  return async (file) => {
    checkFormat(file);
    const picture = sharp(file, { limitInputPixels: maxPixels, failOn: 'error', sequentialRead: true, autoOrient: true });
    const sized = picture.resize(width, height, { fit: fits[fit], background: black });
    const { data, info } = await inChannels(sized, channels).raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
    if (info.channels !== channels || data.length !== height * width * channels) throw new Undecodable(`it has ${info.channels} channels`);
    return data;
  };
}

function inChannels(picture: Sharp, channels: 1 | 3 | 4): Sharp {
  if (channels === 1) return picture.removeAlpha().toColourspace('b-w');
  const color = picture.toColourspace('srgb');
  return channels === 3 ? color.removeAlpha() : color.ensureAlpha();
}

/**
 * Runs work(0) … work(count - 1), as many at a time as keep all cores busy: a picture waits for its file now and then. After an error no further one begins; of
 * several errors that of the first row is thrown.
 */
export async function inParallel(count: number, work: (i: number) => Promise<void>): Promise<void> {
  let next = 0;
  let failure: { row: number; error: unknown } | undefined;
  const worker = async () => {
    while (next < count && failure === undefined) {
      const row = next++;
      await work(row).catch((error: unknown) => {
        if (failure === undefined || row < failure.row) failure = { row, error };
      });
    }
  };
  await Promise.all(Array.from({ length: Math.min(count, 4 * availableParallelism()) }, worker));
  if (failure !== undefined) throw (failure as { error: unknown }).error;
}
