// Where this package lies, and its version.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { SluiceError } from './errors.js';

/** The folder of our package.json: above dist/, however deep the compiled file lies. */
export function packageRoot(): string {
  const start = path.dirname(fileURLToPath(import.meta.url));
  for (let folder = start; ; folder = path.dirname(folder)) {
    if (packageJson(folder)?.name === 'sluice') return folder;
    if (folder === path.dirname(folder)) throw new SluiceError('E_INTERNAL', `no package.json of sluice lies above ${start}`);
  }
}

export function packageVersion(): string {
  return String(packageJson(packageRoot())?.version);
}

function packageJson(folder: string): { name?: unknown; version?: unknown } | undefined {
  const file = path.join(folder, 'package.json');
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
}
