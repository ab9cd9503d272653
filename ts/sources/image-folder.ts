// A folder of pictures: each is a row, in order of time. Labels are the names of the folders that pictures lie in, or come
// from a CSV file.
import { createHash } from 'node:crypto';
import { readdirSync, realpathSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { SluiceError } from '../errors.js';
import { statusOf } from '../files/local.js';
import { csvHeader, csvPart } from './csv.js';
import { neededColumns } from './encode.js';
import { type SourcePlace, sourceFile } from './files.js';
import { needsExif, placedTimes, takenTimes } from './image-times.js';
import type { DatasetSpec, ImagesSource } from './spec.js';
import type { ColumnValues, SourcePart } from './types.js';

const batchRows = 65_536;
const extensions = new Set(['.jpg', '.jpeg', '.png', '.webp']);
/** Columns that every folder has. */
const own = ['image', 'path', 'label', 'time'];

/** Rows in column form; `image` holds paths relative to the folder. */
type Pictures = Record<string, ColumnValues[number][]> & { image: string[] };

/** The part that a folder is. E_SOURCE for a folder without pictures, loops of links, times that cannot be read, and the CSV file's errors. */
export async function imagesPart(folder: SourcePlace, source: ImagesSource, spec: DatasetSpec): Promise<SourcePart> {
  const needed = neededColumns(spec);
  const pictures = source.labels === undefined ? await found(folder) : await listed(folder, source.labels, needed);
  for (const name of needed) {
    if (own.includes(name) || Object.hasOwn(pictures, name)) continue;
    throw new SluiceError('E_SOURCE', `${folder.name}: there is no column '${name}'`, {
      hint: `a folder of pictures has ${own.join(', ')}`,
    });
  }
  const files = pictures.image.map((path) => statusOf(join(folder.path, path)));
  const timed = needed.includes('time');
  const lazy = timed && needsExif(source);
  const placed = arranged(pictures, timed && !lazy ? placedTimes(folder, source, spec, pictures, files) : undefined);
  // To open all pictures takes long: it is done only when rows are asked for.
  let taken: Promise<Arranged> | undefined;
  const arrange = (): Promise<Arranged> => {
    taken ??= takenTimes(folder, source.timeFrom!, pictures, files).then((times) => arranged(pictures, times));
    return taken;
  };
  const identity = (withMtime: boolean) =>
    digest(
      placed.order.map((i) => [
        pictures.image[i],
        files[i]?.size,
        withMtime && files[i]?.mtimeMs,
        ...needed.map((name) => (own.indexOf(name) < 2 || (lazy && name === 'time') ? '' : placed.rows[name]?.[i])),
      ]),
    );
  return {
    name: folder.name,
    fingerprint: identity(true),
    contentHash: async () => identity(false),
    rows: placed.order.length,
    folder: folder.path,
    async *read(columns, startRow) {
      const { order, rows } = lazy ? await arrange() : placed;
      for (let at = startRow; at < order.length; at += batchRows) {
        const picked = order.slice(at, at + batchRows);
        const values = columns.map((name) => [name, picked.map((i) => rows[name === 'path' ? 'image' : name]![i])] as const);
        yield { rows: picked.length, columns: Object.fromEntries(values) };
      }
    },
  };
}

/** `order`: places in `rows`, by time and path. */
type Arranged = { order: number[]; rows: Pictures };

function arranged(pictures: Pictures, times: readonly number[] | undefined): Arranged {
  const { image } = pictures;
  const order = image.map((_, i) => i).sort((a, b) => (times ? times[a]! - times[b]! : 0) || compare(image[a]!, image[b]!));
  return { order, rows: times ? { ...pictures, time: times.map((ms) => new Date(ms)) } : pictures };
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function digest(rows: unknown[][]): string {
  const hash = createHash('sha256');
  for (const row of rows) hash.update(`${JSON.stringify(row)}\n`);
  return hash.digest('hex');
}

/** All pictures below the folder, by their extensions; names with a leading dot are left out. */
async function found(folder: SourcePlace): Promise<Pictures> {
  const image: string[] = [];
  await walk(folder, '', [realpathSync(folder.path)], image);
  if (image.length === 0)
    throw new SluiceError('E_SOURCE', `${folder.name}: no pictures lie in ${folder.path}`, {
      hint: `their names end in ${[...extensions].join(', ')}`,
    });
  const label = image.map((path) => basename(dirname(join(folder.path, path))));
  return { image, label };
}

/** `above`: real paths of the folders that lead here; a link back to one of them has no end. */
async function walk(folder: SourcePlace, inside: string, above: readonly string[], into: string[]): Promise<void> {
  await setImmediate();
  for (const entry of entriesOf(folder, inside)) {
    if (entry.name.startsWith('.')) continue;
    const path = inside === '' ? entry.name : `${inside}/${entry.name}`;
    const status = entry.isSymbolicLink() ? statusOf(join(folder.path, path)) : entry;
    if (status?.isDirectory()) {
      const real = realpathSync(join(folder.path, path));
      if (above.includes(real))
        throw new SluiceError('E_SOURCE', `${folder.name}/${path} is a link to a folder that it lies in`, { hint: 'remove the link' });
      await walk(folder, path, [...above, real], into);
    } else if (extensions.has(extname(entry.name).toLowerCase())) into.push(path);
  }
}

function entriesOf(folder: SourcePlace, inside: string) {
  try {
    return readdirSync(join(folder.path, inside), { withFileTypes: true });
  } catch (error) {
    throw new SluiceError('E_IO', `${folder.name}/${inside} cannot be listed: ${(error as Error).message}`, { cause: error });
  }
}

/** The pictures that the CSV file in the folder lists: path, and what else of it is needed. */
async function listed(folder: SourcePlace, labels: string, needed: readonly string[]): Promise<Pictures> {
  const place = { ...folder, name: `${folder.name}/${labels}`, path: join(folder.path, labels) };
  const file = await sourceFile(place, 'dataset.source.labels names a CSV file in each folder');
  const header = await csvHeader(file);
  const wanted = ['path', ...needed.filter((name) => name !== 'image' && name !== 'path' && (name !== 'time' || header.includes('time')))];
  const columns: Record<string, ColumnValues[number][]> = Object.fromEntries(wanted.map((name) => [name, []]));
  for await (const batch of csvPart(file).read(wanted, 0)) {
    for (const name of wanted) for (let i = 0; i < batch.rows; i++) columns[name]!.push(batch.columns[name]![i]);
  }
  const { path, ...others } = columns as { path: (string | null)[] };
  const empty = path!.indexOf(null);
  if (empty >= 0)
    throw new SluiceError('E_SOURCE', `${file.name}: column 'path', row ${empty + 1}: expected the path of a picture, got nothing`);
  return { ...others, image: path as string[] };
}
