// `npm:<package>/<path>`: a file of an installed package. require.resolve would obey the package's exports, which often
// hide data files, so the folders named node_modules are searched here.
import { realpathSync } from 'node:fs';
import { dirname, join, resolve, sep } from 'node:path';
import { SluiceError } from '../errors.js';
import { statusOf } from '../files/local.js';
import { packageRoot } from '../package.js';

export const npmPrefix = 'npm:';

/** https://docs.npmjs.com/cli/configuring-npm/package-json#name, with the upper case of old packages. */
const pattern = /^npm:((?:@[a-zA-Z0-9~-][\w.~-]*\/)?[a-zA-Z0-9~-][\w.~-]*)\/(.+)$/;

/**
 * The absolute path that `name` stands for; the file need not exist. Packages are looked for above `folder`, then above
 * Sluice. E_NOT_FOUND where the package is not installed, E_ARGUMENT where the path leaves it.
 */
export function npmPath(name: string, folder: string): string {
  const match = pattern.exec(name);
  if (match === null) {
    const hint = 'for example npm:vega-datasets/data/flights-3m.parquet';
    throw new SluiceError('E_ARGUMENT', `${name}: expected npm:<package>/<path in the package>`, { hint });
  }
  const [, packageName, inside] = match as unknown as [string, string, string];
  const root = packageFolder(name, packageName, [resolve(folder), packageRoot()]);
  const path = resolve(root, inside);
  if (!path.startsWith(root + sep)) throw new SluiceError('E_ARGUMENT', `${name}: the path leaves the package ${packageName}`);
  return path;
}

function packageFolder(name: string, packageName: string, starts: string[]): string {
  for (const start of starts) {
    for (let folder = start; ; folder = dirname(folder)) {
      const candidate = join(folder, 'node_modules', packageName);
      if (statusOf(join(candidate, 'package.json'))?.isFile()) return realpathSync(candidate);
      if (folder === dirname(folder)) break;
    }
  }
  const tried = [...new Set(starts)].map((start) => join(start, 'node_modules')).join(', ');
  const message = `${name}: the package ${packageName} is not installed; looked in ${tried} and in the node_modules of every folder above`;
  throw new SluiceError('E_NOT_FOUND', message, { hint: `npm install ${packageName}` });
}
