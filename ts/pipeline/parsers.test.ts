import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Dataset } from '../native/dataset.js';
import { evaluate } from '../native/evaluator.js';
import { endless, expectError, makeEvalPlan, makeTrainPlan, temporaryFolder } from '../native/fixture.test.helper.js';
import { train } from '../native/trainer.js';
import type { Features, TrainPlan } from '../native/types.js';
import { ParserPool } from './parsers.js';

const test = suite('parsers');
const folder = temporaryFolder();
const rows = 3000;
const capacity = 40;

/** x and c as columns, and once more as the JSON text of a bytes column. */
async function makeData(): Promise<Dataset> {
  const columns = [
    { name: 'x', type: 'f32' as const, shape: [] },
    { name: 'c', type: 'category' as const, shape: [] },
    { name: 'raw', type: 'bytes' as const, shape: [capacity] },
  ];
  const dataset = Dataset.create(join(folder, 'dataset'), { columns, label: 'class', classes: 2 });
  const x = Float32Array.from({ length: rows }, (_, i) => ((i * 7919) % 1024) / 512 - 1);
  const c = Int32Array.from({ length: rows }, (_, i) => i % 7);
  const raw = new Uint8Array(rows * (4 + capacity));
  for (let i = 0; i < rows; i++) {
    const text = new TextEncoder().encode(JSON.stringify({ x: x[i], c: c[i] }));
    new DataView(raw.buffer).setUint32(i * (4 + capacity), text.length, true);
    raw.set(text, i * (4 + capacity) + 4);
  }
  const timestamps = BigInt64Array.from({ length: rows }, (_, i) => BigInt(1000 * i));
  await dataset.append({ timestamps, labels: x.map((v) => (v > 0 ? 1 : 0)), columns: [x, c, raw], state: {} });
  return dataset;
}

const dataset = await makeData();
const shape = { dense: 1, categorical: [8], values: [], ids: 0 };
const fromColumns: Features = {
  dense: [{ op: 'value', column: 0, mean: 0, scale: 1 }],
  categorical: [{ op: 'column', column: 1, other: 0, buckets: 8 }],
  tensor: null,
  tokens: null,
  parse: null,
};
const model: TrainPlan['model'] = { kind: 'dlrm', dense: 1, tables: [8], embedding: 4, bottom: [8, 4], top: [8, 1] };
const json = 'const { x, c } = JSON.parse(new TextDecoder().decode(bytes)); return { dense: [x], categorical: [c] };';

/** A pool whose parser has this body, and a plan that trains on what it gives. */
async function withParser<T>(
  body: string,
  use: (plan: TrainPlan) => Promise<T>,
  { threads = 1, seconds = 20, parsed = shape, config = {} as unknown } = {},
): Promise<T> {
  const file = join(folder, 'parser.ts');
  writeFileSync(
    file,
    `import { defineParser } from 'sluice';
import { z } from 'zod';
export default defineParser({ id: 'mine', summary: 'A test.', config: z.strictObject({ factor: z.number().default(1) }),
  parse(bytes: Uint8Array, sample, { factor }) { ${body} } });\n`,
  );
  await using pool = new ParserPool({ shape: parsed, file, config }, './parser.ts', threads, seconds);
  const features = { ...fromColumns, dense: [], categorical: [], parse: { column: 2, parser: pool.queue.handle } };
  return await use(await makeTrainPlan(folder, dataset, { features, model, epochs: 2 }));
}

test('what a parser gives trains and is evaluated as the same columns are, whatever the number of threads', async () => {
  const plan = await makeTrainPlan(folder, dataset, { features: fromColumns, model, epochs: 2 });
  const wanted = await train(dataset, plan);
  const windows = [{ first: 100, end: 2900 }];
  const evaluation = (features: Features) => evaluate(dataset, { ...makeEvalPlan(plan.output, windows), features, model });
  const wantedMetrics = await evaluation(fromColumns);
  for (const threads of [1, 3]) {
    await withParser(
      json,
      async (own) => {
        assert.is((await train(dataset, { ...own, loader: { threads, memory: 2 ** 30 } })).loss, wanted.loss);
        assert.equal(await evaluation(own.features), wantedMetrics);
      },
      { threads },
    );
  }
});

test('a parser has its config, and knows sample, epoch and whether it is training', async () => {
  const body = `
    const { x, c } = JSON.parse(new TextDecoder().decode(bytes));
    if (sample.timeMs !== 1000 * sample.key || !sample.training || sample.epoch > 1 || sample.seed >>> 0 !== sample.seed) throw new Error('sample');
    if (factor !== 3) throw new Error('config');
    return { dense: Float32Array.of(x), categorical: Int32Array.of(c) };`;
  await withParser(body, (plan) => train(dataset, plan), { config: { factor: 3 } });
});

const failing: Record<string, [string, RegExp]> = {
  'what it throws': [
    "if (sample.key === 77) throw new Error('no JSON'); return { dense: [1], categorical: [1] };",
    /^\[?.*sample 77: \.\/parser\.ts: no JSON$/,
  ],
  'what JSON.parse throws on NUL bytes': [
    "JSON.parse('\\0'); return { dense: [1], categorical: [1] };",
    /\.\/parser\.ts: Unexpected token .*\\0/,
  ],
  'a null as field': ['return { dense: null, categorical: [1] };', /expected 1 numbers in dense, as features\.parse says, got none$/],
  'nothing returned': ['', /sample \d+: \.\/parser\.ts: parse returned a undefined$/],
  'a promise': ['return Promise.resolve({});', /parse returned a promise; it must not be async$/],
  'too few numbers': ['return { dense: [], categorical: [1] };', /expected 1 numbers in dense, as features\.parse says, got 0$/],
  'a missing field': ['return { dense: [1] };', /expected 1 numbers in categorical, as features\.parse says, got none$/],
  'a NaN': ['return { dense: [sample.key === 5 ? NaN : 1], categorical: [1] };', /sample 5: \.\/parser\.ts: dense\[0\] is -?nan$/],
  'an index beyond its table': ['return { dense: [1], categorical: [8] };', /categorical\[0\]: expected 0 to 7, got 8$/],
  'a broken index': [
    'return { dense: [1], categorical: [1.5] };',
    /categorical\[0\]: expected a whole number from 0 to 2147483647, got 1\.5$/,
  ],
  'the end of its thread': ['process.exit(3);', /\.\/parser\.ts: its worker thread ended: exit code 3$/],
};

for (const [name, [body, message]] of Object.entries(failing)) {
  test(`${name} ends the training with E_PARSER`, () =>
    withParser(body, async (plan) => {
      await expectError('E_PARSER', () => train(dataset, plan), message);
    }));
}

test('a parser that hangs is stopped after its time, or at once with the training', async () => {
  await withParser(
    'if (sample.key === 9) for (;;); return { dense: [1], categorical: [1] };',
    async (plan) => {
      await expectError('E_PARSER', () => train(dataset, { ...plan, epochs: endless }), /took longer than 1 s on 128 samples/);
    },
    { seconds: 0.5 },
  );
  await withParser('for (;;);', async (plan) => {
    await expectError('E_ABORTED', () => train(dataset, plan, { signal: AbortSignal.timeout(300) }));
  });
});

test('a module that does not load says why', async () => {
  await withParser('return {', async (plan) => {
    await expectError('E_PARSER', () => train(dataset, plan), /worker thread ended: .*parser\.ts could not be loaded/);
  });
});

test('a closed pool, a column without bytes and a wrong shape are refused', async () => {
  await withParser(json, async (plan) => {
    const parse = { column: 0, parser: plan.features.parse?.parser as never };
    await expectError(
      'E_ARGUMENT',
      () => train(dataset, { ...plan, features: { ...plan.features, parse } }),
      /column 'x' does not hold bytes/,
    );
    await expectError('E_SHAPE', () => train(dataset, { ...plan, model: { ...model, tables: [7] } as never }), /8 buckets/);
  });
  const plan = await withParser(json, async (made) => made);
  await expectError('E_CLOSED', () => train(dataset, plan));
});

test('the process ends with code 0 while a parser works', async () => {
  const own = join(folder, 'exit');
  mkdirSync(own);
  const script = `
    import { Dataset, train } from ${JSON.stringify(new URL('../index.js', import.meta.url).href)};
    import { ParserPool } from ${JSON.stringify(new URL('./parsers.js', import.meta.url).href)};
    const plan = JSON.parse(process.env.PLAN);
    const pool = new ParserPool({ shape: ${JSON.stringify(shape)}, file: ${JSON.stringify(join(own, 'p.ts'))}, config: {} }, './p.ts', 2, 60);
    plan.features.parse.parser = pool.queue.handle;
    let steps = 0;
    train(Dataset.open(${JSON.stringify(join(folder, 'dataset'))}, { readOnly: true }), plan, { onProgress: () => { if (++steps === 2) process.exit(0); } });
    process.stdin.once('data', () => process.exit(0));`;
  // It goes in the middle of a training, or is told to by the test once a parser has said that it hangs.
  for (const body of [json, "writeSync(1, 'hanging'); for (;;);"]) {
    writeFileSync(
      join(own, 'p.ts'),
      `import { writeSync } from 'node:fs';\nimport { defineParser } from 'sluice';\nimport { z } from 'zod';\nexport default defineParser({ id: 'p', summary: 'P.', config: z.strictObject({}), parse(bytes) { ${body} } });\n`,
    );
    const plan = await withParser(json, async (made) => ({
      ...made,
      epochs: endless,
      features: { ...made.features, parse: { column: 2, parser: null } },
    }));
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      env: { ...process.env, PLAN: JSON.stringify(plan) },
    });
    child.stdout.once('data', () => child.stdin.write('exit'));
    let output = '';
    child.stderr.on('data', (data) => {
      output += data;
    });
    const code = await new Promise((resolve) => child.once('close', resolve));
    assert.equal({ code, output }, { code: 0, output: '' });
  }
});

test.after(() => dataset.close());

test.run();
