// What a JSON Schema expects at a path, in words. The JSON Schemas come from the zod schemas, so that one source serves
// editors and error messages.
import { z } from 'zod';

export type JsonSchema = z.core.JSONSchema.JSONSchema;

/** draft-7 JSON Schema of what a zod schema takes as input; {} (anything) where it cannot be expressed. */
export function inputSchema(schema: z.ZodType): JsonSchema {
  try {
    return z.toJSONSchema(schema, { target: 'draft-7', io: 'input', unrepresentable: 'any' }) as JsonSchema;
  } catch {
    return {};
  }
}

/** The schemas that a value at `path` has to meet one of. */
export function schemasAt(schema: JsonSchema, path: readonly PropertyKey[]): JsonSchema[] {
  let level = alternatives(schema);
  for (const key of path) level = level.flatMap((s) => childrenOf(s, key)).flatMap(alternatives);
  return level;
}

/** Names of the fields that a map at `path` can have. */
export function fieldsAt(schema: JsonSchema, path: readonly PropertyKey[]): string[] {
  return [...new Set(schemasAt(schema, path).flatMap((s) => Object.keys(s.properties ?? {})))];
}

/** 'a whole number from 1 to 100 or a list of text' */
export function describeSchemas(schemas: readonly JsonSchema[]): string {
  const constants = schemas.flatMap((s) => (s.const === undefined ? (s.enum ?? []) : [s.const]));
  const maps = schemas.filter((s) => s.type === 'object');
  const rest = schemas.filter((s) => s.const === undefined && s.enum === undefined && s.type !== 'object');
  const others = [...rest.map(describe), ...(maps.length > 0 ? [describeMaps(maps)] : [])];
  return [...new Set([...describeConstants(constants), ...others])].join(' or ') || 'another value';
}

function alternatives(schema: JsonSchema | boolean): JsonSchema[] {
  if (typeof schema === 'boolean') return [];
  const options = [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])];
  if (options.length > 0) return options.flatMap(alternatives);
  return schema.allOf ? schema.allOf.flatMap(alternatives) : [schema];
}

function childrenOf(schema: JsonSchema, key: PropertyKey): (JsonSchema | boolean)[] {
  if (typeof key === 'number') {
    const items = schema.items as JsonSchema | JsonSchema[] | undefined;
    const item = Array.isArray(items) ? (items[key] ?? schema.additionalItems) : items;
    return item === undefined ? [] : [item];
  }
  const property = schema.properties?.[String(key)] ?? schema.additionalProperties;
  return property === undefined ? [] : [property];
}

function describeConstants(values: readonly unknown[]): string[] {
  const unique = [...new Set(values)].map(String);
  if (unique.length === 0) return [];
  return [unique.length === 1 ? unique[0]! : `one of ${unique.join(', ')}`];
}

function describe(schema: JsonSchema): string {
  switch (schema.type) {
    case 'integer':
      return `a whole number${range(schema)}`;
    case 'number':
      return `a number${range(schema)}`;
    case 'string':
      return 'text';
    case 'boolean':
      return 'true or false';
    case 'array':
      return describeList(schema);
    default:
      return 'another value';
  }
}

/** Names the fields that all alternatives have, or else those that each needs. */
function describeMaps(schemas: readonly JsonSchema[]): string {
  const [first = [], ...others] = schemas.map((s) => Object.keys(s.properties ?? {}));
  const names = first.filter((name) => others.every((list) => list.includes(name)));
  if (names.length > 0) return `a map with ${names.join(', ')}`;
  const needed = [...new Set(schemas.map((s) => (s.required ?? []).join(', ')))].filter((list) => list !== '');
  return needed.length > 0
    ? needed
        .slice(0, 4)
        .map((list) => `a map with ${list}`)
        .join(' or ')
    : 'a map';
}

function describeList(schema: JsonSchema): string {
  const { items, minItems, maxItems } = schema;
  if (Array.isArray(items)) return `a list of ${items.length}`;
  const of = items === undefined || typeof items === 'boolean' ? '' : ` of ${describeSchemas(alternatives(items))}`;
  const bounds = [minItems ? `at least ${minItems}` : '', maxItems === undefined ? '' : `at most ${maxItems}`];
  const size = bounds.filter((bound) => bound !== '').join(' and ');
  return size === '' ? `a list${of}` : `a list${of} (${size})`;
}

function range(schema: JsonSchema): string {
  // zod bounds whole numbers by what a double holds exactly: not a limit that anyone chose.
  const chosen = (bound: unknown) => typeof bound === 'number' && Math.abs(bound) !== Number.MAX_SAFE_INTEGER;
  const low = chosen(schema.minimum) ? schema.minimum : undefined;
  const high = chosen(schema.maximum) ? schema.maximum : undefined;
  if (low !== undefined && high !== undefined) return ` from ${low} to ${high}`;
  const parts: string[] = [];
  if (low !== undefined) parts.push(`>= ${low}`);
  if (schema.exclusiveMinimum !== undefined) parts.push(`> ${schema.exclusiveMinimum}`);
  if (high !== undefined) parts.push(`<= ${high}`);
  if (schema.exclusiveMaximum !== undefined) parts.push(`< ${schema.exclusiveMaximum}`);
  return parts.length === 0 ? '' : ` ${parts.join(' and ')}`;
}
