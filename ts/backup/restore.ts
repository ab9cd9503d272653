// `sluice restore`: brings a backup back, where nothing is. Every byte is checked before anything takes its place.
import { mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SluiceError } from '../errors.js';
import { asSluiceError, type Folders } from '../pipeline/folders.js';
import type { Patience } from '../s3/client.js';
import type { S3Settings } from '../s3/config.js';
import { type BackedUpFile, type Description, descriptionName, parseDescription } from './description.js';
import { type BackupPlace, backupPlace, digestOf, writeWhole } from './places.js';
import { filesBelow } from './stage.js';

export type RestoreOptions = {
  /** s3://bucket/prefix, or a folder. */
  source: string;
  s3?: S3Settings;
  patience?: Partial<Patience>;
  signal?: AbortSignal | undefined;
  onProgress?: (share: number) => void;
};

export type RestoreResult = { dataset: string | null; files: number; bytes: number };

/**
 * E_NOT_FOUND where there is no whole backup; E_EXISTS where the dataset, or anything in the data folder, is there already; E_CORRUPT where a file of the backup is damaged;
 * E_ABORTED: the same command goes on.
 */
export async function restore(folders: Folders, options: RestoreOptions): Promise<RestoreResult> {
  const { source, signal } = options;
  const place = backupPlace(source, options.s3 ?? {}, options.patience);
  const text = await place.text(descriptionName);
  if (text === undefined)
    throw new SluiceError('E_NOT_FOUND', `${source} holds no backup, or one that was not finished`, {
      hint: `a whole one has a ${descriptionName}`,
    });
  const description = parseDescription(text, source);
  const { dataset, files } = description;
  checkNames(description, source);
  const to = dataset === null ? folders.root : folders.dataset(dataset);
  await refuseExisting(to);
  // Beside its place, so that one rename brings it all.
  const fresh = `${to.replace(/\/+$/, '')}.restore`;
  try {
    await fetchAll(place, files, fresh, options);
    await rmdir(to).catch(() => {});
    await mkdir(dirname(to), { recursive: true });
    await rename(dataset === null ? fresh : join(fresh, 'datasets', dataset), to);
    await rm(fresh, { recursive: true, force: true });
  } catch (error) {
    if (signal?.aborted)
      throw new SluiceError('E_ABORTED', 'stopped on request', { hint: 'run the command again to go on there', cause: error });
    throw asSluiceError(error, `restore ${to}`);
  }
  return { dataset, files: files.length, bytes: files.reduce((sum, { bytes }) => sum + bytes, 0) };
}

/** What is named must be of a data folder, once. */
function checkNames({ dataset, files }: Description, source: string): void {
  const inside = dataset === null ? /^(datasets|models|trainsets|state)\// : /^datasets\//;
  const start = dataset === null ? '' : `datasets/${dataset}/`;
  const wrong = files.find(({ path }) => !inside.test(path) || !path.startsWith(start));
  const shown = wrong?.path ?? (dataset !== null && !/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(dataset) ? dataset : undefined);
  if (shown !== undefined || new Set(files.map(({ path }) => path)).size !== files.length)
    throw new SluiceError(
      'E_CORRUPT',
      `${source}/${descriptionName} names ${JSON.stringify(shown ?? 'a file twice')}, which is in no data folder`,
    );
}

async function refuseExisting(to: string): Promise<void> {
  const there = await readdir(to).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new SluiceError('E_EXISTS', `${to} is there already`, { cause: error });
  });
  if (there.length > 0)
    throw new SluiceError('E_EXISTS', `${to} is there already`, { hint: 'move it away, or name another data folder with --data' });
}

/** What an earlier try brought is kept where it is right. */
async function fetchAll(
  place: BackupPlace,
  files: readonly BackedUpFile[],
  to: string,
  { signal, onProgress }: RestoreOptions,
): Promise<void> {
  const total = Math.max(
    1,
    files.reduce((sum, { bytes }) => sum + bytes, 0),
  );
  let bytes = 0;
  const wanted = new Set(files.map(({ path }) => path));
  for (const name of await filesBelow(to)) if (!wanted.has(name)) await rm(join(to, name), { force: true });
  for (const file of files) {
    signal?.throwIfAborted();
    const path = join(to, file.path);
    if (!isSame(file, await digestOf(path))) await fetchOne(place, file, path, signal);
    bytes += file.bytes;
    onProgress?.(bytes / total);
  }
}

async function fetchOne(place: BackupPlace, file: BackedUpFile, path: string, signal: AbortSignal | undefined): Promise<void> {
  const found = await writeWhole(path, () => stoppable(place.stream(file.path), signal));
  if (isSame(file, found)) return;
  await rm(path, { force: true });
  throw new SluiceError('E_CORRUPT', `${place.shown}/${file.path} is damaged: its ${found.bytes} bytes are not those of the backup`, {
    hint: 'restore another backup',
  });
}

async function* stoppable(chunks: AsyncGenerator<Buffer>, signal: AbortSignal | undefined): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    signal?.throwIfAborted();
    yield chunk;
  }
}

const isSame = (file: BackedUpFile, found: { bytes: number; sha256: string } | undefined): boolean =>
  found?.bytes === file.bytes && found.sha256 === file.sha256;
