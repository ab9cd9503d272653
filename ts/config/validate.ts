// Runs a zod schema over a part of the pipeline file and puts its issues into words: one precise sentence each, also
// where a union would report every alternative.
import type { z } from 'zod';
import { describeSchemas, fieldsAt, type JsonSchema, schemasAt } from './expectations.js';
import { shorten, showPath, showValue } from './issues.js';
import { didYouMean, nearest } from '../base/nearest.js';
import type { Anchor } from './yaml.js';

export type Problem = {
  path: PropertyKey[];
  anchor: Anchor;
  found: string;
  expected: string;
  message: string;
  /** The field that an unknown one was probably meant to be. */
  meant?: string;
  cause?: unknown;
};

export type Validated<T> = { value: T; problems: [] } | { value: undefined; problems: Problem[] };

/**
 * Checks `input`, which is `whole` or that part of its fields which the schema covers. Expectations are put into words
 * from `json`, the JSON Schema of `whole`.
 */
export function validate<T>(schema: z.ZodType<T>, json: JsonSchema, input: unknown, whole = input): Validated<T> {
  // The empty message marks issues for which the schema has no words of its own.
  const result = schema.safeParse(input, { error: () => '' });
  if (result.success) return { value: result.data, problems: [] };
  const problems = result.error.issues.flatMap((issue) => problemsOf(issue, [], { json, input: whole }));
  return { value: undefined, problems };
}

/** Where an unknown field is a misspelling of a missing one, the missing one goes without saying. */
export function withoutMisspelt(problems: readonly Problem[]): Problem[] {
  const meant = new Set(problems.flatMap((p) => (p.meant === undefined ? [] : [showPath([...p.path.slice(0, -1), p.meant])])));
  return problems.filter((p) => p.anchor !== 'parent' || !meant.has(showPath(p.path)));
}

type Issue = z.core.$ZodIssue;
type Root = { json: JsonSchema; input: unknown };

function problemsOf(issue: Issue, above: readonly PropertyKey[], root: Root): Problem[] {
  const path = [...above, ...issue.path];
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownField([...path, key], root));
  if (issue.code === 'invalid_key') return [invalidKey(path, issue.issues[0]?.message ?? '')];
  if (issue.code === 'invalid_union' && issue.errors.length > 0) return unionProblems(issue, path, root);
  return [problemAt(path, issue.message, root)];
}

function problemAt(path: PropertyKey[], message: string, root: Root): Problem {
  const value = valueAt(root.input, path);
  const schemas = schemasAt(root.json, path);
  const sentence = message === '' ? `expected ${describeSchemas(schemas)}` : message;
  const expected = sentence.replace(/^expected /, '');
  if (value === undefined && path.length > 0) {
    return { path, anchor: 'parent', found: '', expected, message: `is missing; ${sentence}` };
  }
  const found = showValue(value);
  const names = schemas.flatMap((s) => s.enum ?? (s.const === undefined ? [] : [s.const])).filter((v) => typeof v === 'string');
  const hint = typeof value === 'string' ? didYouMean(value, names) : '';
  return { path, anchor: 'value', found, expected, message: `${sentence}, found ${found}${hint}` };
}

function unknownField(path: PropertyKey[], root: Root): Problem {
  const name = String(path.at(-1));
  const known = fieldsAt(root.json, path.slice(0, -1));
  const expected = known.length > 0 ? `one of ${known.join(', ')}` : 'no fields';
  const problem = { path, anchor: 'key', found: shorten(JSON.stringify(name)), expected } as const;
  if (known.includes(name)) return { ...problem, message: 'does not go with the other fields here' };
  const meant = nearest(name, known);
  if (meant === undefined) return { ...problem, message: `unknown field; expected ${expected}` };
  return { ...problem, meant, message: `unknown field; did you mean ${JSON.stringify(meant)}?` };
}

function invalidKey(path: PropertyKey[], message: string): Problem {
  const sentence = message === '' ? 'expected another key' : message;
  const found = shorten(JSON.stringify(String(path.at(-1))));
  return { path, anchor: 'key', found, expected: sentence.replace(/^expected /, ''), message: `${sentence}, found ${found}` };
}

/** Reports the alternative that the value was most likely meant to be, or that it is none of them. */
function unionProblems(issue: Extract<Issue, { code: 'invalid_union' }>, path: PropertyKey[], root: Root): Problem[] {
  const value = valueAt(root.input, path);
  const fitting = issue.errors.filter(
    (errors) => !errors.some((e) => e.path.length === 0 && (e.code === 'invalid_type' || e.code === 'invalid_value')),
  );
  if (value === undefined || fitting.length === 0) return [problemAt(path, issue.message, root)];
  const costs = fitting.map((errors) => errors.reduce((sum, e) => sum + cost(e, value), 0));
  const least = Math.min(...costs);
  const best = fitting.filter((_, i) => costs[i] === least);
  if (best.length === 1) return best[0]!.flatMap((e) => problemsOf(e, path, root));
  const keys = best.map((errors) => new Set(errors.flatMap((e) => (e.code === 'unrecognized_keys' && e.path.length === 0 ? e.keys : []))));
  const strange = [...keys[0]!].filter((key) => keys.every((set) => set.has(key)));
  if (strange.length > 0) return strange.map((key) => unknownField([...path, key], root));
  return [problemAt(path, issue.message, root)];
}

/** How far an issue moves a value away from an alternative: its own fields count, what lies deeper hardly does. */
function cost(issue: Issue, value: unknown): number {
  if (issue.code === 'unrecognized_keys' && issue.path.length === 0) return 2 * issue.keys.length;
  if (issue.path.length !== 1) return 0.001;
  if (valueAt(value, issue.path) !== undefined) return 1;
  // Without its discriminator a union does not look at the other fields: they count as strange.
  return issue.code === 'invalid_union' && issue.errors.length === 0 ? 4 : 2;
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}
