// Finds and loads the native addon, once. Only ts/native imports this.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { SluiceError } from '../errors.js';
import { packageRoot, packageVersion } from '../package.js';
import type { Addon } from './raw.js';

/** A place where the addon may lie. `load` throws when it does not, or cannot be loaded. */
export type Candidate = { name: string; load: () => unknown };

const localBuild = 'build/Release/sluice.node';

let loaded: Addon | undefined;

/** The addon; throws SluiceError E_ADDON with every cause and what to do when it cannot be had. */
export function loadAddon(): Addon {
  if (loaded === undefined) {
    const root = packageRoot();
    loaded = loadFirst(candidates(root), packageVersion());
  }
  return loaded;
}

/** The first candidate that loads and was built from this version of the package. */
export function loadFirst(places: Candidate[], version: string): Addon {
  const causes: Error[] = [];
  for (const place of places) {
    try {
      const addon = place.load() as Addon;
      const built = addon.build_info().version;
      if (built === version) return addon;
      causes.push(new Error(`${place.name}: built from version ${built}, but this is version ${version}`));
    } catch (error) {
      causes.push(new Error(`${place.name}: ${explain(error)}`, { cause: error }));
    }
  }
  const tried = causes.map((cause) => `\n  ${cause.message}`).join('');
  const message = `The native addon could not be loaded on ${platformName()} with Node.js ${process.version}. Tried:${tried}`;
  throw new SluiceError('E_ADDON', message, { hint: advice(causes), cause: new AggregateError(causes, 'every place failed') });
}

function candidates(root: string): Candidate[] {
  const require = createRequire(path.join(root, 'package.json'));
  const file = path.join(root, localBuild);
  const platformPackage = `@sluice/${platformName()}`;
  return [
    { name: platformPackage, load: () => require(platformPackage) },
    {
      name: localBuild,
      load: () => {
        if (!existsSync(file)) throw new Error(`not built (there is no ${file})`);
        return require(file);
      },
    },
  ];
}

function platformName(): string {
  const name = `${process.platform}-${process.arch}`;
  return process.platform === 'linux' && !usesGlibc() ? `${name}-musl` : name;
}

function usesGlibc(): boolean {
  // Without this the report may wait for name servers; @types/node of version 20 lacks it.
  (process.report as { excludeNetwork?: boolean }).excludeNetwork = true;
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return report.header?.glibcVersionRuntime !== undefined;
}

function explain(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'MODULE_NOT_FOUND') return 'not installed';
  return (message ?? String(error)).split('\n', 1)[0] ?? '';
}

function advice(causes: Error[]): string {
  const libtorch = causes.some((cause) => /lib(torch|c10)\w*\.so/.test(cause.message));
  if (!libtorch) return 'Build the addon: npm run build';
  return [
    'LibTorch is missing, or was moved since the addon was built. Provide it in one of three ways, then run: npm run build',
    '  1. an unpacked LibTorch: export LIBTORCH=/path/to/libtorch',
    '  2. the torch package of python3 (or of the Python that SLUICE_PYTHON names): pip install torch',
    '  3. a private copy, fetched by: npm install',
  ].join('\n');
}
