// From the paths in a pipeline file to places that exist: relative ones, `npm:` and `s3://` ones, and `*` in the last component.
import { resolve } from 'node:path';
import { SluiceError } from '../errors.js';
import type { Status } from '../files/file-system.js';
import { Stores } from '../files/stores.js';
import { isS3 } from '../s3/address.js';
import { type SourceFile, type SourcePlace, sourceFile } from './files.js';
import { npmPath, npmPrefix } from './npm.js';

/** A place, and its status where a listing told it already. */
export type Found = { place: SourcePlace; status: Status | undefined };

/** Leaves out places that are not complete yet; `patterns`: what the paths name, with their patterns. */
export type Choose = (patterns: readonly SourcePlace[], found: readonly Found[]) => Promise<Found[]>;

/**
 * The files that `paths` name, in their order; those of a `*` sorted by name. Paths are relative to `folder`. E_NOT_FOUND
 * says what was tried; E_SOURCE for what is not a file or is named twice; E_ARGUMENT; and the errors of an object store.
 */
export async function resolveFiles(
  paths: readonly string[],
  folder: string,
  stores = new Stores(),
  choose?: Choose,
): Promise<SourceFile[]> {
  const found = await allPlaces(paths, folder, stores, 'file', choose);
  const files = await Promise.all(found.map(({ place, status }) => sourceFile(place, hintFor(place.name, folder), status)));
  refuseRepeated(files);
  return files;
}

/** The folders that `paths` name, like resolveFiles(). */
export async function resolveFolders(
  paths: readonly string[],
  folder: string,
  stores = new Stores(),
  choose?: Choose,
): Promise<SourcePlace[]> {
  const found = await allPlaces(paths, folder, stores, 'folder', choose);
  const folders = await Promise.all(
    found.map(async ({ place, status: known }) => {
      const { name, path, files } = place;
      const status = known ?? (await files.status(path));
      if (status === undefined)
        throw new SluiceError('E_NOT_FOUND', `${name}: there is no folder ${path}`, withHint(hintFor(name, folder)));
      if (status.kind !== 'folder')
        throw new SluiceError('E_SOURCE', `${name}: ${path} is not a folder`, { hint: 'name the folder that it lies in' });
      return place;
    }),
  );
  refuseRepeated(folders);
  return folders;
}

const withHint = (hint: string | undefined): { hint?: string } => (hint === undefined ? {} : { hint });

function hintFor(name: string, folder: string): string | undefined {
  if (name.startsWith(npmPrefix)) return 'the version of the package that is installed may lack it';
  return isS3(name) ? undefined : `the path is relative to ${resolve(folder)}`;
}

/** Where `name` lies, also a pattern. E_ARGUMENT. */
function placeOf(name: string, folder: string, stores: Stores): SourcePlace {
  const files = stores.filesOf(name);
  if (isS3(name)) return { name, path: name.replace(/\/+$/, ''), files };
  return { name, path: name.startsWith(npmPrefix) ? npmPath(name, folder) : resolve(folder, name), files };
}

async function allPlaces(
  paths: readonly string[],
  folder: string,
  stores: Stores,
  kind: 'file' | 'folder',
  choose: Choose = async (_, found) => [...found],
): Promise<Found[]> {
  const found = await Promise.all(paths.map((name) => places(name, folder, stores, kind)));
  return await choose(
    paths.map((name) => placeOf(name, folder, stores)),
    found.flat(),
  );
}

async function places(name: string, folder: string, stores: Stores, kind: 'file' | 'folder'): Promise<Found[]> {
  const place = placeOf(name, folder, stores);
  return name.includes('*') ? await matching(place, kind) : [{ place, status: undefined }];
}

function refuseRepeated(found: readonly Pick<SourcePlace, 'name' | 'path'>[]): void {
  const seen = new Map<string, string>();
  for (const { name, path } of found) {
    const earlier = seen.get(path);
    if (earlier !== undefined)
      throw new SluiceError('E_SOURCE', `${path} is named twice: as ${earlier} and as ${name}`, { hint: 'name each place once' });
    seen.set(path, name);
  }
}

/** As in a shell, `*` matches any text, and names with a leading dot only where the pattern begins with one. */
async function matching({ name, path, files }: SourcePlace, kind: 'file' | 'folder'): Promise<Found[]> {
  const { folder, name: pattern } = files.split(path);
  const before = name.slice(0, name.lastIndexOf(pattern));
  if (before.includes('*')) throw new SluiceError('E_ARGUMENT', `${name}: a * can stand in the last part of a path only`);
  const entries = await entriesOf(name, folder, pattern.slice(0, pattern.indexOf('*')), files);
  const found = await Promise.all(
    entries
      .filter((entry) => matches(entry.name, pattern))
      .map(async (entry) => {
        const place = { name: before + entry.name, path: files.join(folder, entry.name), files };
        return { place, status: entry.status ?? (await files.status(place.path)) };
      }),
  );
  const fitting = found.filter(({ status }) => status?.kind === kind);
  if (fitting.length === 0) throw new SluiceError('E_NOT_FOUND', `${name}: no ${kind} in ${folder} matches ${pattern}`);
  return fitting.sort((a, b) => (a.place.path < b.place.path ? -1 : 1));
}

async function entriesOf(name: string, folder: string, start: string, files: SourcePlace['files']) {
  // Listing an object store tells what is there, too.
  const there = isS3(folder) || (await files.status(folder))?.kind === 'folder';
  if (!there) throw new SluiceError('E_NOT_FOUND', `${name}: there is no folder ${folder}`);
  return await files.list(folder, start);
}

export function matches(entry: string, pattern: string): boolean {
  const texts = pattern.split('*');
  const first = texts.shift()!;
  const last = texts.pop()!;
  if (!entry.startsWith(first) || !entry.endsWith(last) || entry.length < first.length + last.length) return false;
  if (entry.startsWith('.') && !first.startsWith('.')) return false;
  const end = entry.length - last.length;
  let at = first.length;
  for (const text of texts) {
    const found = entry.indexOf(text, at);
    if (found < 0 || found + text.length > end) return false;
    at = found + text.length;
  }
  return true;
}
