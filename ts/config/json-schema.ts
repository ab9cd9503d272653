// draft-7 JSON Schema of the pipeline file, for editors: from the zod schemas and the policies' own.
import type { ModelDefinition } from '../models/define.js';
import { models } from '../models/registry.js';
import type { SelectionPolicy, TriggerPolicy } from '../policies/define.js';
import { selectionPolicies, triggerPolicies } from '../policies/registry.js';
import { inputSchema, type JsonSchema } from './expectations.js';
import { modulePath } from './fields.js';
import { pipelineFile } from './schema.js';

/** A policy or model of the user's own, under the id (a path) that the pipeline names it by. */
export type NamedPolicy<P> = { id: string; policy: P };

export type SchemaOptions = {
  triggers?: readonly NamedPolicy<TriggerPolicy>[];
  selections?: readonly NamedPolicy<SelectionPolicy>[];
  models?: readonly NamedPolicy<ModelDefinition>[];
};

type Named = TriggerPolicy | SelectionPolicy | ModelDefinition;

/** JSON Schema of a pipeline file. Policies given by the caller are checked like built-in ones; other paths are open. */
export function pipelineJsonSchema(options: SchemaOptions = {}): JsonSchema {
  const schema = fileSchema();
  const properties = {
    ...schema.properties,
    model: policyUnion('model', [...models.map(named), ...(options.models ?? [])]),
    trigger: policyUnion('trigger', [...triggerPolicies.map(named), ...(options.triggers ?? [])]),
    selection: policyUnion('selection', [...selectionPolicies.map(named), ...(options.selections ?? [])]),
  };
  return { ...schema, title: 'Sluice pipeline', properties };
}

/** JSON Schema of the section that names this policy: its own fields beside `id` (and `reset`). */
export function policySchema(policy: Named, id = policy.id): JsonSchema {
  const common = { ...sectionSchema(policy.kind).properties, id: { const: id, description: policy.summary } } as Record<string, JsonSchema>;
  if (policy.kind === 'selection') common['reset'] = { ...common['reset'], default: policy.reset };
  const { $schema: _, ...own } = inputSchema(policy.config);
  return withFields(own, common);
}

let file: JsonSchema | undefined;
const fileSchema = (): JsonSchema => (file ??= inputSchema(pipelineFile));

const sectionSchema = (section: Named['kind']): JsonSchema => fileSchema().properties?.[section] as JsonSchema;

const named = <P extends { id: string }>(policy: P): NamedPolicy<P> => ({ id: policy.id, policy });

function policyUnion(section: Named['kind'], policies: readonly NamedPolicy<Named>[]): JsonSchema {
  const { description, ...open } = sectionSchema(section);
  const ids = policies.map(({ id }) => id);
  const path = { ...(open.properties?.['id'] as JsonSchema), pattern: modulePath.source, not: { enum: ids } };
  const others: JsonSchema = { ...open, properties: { ...open.properties, id: path } };
  return { ...(description ? { description } : {}), anyOf: [...policies.map(({ id, policy }) => policySchema(policy, id)), others] };
}

/** Adds fields to every alternative of an object schema; what is no object schema allows any field beside them. */
function withFields(schema: JsonSchema, fields: Record<string, JsonSchema>): JsonSchema {
  const { anyOf, oneOf, ...rest } = schema;
  const options = anyOf ?? oneOf;
  if (options) return { ...rest, anyOf: options.map((option) => withFields(option as JsonSchema, fields)) };
  if (schema.type !== 'object') return { type: 'object', properties: fields, required: ['id'] };
  const required = [...new Set(['id', ...(schema.required ?? [])])];
  return { ...schema, properties: { ...fields, ...schema.properties }, required };
}
