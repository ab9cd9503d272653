// When the pictures of a folder were taken: by their paths, a column, their EXIF data or the times of their files.
import type { Stats } from 'node:fs';
import { resolve, sep } from 'node:path';
import { SluiceError } from '../errors.js';
import { timeTaken } from './exif.js';
import type { SourcePlace } from './files.js';
import { exifOf, inParallel } from './images.js';
import type { DatasetSpec, ImagesSource } from './spec.js';
import { timeReader } from './time-format.js';
import { timeInPath } from './time-pattern.js';
import { timeMs } from './times.js';
import type { ColumnValues } from './types.js';

/** `time`: the column of the CSV file, if it has one. */
export type PlacedPictures = { image: readonly string[]; time?: ColumnValues[number][] };

type FileStatus = readonly (Stats | undefined)[];

/** Whether the pictures have to be opened for their times. */
export const needsExif = ({ timeFrom }: ImagesSource): boolean => timeFrom?.includes('exif') ?? false;

/** Milliseconds, where !needsExif(): by timePattern, the column, or the file. E_SOURCE with path or row. */
export function placedTimes(
  folder: SourcePlace,
  { labels, timePattern, timeFrom }: ImagesSource,
  spec: DatasetSpec,
  { image, time }: PlacedPictures,
  files: FileStatus,
): number[] {
  const read = timeReader('column' in spec.time ? spec.time : { column: 'time', unit: 'ms' });
  const search = timePattern === undefined ? undefined : timeInPath(timePattern);
  return image.map((path, i) => {
    if (search) return checked(timeMs(search(path), 's'), `${folder.name}/${path}`, `a name with a time as in ${timePattern}`, path);
    if (time && !timeFrom)
      return checked(read(time[i]), `${folder.name}/${labels}: column 'time', row ${i + 1}`, 'a time of the years 0 to 9999', time[i]);
    return checked(mtime(files[i]), `${folder.name}/${path}`, 'a file with a time', 'no file');
  });
}

/** Milliseconds by the pictures' EXIF data; where `timeFrom` has mtime too, that is the time of those without. E_SOURCE with path. */
export async function takenTimes(
  folder: SourcePlace,
  timeFrom: readonly ('exif' | 'mtime')[],
  { image }: PlacedPictures,
  files: FileStatus,
): Promise<number[]> {
  const times = new Array<number>(image.length);
  await inParallel(image.length, async (i) => {
    const place = `${folder.name}/${image[i]}`;
    const { ms, got } = await taken(folder, image[i]!);
    const fallback = Number.isNaN(ms) && timeFrom.includes('mtime') ? mtime(files[i]) : ms;
    const hint = 'timeFrom: [exif, mtime] takes the time of the file where a picture has none';
    times[i] = checked(fallback, place, 'a picture with the time DateTimeOriginal in its EXIF data', got, hint);
  });
  return times;
}

async function taken(folder: SourcePlace, path: string): Promise<{ ms: number; got: string }> {
  const file = resolve(folder.path, path);
  if (path.includes('\0') || !file.startsWith(folder.path.endsWith(sep) ? folder.path : folder.path + sep))
    throw new SluiceError('E_SOURCE', `${folder.name}: expected a path within ${folder.path}, got ${JSON.stringify(path)}`);
  try {
    const block = await exifOf(file);
    const text = block && timeTaken(block);
    return { ms: timeMs(text, 'ms'), got: block === undefined ? 'no EXIF data' : (text ?? 'EXIF data without it') };
  } catch (error) {
    return { ms: Number.NaN, got: (error as Error).message };
  }
}

const mtime = (file: Stats | undefined): number => Math.floor(Number(file?.mtimeMs));

function checked(ms: number, place: string, expected: string, got: unknown, hint?: string): number {
  if (!Number.isNaN(ms)) return ms;
  throw new SluiceError('E_SOURCE', `${place}: expected ${expected}, got ${JSON.stringify(got)}`, hint === undefined ? {} : { hint });
}
