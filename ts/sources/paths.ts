// From the paths in a pipeline file to files that exist: relative ones, `npm:` ones, and `*` in the last component.
import { readdirSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { SluiceError } from '../errors.js';
import { type SourceFile, sourceFile, statusOf } from './files.js';
import { npmPath, npmPrefix } from './npm.js';

/** A folder of a source: its name as the pipeline gives it, and its absolute path. */
export type SourceFolder = { name: string; path: string };

/**
 * The files that `paths` name, in their order; those of a `*` sorted by name. Paths are relative to `folder`. E_NOT_FOUND
 * says what was tried; E_SOURCE for what is not a file or is named twice; E_ARGUMENT.
 */
export function resolveFiles(paths: readonly string[], folder: string): SourceFile[] {
  const files = paths.flatMap((name) => {
    const path = name.startsWith(npmPrefix) ? npmPath(name, folder) : resolve(folder, name);
    if (name.includes('*')) return matching(name, path, 'file').map((found) => sourceFile(found.name, found.path));
    const hint = name.startsWith(npmPrefix)
      ? 'the version of the package that is installed may lack it'
      : `the path is relative to ${resolve(folder)}`;
    return [sourceFile(name, path, hint)];
  });
  refuseRepeated(files);
  return files;
}

/** The folders that `paths` name, like resolveFiles(). */
export function resolveFolders(paths: readonly string[], folder: string): SourceFolder[] {
  const folders = paths.flatMap((name) => {
    const path = name.startsWith(npmPrefix) ? npmPath(name, folder) : resolve(folder, name);
    const found = name.includes('*') ? matching(name, path, 'folder') : [{ name, path }];
    return found.map(({ name: shown, path: place }) => {
      const status = statusOf(place);
      if (status === undefined)
        throw new SluiceError('E_NOT_FOUND', `${shown}: there is no folder ${place}`, {
          hint: `the path is relative to ${resolve(folder)}`,
        });
      if (!status.isDirectory())
        throw new SluiceError('E_SOURCE', `${shown}: ${place} is not a folder`, { hint: 'name the folder that it lies in' });
      return { name: shown, path: place };
    });
  });
  refuseRepeated(folders);
  return folders;
}

function refuseRepeated(places: readonly SourceFolder[]): void {
  const seen = new Map<string, string>();
  for (const { name, path } of places) {
    const earlier = seen.get(path);
    if (earlier !== undefined)
      throw new SluiceError('E_SOURCE', `${path} is named twice: as ${earlier} and as ${name}`, { hint: 'name each place once' });
    seen.set(path, name);
  }
}

/** As in a shell, `*` matches any text, and names with a leading dot only where the pattern begins with one. */
function matching(name: string, path: string, kind: 'file' | 'folder'): SourceFolder[] {
  const folder = dirname(path);
  const pattern = basename(path);
  if (dirname(name).includes('*')) throw new SluiceError('E_ARGUMENT', `${name}: a * can stand in the last part of a path only`);
  if (!statusOf(folder)?.isDirectory()) throw new SluiceError('E_NOT_FOUND', `${name}: there is no folder ${folder}`);
  const fits = (entry: string) =>
    kind === 'file' ? statusOf(join(folder, entry))?.isFile() : statusOf(join(folder, entry))?.isDirectory();
  const names = entries(folder).filter((entry) => matches(entry, pattern) && fits(entry));
  if (names.length === 0) throw new SluiceError('E_NOT_FOUND', `${name}: no ${kind} in ${folder} matches ${pattern}`);
  return names.sort().map((entry) => ({ name: `${name.slice(0, name.length - pattern.length)}${entry}`, path: join(folder, entry) }));
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    throw new SluiceError('E_IO', `${folder} cannot be listed: ${(error as Error).message}`, { cause: error });
  }
}

function matches(entry: string, pattern: string): boolean {
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
