// Content hash of a pipeline: equal for pipelines that give equal results, so that a changed one is noticed.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { SluiceError } from '../errors.js';
import type { PipelineConfig } from './schema.js';

/** What the hash covers beside the configuration. */
export type HashedPolicies = {
  /** `id`: the built-in's id, or sha256() of the user's module. `config`: as the policy gets it. */
  model: { id: string; config: unknown };
  trigger: { id: string; config: unknown };
  selection: { id: string; config: unknown; reset: boolean };
  /** sha256() of the module of features.parse. */
  parser?: string | undefined;
  /** sha256() of each of the user's files, in any order. */
  modules: readonly string[];
};

/**
 * SHA-256 (hex) of the canonical JSON of everything that influences results, defaults filled in. Left out: the
 * pipeline's name, the number of threads, training.loader, replay.maxTriggers, serve, dataset.label.late, and the place of the user's modules (their contents count).
 */
export function pipelineHash(config: PipelineConfig, policies: HashedPolicies): string {
  const { pipeline, replay, dataset, features, training, serve: _serve, ...rest } = config;
  const { loader: _, ...trained } = training;
  const { model, trigger, selection, parser, modules } = policies;
  const { late: _late, ...label } = dataset.label;
  const data = { ...dataset, label, ...('module' in dataset ? { module: true } : {}) };
  const counted = { seed: pipeline.seed, batch: replay.batch, modules: [...modules].sort() };
  return sha256(
    canonicalJson({
      ...rest,
      // Where samples come from is left out, too.
      storage: undefined,
      features: withoutPlace(features, parser),
      training: trained,
      dataset: data,
      model,
      trigger,
      selection,
      ...counted,
    }),
  );
}

/** The parser's contents count, not its path, nor the threads that run it. */
function withoutPlace(features: PipelineConfig['features'], parser: string | undefined): unknown {
  if (features.parse === undefined) return features;
  const { id: _, threads: __, seconds: ___, ...parse } = features.parse;
  return { ...features, parse: { ...parse, parser } };
}

/** Of a file of any size. E_NOT_FOUND, E_IO. */
export async function sha256File(path: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    for await (const part of createReadStream(path)) hash.update(part);
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new SluiceError(
      missing ? 'E_NOT_FOUND' : 'E_IO',
      missing ? `there is no file ${path}` : `read ${path}: ${(error as Error).message}`,
      { cause: error },
    );
  }
  return hash.digest('hex');
}

export const sha256 = (content: string | Buffer): string => createHash('sha256').update(content).digest('hex');

/**
 * JSON with sorted keys and without spaces. What JSON lacks but a policy's config may hold has a text of its own: dates,
 * big integers, numbers that are not finite, maps and sets. Functions are left out: their module's contents are hashed.
 */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number') return Number.isFinite(value) ? JSON.stringify(value) : `{"number":"${value}"}`;
  if (typeof value === 'bigint') return `{"bigint":"${value}"}`;
  if (value instanceof Date) return `{"date":${value.getTime()}}`;
  if (value instanceof Map) return `{"map":${canonicalJson([...value])}}`;
  if (value instanceof Set || ArrayBuffer.isView(value)) return `{"set":${canonicalJson([...(value as Iterable<unknown>)])}}`;
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item)).join(',')}]`;
  if (typeof value !== 'object') return 'null';
  const present = Object.entries(value).filter(([, v]) => v !== undefined && typeof v !== 'function');
  const fields = present.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, v]) => `${JSON.stringify(key)}:${canonicalJson(v)}`);
  return `{${fields.join(',')}}`;
}
