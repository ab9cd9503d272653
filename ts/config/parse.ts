// The pipeline file -> typed pipeline, or one error that lists everything that is wrong with it.
import { type FileHandle, open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { SluiceError } from '../errors.js';
import type { ModelDefinition } from '../models/define.js';
import type { SelectionPolicy, TriggerPolicy } from '../policies/define.js';
import type { Source } from '../sources/types.js';
import { crossProblems, resolveDefaults } from './cross-checks.js';
import { pipelineHash, sha256File } from './hash.js';
import { ConfigError, type ConfigIssue, showPath } from './issues.js';
import { pipelineJsonSchema } from './json-schema.js';
import { type ResolvedPolicy, resolveParser, resolvePolicy, resolveSource } from './resolve.js';
import { type PipelineConfig, type PipelineFile, type PipelineSection, pipelineFile } from './schema.js';
import { type Problem, validate, withoutMisspelt } from './validate.js';
import { parseYaml, type YamlFile } from './yaml.js';

export type LoadedPipeline = {
  /** As the caller named it. */
  file: string;
  /** Absolute folder that paths in the pipeline are relative to. */
  dir: string;
  text: string;
  /** Every default filled in; durations in milliseconds, training.first absolute, other paths as written. */
  config: PipelineConfig;
  model: { policy: ModelDefinition; config: unknown };
  trigger: { policy: TriggerPolicy; config: unknown };
  selection: { policy: SelectionPolicy; config: unknown; reset: boolean };
  /** Where `dataset.module` names one. */
  source?: Source;
  /** Where `features.parse` names one: its absolute path, and its config as the file gives it. */
  parser?: { file: string; config: unknown };
  /** Absolute paths of the user's files that were loaded. */
  modules: string[];
  /** See pipelineHash(). */
  hash: string;
};

export type ParseOptions = {
  /** Folder that paths in the pipeline are relative to; default: the folder of `fileName`. */
  dir?: string;
};

const maxBytes = 1024 * 1024;

/**
 * Parses and checks a pipeline (YAML or JSON) and loads the modules that it names. `fileName` appears in messages.
 * Throws ConfigError (E_CONFIG) with every issue and its position.
 */
export async function parsePipeline(text: string, fileName: string, options: ParseOptions = {}): Promise<LoadedPipeline> {
  const dir = resolve(options.dir ?? dirname(resolve(fileName)));
  const content = text.startsWith('\ufeff') ? text.slice(1) : text;
  if (Buffer.byteLength(content) > maxBytes) throw tooBig(fileName);
  const yaml = parseYaml(content);
  if (yaml.problems.length > 0) throw syntaxError(yaml, content, fileName);

  const shape = validate(pipelineFile, pipelineJsonSchema(), yaml.value);
  const problems: Problem[] = [...shape.problems];
  const sections = shape.value ?? validSections(yaml.value, problems);
  const model = await resolvePolicy('model', sections.model, dir, problems);
  const trigger = await resolvePolicy('trigger', sections.trigger, dir, problems);
  const selection = await resolvePolicy('selection', sections.selection, dir, problems);
  const source = await resolveSource(sections.dataset, dir, problems);
  const parser = await resolveParser(sections.features?.parse, dir, problems);
  for (const { path, message } of crossProblems(sections)) {
    problems.push({ path, anchor: 'value', found: '', expected: message.replace(/^expected /, ''), message });
  }
  if (problems.length > 0 || !shape.value || !model || !trigger || !selection) throw configError(problems, yaml, content, fileName);
  const { first } = shape.value.training;
  const start = first === undefined ? undefined : await contentOf(resolve(dir, first));
  return loaded({ file: fileName, dir, text: content }, resolveDefaults(shape.value), { model, trigger, selection, source, parser, start });
}

/** Its hash; that of nothing while the file is not there, which the first training tells. */
async function contentOf(path: string): Promise<string | undefined> {
  try {
    return await sha256File(path);
  } catch {
    return undefined;
  }
}

/** Reads and parses the pipeline file at `path`. E_NOT_FOUND, E_IO, and the errors of parsePipeline(). */
export async function loadPipeline(path: string): Promise<LoadedPipeline> {
  const bytes = await readCapped(path);
  try {
    return await parsePipeline(new TextDecoder('utf-8', { fatal: true }).decode(bytes), path);
  } catch (error) {
    if (!(error instanceof TypeError && (error as NodeJS.ErrnoException).code === 'ERR_ENCODING_INVALID_ENCODED_DATA')) throw error;
    const issue = { file: path, ...firstBadByte(bytes), path: '', found: 'other bytes', expected: 'UTF-8 text' };
    throw new ConfigError([{ ...issue, message: 'expected UTF-8 text, found other bytes' }], '', error);
  }
}

type Modules = {
  model: ResolvedPolicy<ModelDefinition>;
  trigger: ResolvedPolicy<TriggerPolicy>;
  selection: ResolvedPolicy<SelectionPolicy>;
  source: ResolvedSource;
  parser: Awaited<ReturnType<typeof resolveParser>>;
  /** Hash of the file that the first training starts from. */
  start: string | undefined;
};
type ResolvedSource = Awaited<ReturnType<typeof resolveSource>>;

function loaded(origin: { file: string; dir: string; text: string }, config: PipelineConfig, parts: Modules): LoadedPipeline {
  const { model, trigger, selection, source, parser, start } = parts;
  const files = new Map([...model.files, ...trigger.files, ...selection.files, ...(source?.files ?? []), ...(parser?.files ?? [])]);
  const reset = config.selection.reset ?? selection.policy.reset;
  const hash = pipelineHash(config, {
    model: { id: model.hashId, config: model.config },
    trigger: { id: trigger.hashId, config: trigger.config },
    selection: { id: selection.hashId, config: selection.config, reset },
    parser: parser?.hashId,
    modules: [...files.values(), ...(start === undefined ? [] : [start])],
  });
  const { first } = config.training;
  const training = first === undefined ? config.training : { ...config.training, first: resolve(origin.dir, first) };
  return {
    ...origin,
    config: { ...config, training },
    model: { policy: model.policy, config: model.config },
    trigger: { policy: trigger.policy, config: trigger.config },
    selection: { policy: selection.policy, config: selection.config, reset },
    ...(source ? { source: source.source } : {}),
    ...(parser ? { parser: { file: parser.file, config: config.features.parse?.config } } : {}),
    modules: [...files.keys()].sort(),
    hash,
  };
}

/** The sections without a problem of their own, so that the checks between fields still run on them. */
function validSections(value: unknown, problems: readonly Problem[]): Partial<PipelineFile> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return {};
  const bad = new Set(problems.map((problem) => problem.path[0]));
  const names = (Object.keys(pipelineFile.shape) as PipelineSection[]).filter((name) => !bad.has(name));
  const given = value as Record<string, unknown>;
  return Object.fromEntries(names.map((name) => [name, pipelineFile.shape[name].parse(given[name])]));
}

function configError(problems: readonly Problem[], yaml: YamlFile, text: string, file: string): ConfigError {
  const cause = problems.find((problem) => problem.cause !== undefined)?.cause;
  const issues = withoutMisspelt(problems).map(({ path, anchor, found, expected, message }): ConfigIssue => {
    return { file, ...yaml.position(yaml.offset(path, anchor)), path: showPath(path), found, expected, message };
  });
  return new ConfigError(issues, text, cause);
}

function syntaxError(yaml: YamlFile, text: string, file: string): ConfigError {
  const issues = yaml.problems.map(({ offset, message }): ConfigIssue => {
    return { file, ...yaml.position(offset), path: '', found: '', expected: '', message };
  });
  return new ConfigError(issues, text);
}

function tooBig(file: string): ConfigError {
  const message = 'expected at most 1 MiB of text';
  return new ConfigError([{ file, line: 1, column: 1, path: '', found: 'more', expected: 'at most 1 MiB of text', message }], '');
}

/** At most one byte more than allowed is read: what the path names may be endless. */
async function readCapped(path: string): Promise<Buffer> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, 'r');
    const buffer = Buffer.alloc(maxBytes + 1);
    let size = 0;
    while (size < buffer.length) {
      const { bytesRead } = await file.read(buffer, size, buffer.length - size);
      if (bytesRead === 0) break;
      size += bytesRead;
    }
    if (size > maxBytes) throw tooBig(path);
    return buffer.subarray(0, size);
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT') throw new SluiceError('E_IO', `${path} could not be read: ${message}`, { cause: error });
    const hint = 'name a pipeline file, or write one with `sluice init`';
    throw new SluiceError('E_NOT_FOUND', `there is no pipeline file ${path}`, { hint, cause: error });
  } finally {
    await file?.close();
  }
}

/** Position of the first byte that is not UTF-8. */
function firstBadByte(bytes: Buffer): { line: number; column: number } {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let good = '';
  try {
    for (let i = 0; i < bytes.length; i++) good += decoder.decode(bytes.subarray(i, i + 1), { stream: true });
  } catch {
    // `good` ends where decoding failed.
  }
  const lines = good.split('\n');
  return { line: lines.length, column: (lines.at(-1) ?? '').length + 1 };
}
