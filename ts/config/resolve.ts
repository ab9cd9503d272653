// From the ids in a pipeline file to the policies, models and sources themselves: built-in, or a module of the user.
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { SluiceError } from '../errors.js';
import type { ModelDefinition } from '../models/define.js';
import { modelDefinition, models } from '../models/registry.js';
import type { SelectionPolicy, TriggerPolicy } from '../policies/define.js';
import { selectionPolicies, selectionPolicy, triggerPolicies, triggerPolicy } from '../policies/registry.js';
import type { Source } from '../sources/types.js';
import { inputSchema } from './expectations.js';
import { modulePath } from './fields.js';
import { sha256, sha256File } from './hash.js';
import { shorten } from './issues.js';
import { policySchema } from './json-schema.js';
import { loadModule, type ModuleKind, type UserModule } from './modules.js';
import type { PipelineFile } from './schema.js';
import { type Problem, type Validated, validate } from './validate.js';

/** The user's files by absolute path, with the hash of their contents. */
type Files = Map<string, string>;

export type ResolvedPolicy<P> = { policy: P; config: unknown; hashId: string; files: Files };

type Policies = { trigger: TriggerPolicy; selection: SelectionPolicy; model: ModelDefinition };

const builtIn = {
  trigger: { all: triggerPolicies, find: triggerPolicy },
  selection: { all: selectionPolicies, find: selectionPolicy },
  model: { all: models, find: modelDefinition },
};

/** The policy or model that a section names, and its checked config. What is wrong is added to `problems`. */
export async function resolvePolicy<K extends keyof Policies>(
  section: K,
  given: PipelineFile[K] | undefined,
  dir: string,
  problems: Problem[],
): Promise<ResolvedPolicy<Policies[K]> | undefined> {
  if (given === undefined) return undefined;
  const path = [section, 'id'];
  const found = await collect(problems, path, given.id, () => findPolicy(section, given.id, dir));
  if (!found) return undefined;
  const common = section === 'selection' ? ['id', 'reset'] : ['id'];
  const own = Object.fromEntries(Object.entries(given).filter(([key]) => !common.includes(key)));
  const checked = await collect(problems, path, given.id, async () => checkOwn(found.policy, own, given));
  if (!checked) return undefined;
  problems.push(...checked.problems.map((problem) => ({ ...problem, path: [section, ...problem.path] })));
  if (checked.problems.length > 0) return undefined;
  const named = 'files' in found.policy ? (found.policy.files?.(checked.value) ?? []) : [];
  const files = await collect(problems, path, given.id, async () => new Map([...found.files, ...(await hashNamed(named, dir))]));
  return files && { ...found, config: checked.value, files };
}

/** The schema may come from a user's module: it is not trusted not to throw. */
function checkOwn(policy: Policies[keyof Policies], own: unknown, given: { id: string }): Validated<unknown> {
  return checkConfig(policy, () => validate(policy.config, policySchema(policy, given.id), own, given));
}

function checkConfig(policy: { id: string }, check: () => Validated<unknown>): Validated<unknown> {
  try {
    return check();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new SluiceError('E_MODULE', `the config schema of '${policy.id}' failed: ${reason}`, { cause: error });
  }
}

/** The source that dataset.module names, if it names one. What is wrong is added to `problems`. */
export async function resolveSource(
  dataset: PipelineFile['dataset'] | undefined,
  dir: string,
  problems: Problem[],
): Promise<{ source: Source; files: Files } | undefined> {
  if (!dataset || !('module' in dataset)) return undefined;
  const { module } = dataset;
  return await collect(problems, ['dataset', 'module'], module, async () => {
    const loaded = await loadModule(module, dir, 'source');
    return { source: loaded.value, files: await hashFiles(loaded) };
  });
}

/** The parser that features.parse names, if it names one. What is wrong is added to `problems`. */
export async function resolveParser(
  parse: NonNullable<PipelineFile['features']>['parse'],
  dir: string,
  problems: Problem[],
): Promise<{ file: string; files: Files; hashId: string } | undefined> {
  if (parse === undefined) return undefined;
  const path = ['features', 'parse', 'id'];
  return await collect(problems, path, parse.id, async () => {
    const loaded = await loadModule(parse.id, dir, 'parser');
    const { config } = loaded.value;
    const checked = checkConfig(loaded.value, () => validate(config, inputSchema(config), parse.config));
    problems.push(...checked.problems.map((problem) => ({ ...problem, path: ['features', 'parse', 'config', ...problem.path] })));
    const files = await hashFiles(loaded);
    return { file: loaded.file, files, hashId: files.get(loaded.file) ?? parse.id };
  });
}

async function findPolicy<K extends keyof Policies>(section: K, id: string, dir: string) {
  const { all, find } = builtIn[section];
  if (all.some((policy) => policy.id === id) || !modulePath.test(id)) {
    const policy = find(id) as Policies[K];
    return { policy, hashId: id, files: new Map() as Files };
  }
  const loaded = await loadModule(id, dir, section);
  const files = await hashFiles(loaded);
  return { policy: loaded.value as Policies[K], hashId: files.get(loaded.file) ?? id, files };
}

/** The files that a model's config names. They are hashed as they are read: they may be large. */
async function hashNamed(paths: string[], dir: string): Promise<Files> {
  const hash = async (path: string) => [resolve(dir, path), await sha256File(resolve(dir, path))] as const;
  return new Map(await Promise.all(paths.map(hash)));
}

async function hashFiles(module: UserModule<ModuleKind>): Promise<Files> {
  return new Map(await Promise.all(module.files.map(async (file) => [file, sha256(await readFile(file))] as const)));
}

/** Turns what a search or a module throws into a problem at the field that names it. */
async function collect<T>(problems: Problem[], path: string[], found: string, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    const cause = error.code === 'E_MODULE' ? { cause: error } : {};
    problems.push({ path, anchor: 'value', found: shorten(JSON.stringify(found)), expected: '', message: error.message, ...cause });
    return undefined;
  }
}
