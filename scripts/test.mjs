// `npm test`: everything that must hold, in one command; ends with the line "N passed, N failed".
//   C++ tests (ctest), TypeScript tests (uvu), the layering check, the crash harness in its short form, the lint check.
import { existsSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { buildFolder, root } from './lib/run.mjs';

let passed = 0;
let failed = 0;

/** Runs a command with its output shown and returned. */
function show(title, command, args) {
  console.log(`\n— ${title}`);
  const result = spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28, env: { ...process.env, FORCE_COLOR: '0' } });
  const output = `${result.stdout ?? ''}${result.stderr ?? ''}`;
  process.stdout.write(output);
  if (result.error) console.log(result.error.message);
  return { ok: result.status === 0, output };
}

/** Adds counts found in a runner's closing lines; a runner that failed without counting counts as one failure. */
function count(ok, good, bad) {
  passed += good;
  failed += bad === 0 && !ok ? 1 : bad;
}

const number = (output, pattern) => [...output.matchAll(pattern)].reduce((sum, match) => sum + Number(match[1]), 0);

const setup = show('set-up and build', process.execPath, ['scripts/setup.mjs', '--tests']);
if (!setup.ok) {
  console.log('\n0 passed, 1 failed');
  process.exit(1);
}

const native = show('C++ tests', 'ctest', ['--test-dir', buildFolder, '--output-on-failure', '--no-tests=error', '--timeout', '300']);
const nativeFailed = number(native.output, /, (\d+) tests? failed out of/g);
count(native.ok, number(native.output, /tests? failed out of (\d+)/g) - nativeFailed, nativeFailed);

const fuzz = show('fuzz targets', process.execPath, ['scripts/fuzz.mjs', '--seconds', '2']);
const fuzzFailed = number(fuzz.output, /passed, (\d+) failed/g);
count(fuzz.ok, number(fuzz.output, /(\d+) passed, \d+ failed/g), fuzzFailed);

const ts = show('TypeScript tests', process.execPath, [
  '--expose-gc',
  'node_modules/uvu/bin.js',
  'dist',
  '\\.test\\.js$',
  '--ignore',
  'fixtures',
]);
const tsTotal = number(ts.output, /Total:\s+(\d+)/g);
const tsPassed = number(ts.output, /Passed:\s+(\d+)/g);
count(ts.ok, tsPassed, tsTotal - tsPassed);

for (const [title, script, ...args] of [
  ['layers', 'scripts/check-layers.mjs'],
  ['kills, power cuts, faults', 'scripts/crash.mjs', '--quick'],
]) {
  if (!existsSync(join(root, script))) continue;
  const check = show(title, process.execPath, [script, ...args]);
  count(check.ok, check.ok ? 1 : 0, 0);
}
const lint = show('lint', process.execPath, [
  'node_modules/@biomejs/biome/bin/biome',
  'lint',
  '--diagnostic-level=error',
  'ts',
  'scripts',
  'examples',
]);
count(lint.ok, lint.ok ? 1 : 0, 0);

console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
