import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { SluiceError } from '../errors.js';
import { loadModule } from './modules.js';
import { parsePipeline } from './parse.js';
import { changed, configError, issuesOf } from './pipeline.test.helper.js';

/** Runs `use` in a folder, far from any node_modules, with the given files. */
async function withFiles(files: Record<string, string>, use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'sluice-modules-')));
  try {
    await write(folder, files);
    await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function write(folder: string, files: Record<string, string>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
}

const trigger = `
import { defineTrigger } from 'sluice';
import { z } from 'zod';
import { limit } from './lib/limit.js';

type Config = { labels: number };

export default defineTrigger<Config>({
  id: 'labels',
  summary: 'Fires after so many positive labels.',
  config: z.strictObject({ labels: z.int().min(1).max(limit) }),
  create({ labels }: Config) {
    let seen = 0;
    return {
      *inform(batch) {
        for (let i = 0; i < batch.length; i++) if (batch.labels[i] === 1 && ++seen % labels === 0) yield { at: i, reason: 'labels' };
      },
    };
  },
});
`;
const typescript = { 'labels.ts': trigger, 'lib/limit.ts': 'export const limit: number = 100;\n' };

const selection = `
import { defineSelection } from 'sluice';
import { z } from 'zod';
export default defineSelection({ id: 'last', summary: 'Selects the last.', config: z.strictObject({}), reset: true, select: (_, c) => ({ first: c.end - 1, end: c.end }) });
`;

const failure = async (work: Promise<unknown>): Promise<SluiceError> => {
  const error: unknown = await work.then(
    () => undefined,
    (e) => e,
  );
  assert.instance(error, SluiceError);
  return error as SluiceError;
};

test('a TypeScript policy is loaded, with what it imports', () =>
  withFiles(typescript, async (folder) => {
    const { value, file, files } = await loadModule('./labels.ts', folder, 'trigger');
    assert.is(value.id, 'labels');
    assert.is(file, join(folder, 'labels.ts'));
    assert.equal(files, [join(folder, 'labels.ts'), join(folder, 'lib/limit.ts')]);
  }));

for (const name of ['last.mjs', 'last.js', 'last.ts', 'last.mts']) {
  test(`${name} in a package of ES modules is loaded`, () =>
    withFiles({ [name]: selection, 'package.json': '{ "type": "module" }' }, async (folder) => {
      assert.is((await loadModule(name, folder, 'selection')).value.reset, true);
    }));
}

test('a CommonJS policy is loaded', () =>
  withFiles(
    {
      'last.cjs':
        "const { defineSelection } = require('sluice');\nconst { z } = require('zod');\nmodule.exports.default = defineSelection({ id: 'x', summary: 'X.', config: z.strictObject({}), reset: false, select: () => ({ first: 0, end: 0 }) });\n",
    },
    async (folder) => {
      assert.is((await loadModule('last.cjs', folder, 'selection')).value.id, 'x');
    },
  ));

test('a changed module is read anew, and so is what it imports', () =>
  withFiles(typescript, async (folder) => {
    const accepts = async () => (await loadModule('labels.ts', folder, 'trigger')).value.config.safeParse({ labels: 200 }).success;
    assert.is(await accepts(), false);
    await write(folder, { 'lib/limit.ts': 'export const limit: number = 300;\n' });
    assert.is(await accepts(), true);
  }));

const broken: Record<string, [string, RegExp]> = {
  'a syntax error': ['export default (', /x\.ts could not be loaded: .*Unexpected token/],
  'an error while loading': ["throw new Error('boom');", /x\.ts could not be loaded: boom/],
  'a missing import': ["import './nope.js';\nexport default 1;", /x\.ts could not be loaded: Cannot find module '\.\/nope\.js'/],
  'no default export': ['export const x = 1;', /made with defineTrigger\(\), found no default export/],
  'a function': ['export default () => 1;', /found a function/],
  'an object of no kind': ["export default { id: 'x' };", /found an object without its kind/],
  'a policy of the other kind': [selection, /found a data selection policy/],
  'a policy without create': ["export default { kind: 'trigger', id: 'x', summary: 'X.' };", /whose create is a function/],
  'a policy whose config is no schema': [
    "export default { kind: 'trigger', id: 'x', summary: 'X.', config: {}, create() {} };",
    /whose config is a zod 4 schema/,
  ],
};

for (const [name, [text, expected]] of Object.entries(broken)) {
  test(`${name} is E_MODULE and names the file`, () =>
    withFiles({ 'x.ts': text }, async (folder) => {
      const error = await failure(loadModule('x.ts', folder, 'trigger'));
      assert.is(error.code, 'E_MODULE');
      assert.match(error.message, expected);
      assert.match(error.message, join(folder, 'x.ts'));
    }));
}

test('a file that is missing, or of another type', async () => {
  assert.match((await failure(loadModule('./no.ts', '/nowhere', 'trigger'))).message, 'there is no file /nowhere/no.ts');
  assert.match((await failure(loadModule('./no.py', '/nowhere', 'trigger'))).message, 'ends in .ts');
});

test('what a module threw is the cause', () =>
  withFiles({ 'x.ts': "throw new TypeError('boom');" }, async (folder) => {
    assert.is(((await failure(loadModule('x.ts', folder, 'trigger'))).cause as Error).message, 'boom');
  }));

const withTrigger = (section: string) => changed('{ id: amount, samples: 10 }', section);

test('a pipeline runs on a policy of the user’s own', () =>
  withFiles(typescript, async (dir) => {
    const loaded = await parsePipeline(withTrigger('{ id: ./labels.ts, labels: 3 }'), 'p.yaml', { dir });
    assert.is(loaded.trigger.policy.id, 'labels');
    assert.equal(loaded.trigger.config, { labels: 3 });
    assert.equal(loaded.modules, [join(dir, 'labels.ts'), join(dir, 'lib/limit.ts')]);
  }));

test('errors in its fields and in itself are placed in the pipeline file', () =>
  withFiles(typescript, async (dir) => {
    assert.equal(await issuesOf(withTrigger('{ id: ./labels.ts, labels: 101 }'), dir), [
      '14:37 trigger.labels: expected a whole number from 1 to 100, found 101',
    ]);
    assert.equal(await issuesOf(withTrigger('{ id: ./labels.ts, label: 3 }'), dir), [
      '14:29 trigger.label: unknown field; did you mean "labels"?',
    ]);
    const error = await configError(withTrigger('{ id: ./no.ts }'), dir);
    assert.match(error.message, `p.yaml:14:16  trigger.id: there is no file ${join(dir, 'no.ts')}`);
    assert.is((error.cause as SluiceError).code, 'E_MODULE');
  }));

test('a schema that throws is an error of its module', () =>
  withFiles(
    { 'labels.ts': trigger.replace('.max(limit)', ".refine(() => { throw new Error('boom'); })"), 'lib/limit.ts': '' },
    async (dir) => {
      assert.equal(await issuesOf(withTrigger('{ id: ./labels.ts, labels: 3 }'), dir), [
        "14:16 trigger.id: the config schema of 'labels' failed: boom",
      ]);
    },
  ));

test('the hash follows the contents of modules, not their place', () =>
  withFiles(typescript, async (folder) => {
    const text = withTrigger('{ id: ./labels.ts, labels: 3 }');
    const hash = async (dir: string) => (await parsePipeline(text, 'p.yaml', { dir })).hash;
    const before = await hash(folder);
    const copy = join(folder, 'copy');
    await write(copy, typescript);
    assert.is(await hash(copy), before);
    await write(copy, { 'lib/limit.ts': 'export const limit: number = 101;\n' });
    assert.is.not(await hash(copy), before);
  }));

test('a source of the user’s own', () =>
  withFiles(
    {
      'source.ts':
        "import { defineSource } from 'sluice';\nexport default defineSource({ id: 'none', summary: 'Has no parts.', parts: async () => [] });\n",
    },
    async (dir) => {
      const text = changed('source: { format: csv, path: numbers.csv }', 'module: ./source.ts');
      const { source, modules } = await parsePipeline(text, 'p.yaml', { dir });
      assert.equal(await source?.parts(), []);
      assert.equal(modules, [join(dir, 'source.ts')]);
      assert.match((await issuesOf(text.replace('source.ts', 'other.ts'), dir))[0] ?? '', /^4:11 dataset\.module: there is no file/);
    },
  ));

const model = `
import { defineModel } from 'sluice';
import { z } from 'zod';
export default defineModel({
  id: 'wide',
  summary: 'A DLRM with one hidden layer.',
  config: z.strictObject({ width: z.int().min(1) }),
  build: ({ width }, { dense, tables, outputs }) => ({ kind: 'dlrm', dense, tables, embedding: 4, bottom: dense > 0 ? [4] : [], top: [width, outputs] }),
});
`;

test('a model may be a module; its fields are checked by its own schema and count in the hash', async () => {
  await withFiles({ 'wide.ts': model }, async (dir) => {
    const loaded = await parsePipeline(changed('{ id: dlrm }', '{ id: ./wide.ts, width: 7 }'), 'p.yaml', { dir });
    assert.is(loaded.model.policy.id, 'wide');
    const built = loaded.model.policy.build(loaded.model.config, { dense: 1, tables: [3], values: [], ids: 0, outputs: 1, dir });
    assert.equal('top' in built && built.top, [7, 1]);
    const other = await parsePipeline(changed('{ id: dlrm }', '{ id: ./wide.ts, width: 8 }'), 'p.yaml', { dir });
    assert.is.not(other.hash, loaded.hash);
    const wrong = await failure(parsePipeline(changed('{ id: dlrm }', '{ id: ./wide.ts, widht: 7 }'), 'p.yaml', { dir }));
    assert.match(wrong.message, 'unknown field; did you mean "width"?');
  });
});

test.run();
