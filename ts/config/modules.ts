// Loads the user's own TypeScript or JavaScript modules: policies, models, parsers and sources.
import { access, readFile } from 'node:fs/promises';
import { extname, resolve } from 'node:path';
import { createJiti, type Jiti } from 'jiti';
import * as zod from 'zod';
import { SluiceError } from '../errors.js';
import type { ModelDefinition } from '../models/define.js';
import type { ParserDefinition } from '../parsers/define.js';
import type { SelectionPolicy, TriggerPolicy } from '../policies/define.js';
import type { SourceModule } from '../sources/define.js';
import { printable } from './issues.js';

export type ModuleKinds = {
  trigger: TriggerPolicy;
  selection: SelectionPolicy;
  source: SourceModule;
  model: ModelDefinition;
  parser: ParserDefinition;
};
export type ModuleKind = keyof ModuleKinds;

export type UserModule<K extends ModuleKind = ModuleKind> = {
  file: string;
  value: ModuleKinds[K];
  /** The module and the files of the user that it brought in, by absolute path, sorted. */
  files: string[];
};

const kinds = {
  trigger: { name: 'a triggering policy', helper: 'defineTrigger', functions: ['create'] },
  selection: { name: 'a data selection policy', helper: 'defineSelection', functions: ['select'] },
  model: { name: 'a model', helper: 'defineModel', functions: ['build'] },
  parser: { name: 'a parser', helper: 'defineParser', functions: ['parse'] },
  source: { name: 'a source', helper: 'defineSource', functions: ['parts'] },
} as const;

const extensions = ['.ts', '.mts', '.cts', '.js', '.mjs', '.cjs'];

// jiti keeps loaded files in Node's own cache. One load at a time, so that what a module brought in can be told.
let queue: Promise<unknown> = Promise.resolve();

/**
 * The default export of the module at `path` (relative to `dir`), which must be of the wanted kind. The file is read
 * anew at every call. `import … from 'sluice'` and `'zod'` give the running Sluice and its zod, wherever the module
 * lies. Files that the module imports natively (.mjs, and .js of an ES module package) stay in Node's cache and are not
 * listed in `files`. Throws E_MODULE.
 */
export async function loadModule<K extends ModuleKind>(path: string, dir: string, kind: K): Promise<UserModule<K>> {
  const file = resolve(dir, path);
  const loading = queue.then(() => importFresh(file));
  queue = loading.catch(() => {});
  const { exported, files } = await loading;
  return { file, value: checkExport(file, exported, kind), files };
}

async function importFresh(file: string): Promise<{ exported: unknown; files: string[] }> {
  const source = await readModule(file);
  const own = (await import(new URL('../index.js', import.meta.url).href)) as object;
  const virtualModules = { sluice: own, zod, 'zod/v4': zod };
  const jiti = createJiti(file, { fsCache: false, moduleCache: true, interopDefault: false, virtualModules });
  const before = new Set(Object.keys(jiti.cache));
  try {
    const options = { filename: file, ext: extname(file), async: true, forceTranspile: true };
    const namespace = (await jiti.evalModule(source, options)) as { default?: unknown };
    return { exported: namespace.default, files: [...new Set([file, ...broughtIn(jiti, before)])].sort() };
  } catch (error) {
    const reason = printable((error instanceof Error ? error.message : String(error)).replace(/\s+/g, ' ').trim());
    throw new SluiceError('E_MODULE', `${file} could not be loaded: ${reason}`, { cause: error });
  } finally {
    for (const loaded of broughtIn(jiti, before)) delete jiti.cache[loaded];
  }
}

async function readModule(file: string): Promise<string> {
  if (!extensions.includes(extname(file))) {
    throw new SluiceError('E_MODULE', `${file}: expected a file that ends in ${extensions.join(', ')}`);
  }
  try {
    await access(file);
    return await readFile(file, 'utf8');
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const message = missing ? `there is no file ${file}` : `${file} could not be read: ${(error as Error).message}`;
    throw new SluiceError('E_MODULE', message, { cause: error });
  }
}

function broughtIn(jiti: Jiti, before: ReadonlySet<string>): string[] {
  return Object.keys(jiti.cache).filter((file) => !before.has(file) && !file.includes('/node_modules/'));
}

function checkExport<K extends ModuleKind>(file: string, exported: unknown, kind: K): ModuleKinds[K] {
  const { name, helper, functions } = kinds[kind];
  const fail = (found: string): never => {
    const hint = `export default ${helper}({ … })`;
    throw new SluiceError('E_MODULE', `${file}: expected the default export to be ${name} made with ${helper}(), ${found}`, { hint });
  };
  if (exported === undefined) return fail('found no default export');
  if (typeof exported !== 'object' || exported === null) return fail(`found a ${typeof exported}`);
  const fields = exported as Record<string, unknown>;
  if (fields['kind'] !== kind) {
    const other = Object.hasOwn(kinds, String(fields['kind'])) ? kinds[fields['kind'] as ModuleKind].name : 'an object without its kind';
    return fail(`found ${other}`);
  }
  for (const member of functions) if (typeof fields[member] !== 'function') fail(`whose ${member} is a function`);
  for (const text of ['id', 'summary']) if (typeof fields[text] !== 'string' || fields[text] === '') fail(`whose ${text} is text`);
  if (kind !== 'source') checkPolicy(fields, kind, fail);
  return exported as ModuleKinds[K];
}

function checkPolicy(fields: Record<string, unknown>, kind: ModuleKind, fail: (found: string) => never): void {
  const config = fields['config'] as { _zod?: unknown; safeParse?: unknown } | undefined;
  if (typeof config?.safeParse !== 'function' || config._zod === undefined) fail('whose config is a zod 4 schema');
  if (kind === 'selection' && typeof fields['reset'] !== 'boolean') fail('whose reset is true or false');
}
