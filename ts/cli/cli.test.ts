// The command as a person or a script calls it: a child process, its exit code, its output.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { changed, inWorkplace } from '../pipeline/fixture.test.helper.js';
import { main, sluice, sluiceWith } from './cli.test.helper.js';

const test = suite('cli');

/** Starts a run with --json and sends `signal` when an event of the type and trigger appears; resolves with the exit. */
function interrupted(
  folder: string,
  type: string,
  trigger: number,
  signal: NodeJS.Signals,
): Promise<{ code: number | null; signal: NodeJS.Signals | null; err: string }> {
  const child = spawn(process.execPath, [main, 'run', 'p.yaml', '--json'], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  let err = '';
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk;
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    const event = JSON.parse(line);
    const id = event.triggerId ?? event.trigger?.id ?? event.training?.triggerId ?? 0;
    if (event.type === type && id === trigger) child.kill(signal);
  });
  return new Promise((resolve) => child.on('close', (code, ended) => resolve({ code, signal: ended, err })));
}

const models = (folder: string) =>
  Array.from({ length: 5 }, (_, i) => readFileSync(join(folder, `sluice-data/models/tiny/${i}.safetensors`)).toString('base64'));

test('the instruction set is capped by a variable; another value of it ends in an error', () =>
  inWorkplace(async ({ folder, write }) => {
    write('p.yaml', changed({}));
    const wrong = sluiceWith({ SLUICE_INSTRUCTIONS: 'sse' }, folder, 'run', 'p.yaml');
    assert.is(wrong.code, 1);
    assert.match(wrong.err, /E_ARGUMENT: SLUICE_INSTRUCTIONS: expected base, avx2, avx512 or avx512bf16, got 'sse'/);
    assert.is(sluiceWith({ SLUICE_INSTRUCTIONS: 'base' }, folder, 'run', 'p.yaml').code, 0);
  }));

test('init, validate, run, report, ls, show: text and JSON', () =>
  inWorkplace(async ({ folder, write }) => {
    write('p.yaml', changed({}));
    assert.is(sluice(folder, 'init', 'new.yaml').code, 0);
    assert.is(sluice(folder, 'validate', 'new.yaml').code, 0);
    const again = sluice(folder, 'init', 'new.yaml');
    assert.is(again.code, 1);
    assert.match(again.err, 'E_EXISTS');
    assert.is(sluice(folder, 'ls', 'datasets').out, 'no datasets\n');
    assert.match(sluice(folder, 'ingest', 'p.yaml').out, '4,000 samples appended');
    assert.match(sluice(folder, 'ls', 'datasets').out, /4,000 samples, \d{4}-.*, label 2 classes\n {2}\w+ +(f32|i32|category)\n/);
    const [stored] = JSON.parse(sluice(folder, 'ls', 'datasets', '--json').out);
    assert.is(stored.size, 4000);
    assert.match(sluice(folder, 'ls', 'datasets', 'none').err, `it has ${stored.id}`);
    mkdirSync(join(folder, 'sluice-data/datasets/half'));
    assert.match(sluice(folder, 'ls', 'datasets').out, /half +E_NOT_FOUND: .* holds no dataset\ntiny +4,000 samples/);
    assert.match(sluice(folder, 'ls', 'datasets', 'half').err, 'E_NOT_FOUND');
    const run = sluice(folder, 'run', 'p.yaml');
    assert.is(run.code, 0);
    assert.match(run.out, 'AUC by model');
    assert.match(run.err, 'trigger 4 at sample 3,359');
    const json = sluice(folder, 'run', 'p.yaml', '--json')
      .out.trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.is(json.at(-1).result.triggers.length, 5);
    const report = sluice(folder, 'report', 'tiny', '--out', 'pictures');
    assert.is(report.code, 0);
    for (const file of ['report.html', 'matrix.svg', 'timeline.svg', 'freshness.svg', 'result.json'])
      assert.ok(existsSync(join(folder, 'pictures', file)), file);
    assert.match(sluice(folder, 'ls').out, /tiny +complete +5 triggers/);
    assert.is(JSON.parse(sluice(folder, 'ls', 'models', 'tiny', '--json').out).length, 5);
    assert.match(sluice(folder, 'show', 'tiny/4').out, 'parent    tiny/3');
    assert.match(sluice(folder, 'show', 'tiny').out, 'batchSize: 16');
    assert.match(sluice(folder, 'policies').out, 'freshness');
    assert.is(JSON.parse(sluice(folder, 'schema').out).title, 'Sluice pipeline');
  }));

const wrong: [args: string[], code: number, message: RegExp][] = [
  [['frob'], 2, /E_USAGE: unknown command 'frob'/],
  [['run'], 2, /E_USAGE: .*FILE/],
  [['ls', '--dta', 'x'], 2, /unknown option --dta/],
  [['ls', 'cats'], 1, /E_NOT_FOUND|E_USAGE/],
  [['run', 'none.yaml'], 1, /E_NOT_FOUND/],
  [['validate', 'bad.yaml'], 2, /bad\.yaml:1:\d+ {2}pipeline\.sed: unknown field; did you mean "seed"/],
  [['validate', 'unfit.yaml'], 2, /E_CONFIG: model cnn .* at least 16 x 16, found 8 x 16/],
  [['ls'], 1, /sluice-data is not a data folder/],
  [['report', 'tiny'], 1, /E_NOT_FOUND/],
  [['show', '../x'], 1, /E_NOT_FOUND/],
  [['run', 'p.yaml', '--data', 'd.csv/x'], 1, /E_IO|E_NOT_FOUND/],
];
for (const [args, code, message] of wrong) {
  test(`sluice ${args.join(' ')} ends with code ${code}`, () =>
    inWorkplace(async ({ folder, write }) => {
      write('p.yaml', changed({}));
      write('bad.yaml', changed({ 'seed: 1': 'sed: 1' }));
      const unfit = {
        'x: f32, c: category': 'x: { image: [8, 16, 3] }',
        'dense: [{ column: x }], categorical: [{ column: c, buckets: 8 }]': 'image: { column: x }',
        'model: { id: dlrm, embedding: 4, bottom: [8], top: [8] }': 'model: { id: cnn }',
      };
      write('unfit.yaml', changed(unfit));
      const result = sluice(folder, ...args);
      assert.match(result.err, message);
      assert.is(result.code, code);
      assert.not.match(result.err, /\n {4}at /); // no stack trace
      assert.not.ok(existsSync(join(folder, 'sluice-data')));
    }));
}

test('--help is success, everywhere', () => {
  for (const args of [['--help'], ['run', '--help'], ['--version'], []]) assert.is(sluice('.', ...args).code, 0, args.join(' '));
});

test('killed or interrupted at any step, the same command goes on to the same models', () =>
  inWorkplace(async (place) => {
    place.write('p.yaml', changed({}));
    assert.is(sluice(place.folder, 'run', 'p.yaml').code, 0);
    const expected = models(place.folder);
    const moments: [string, number, NodeJS.Signals][] = [
      ['ingest', 0, 'SIGKILL'],
      ['start', 0, 'SIGKILL'],
      ['trigger', 1, 'SIGKILL'],
      ['trained', 2, 'SIGKILL'],
      ['evaluated', 3, 'SIGKILL'],
      ['trained', 1, 'SIGINT'],
    ];
    for (const [type, trigger, signal] of moments) {
      const folder = join(place.folder, `${type}-${trigger}-${signal}`);
      mkdirSync(folder);
      for (const name of ['p.yaml', 'd.csv']) writeFileSync(join(folder, name), readFileSync(join(place.folder, name)));
      const ended = await interrupted(folder, type, trigger, signal);
      if (signal === 'SIGINT') {
        assert.is(ended.code, 130);
        assert.match(ended.err, 'E_ABORTED');
      } else assert.is(ended.signal, 'SIGKILL');
      assert.is(sluice(folder, 'run', 'p.yaml').code, 0);
      assert.equal(models(folder), expected, `${signal} at ${type} ${trigger}`);
    }
  }));

test('a full disk is told, and with space again the run completes', () =>
  inWorkplace(async (place) => {
    place.write('p.yaml', changed({}));
    for (const blocks of [40, 100]) {
      const limited = spawnSync('bash', ['-c', `ulimit -f ${blocks}; trap '' XFSZ; exec "$0" "$1" run p.yaml`, process.execPath, main], {
        cwd: place.folder,
        encoding: 'utf8',
      });
      assert.is(limited.status, 1, limited.stderr);
      assert.match(limited.stderr, 'E_NO_SPACE');
    }
    assert.is(sluice(place.folder, 'run', 'p.yaml').code, 0);
  }));

test.run();
