import { readFile } from 'node:fs/promises';
import { Ajv } from 'ajv';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parse } from 'yaml';
import { selectionPolicies, triggerPolicies } from '../policies/registry.js';
import { inputSchema, type JsonSchema } from './expectations.js';
import { pipelineJsonSchema } from './json-schema.js';
import { parsePipeline } from './parse.js';
import { pipelineFile } from './schema.js';
import { pipelineTemplate, schemaFileName } from './template.js';
import { productionTemplate } from './template-production.js';

test('the template is a valid pipeline', async () => {
  const { config, trigger, selection } = await parsePipeline(pipelineTemplate, 'pipeline.yaml');
  assert.is(config.pipeline.id, 'flights-weekly');
  assert.is(trigger.policy.id, 'time');
  assert.is(selection.policy.id, 'new-data');
});

test('the template passes the JSON Schema that its first line names', () => {
  assert.is(pipelineTemplate.split('\n')[0], `# yaml-language-server: $schema=./${schemaFileName}`);
  assert.ok(new Ajv({ strict: false }).validate(pipelineJsonSchema(), parse(pipelineTemplate)));
});

test('so is the template for production', async () => {
  const { config } = await parsePipeline(productionTemplate, 'pipeline.yaml');
  assert.equal([config.dataset.id, config.serve?.http?.port], ['clicks', 8080]);
  assert.ok(new Ajv({ strict: false }).validate(pipelineJsonSchema(), parse(productionTemplate)));
  const open = productionTemplate.replace(/# (host|token|admin|tls): /g, '$1: ');
  assert.is((await parsePipeline(open, 'pipeline.yaml')).config.serve?.http?.admin, 'env:SLUICE_ADMIN');
});

/** Names of all fields that a schema knows. */
function fieldNames(schema: JsonSchema | boolean | undefined): string[] {
  if (typeof schema !== 'object') return [];
  const own = Object.entries(schema.properties ?? {}).flatMap(([name, field]) => [name, ...fieldNames(field)]);
  const inner = [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])].flatMap(fieldNames);
  return [...own, ...inner, ...fieldNames(schema.items as JsonSchema | undefined)];
}

test('the template mentions every field, and every policy', () => {
  const policies = [...triggerPolicies, ...selectionPolicies];
  const names = [...fieldNames(inputSchema(pipelineFile)), ...policies.flatMap((p) => [p.id, ...fieldNames(inputSchema(p.config))])];
  assert.ok(names.length > 50);
  for (const name of names) assert.match(pipelineTemplate, new RegExp(`\\b${name}\\b`), name);
});

test('optional lines of the template are valid when uncommented', async () => {
  const fields = [
    'threads: 2',
    'unit: ms',
    'criterion: bce',
    'steps: 2000',
    'accumulate: 4',
    'clipNorm: 1',
    'groups: [{ parameters: "top.*.bias", optimizer: { id: sgd, lr: 0.01 } }]',
    'schedule: { id: cosine, warmup: 100, warmupFrom: 0.1, hold: 0, length: 1000, end: 0, per: step }',
    'inTraining: { keep: 0.5, score: gradient-norm, choice: sampled }',
    'earlyStop: { heldOut: 0.1, patience: 2, leastGain: 0 }',
    'first: ./pretrained.safetensors',
    'start: 2001-01-01',
    'limit: 100000',
    'keep: latest',
    'maxTriggers: 100',
  ];
  let text = pipelineTemplate;
  for (const field of fields) {
    assert.match(text, `# ${field}`);
    text = text.replace(`# ${field}`, field);
  }
  const { config, trigger, selection } = await parsePipeline(text, 'pipeline.yaml');
  assert.is(config.pipeline.threads, 2);
  assert.is(config.replay.maxTriggers, 100);
  assert.equal(trigger.config, { every: 604_800_000, start: Date.parse('2001-01-01') });
  assert.equal(selection.config, { limit: 100_000, keep: 'latest' });
});

test('the data that the template names is what the development package brings', async () => {
  const path = /npm:vega-datasets\/(\S+)/.exec(pipelineTemplate)?.[1];
  const file = new URL(`../${path}`, import.meta.resolve('vega-datasets'));
  assert.is((await readFile(file)).subarray(0, 4).toString(), 'PAR1');
});

test.run();
