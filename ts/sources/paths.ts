// From the paths in a pipeline file to files that exist: relative ones, `npm:` ones, and `*` in the last component.
import { readdirSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { SluiceError } from '../errors.js';
import { packageRoot } from '../package.js';

export type SourceFile = { name: string; path: string; bytes: number; fingerprint: string };

/** The files that `paths` name, in their order; those of a `*` sorted by name. E_NOT_FOUND says what was tried. */
export function resolveFiles(paths: readonly string[], pipelineDir: string): SourceFile[] {
  return paths.flatMap((path) => expand(path, resolvePath(path, pipelineDir)).map((file) => describe(path, file)));
}

function resolvePath(path: string, pipelineDir: string): string {
  if (!path.startsWith('npm:')) return resolve(pipelineDir, path);
  const match = /^npm:((?:@[^/]+\/)?[^/@][^/]*)\/(.+)$/.exec(path);
  if (match === null) throw new SluiceError('E_NOT_FOUND', `${path}: expected npm:<package>/<path in the package>`);
  const [, name, inside] = match as unknown as [string, string, string];
  const root = packageFolder(name, [pipelineDir, packageRoot()], path);
  const file = resolve(root, inside);
  if (!file.startsWith(root + sep)) throw new SluiceError('E_ARGUMENT', `${path}: the path leaves the package`);
  return file;
}

/** A package's folder: require.resolve would obey its exports, which often hide data files. */
function packageFolder(name: string, starts: string[], path: string): string {
  for (const start of starts) {
    for (let folder = resolve(start); ; folder = dirname(folder)) {
      const candidate = join(folder, 'node_modules', name);
      if (isKind(join(candidate, 'package.json'), 'file')) return realpathSync(candidate);
      if (folder === dirname(folder)) break;
    }
  }
  throw new SluiceError('E_NOT_FOUND', `${path}: package ${name} is not installed in ${starts.join(' or ')} or above`, { hint: `npm install ${name}` });
}

function isKind(path: string, kind: 'file' | 'folder'): boolean {
  const status = statSync(path, { throwIfNoEntry: false });
  return status !== undefined && (kind === 'file' ? status.isFile() : status.isDirectory());
}

function expand(name: string, path: string): string[] {
  const pattern = basename(path);
  if (!pattern.includes('*')) return [path];
  const folder = dirname(path);
  if (!isKind(folder, 'folder')) throw new SluiceError('E_NOT_FOUND', `${name}: there is no folder ${folder}`);
  const expression = new RegExp(`^${pattern.split('*').map((text) => text.replace(/[.+?^${}()|[\]\\]/g, '\\$&')).join('.*')}$`);
  const files = readdirSync(folder).filter((file) => expression.test(file)).sort();
  if (files.length === 0) throw new SluiceError('E_NOT_FOUND', `${name}: no file in ${folder} matches`);
  return files.map((file) => join(folder, file));
}

function describe(name: string, path: string): SourceFile {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status === undefined) throw new SluiceError('E_NOT_FOUND', `${name}: there is no file ${path}`);
  if (!status.isFile()) throw new SluiceError('E_SOURCE', `${name}: ${path} is not a file`);
  const shown = name.includes('*') ? join(dirname(name), basename(path)) : name;
  return { name: shown, path, bytes: status.size, fingerprint: `${status.size}-${Math.round(status.mtimeMs)}` };
}
