// `npm run test:fuzz`: builds the fuzz targets of the native readers (native/fuzz) with AddressSanitizer and UndefinedBehaviorSanitizer
// and runs each for a bounded time, beginning with its corpus. Ends with the line "N passed, N failed".
//   node scripts/fuzz.mjs [--seconds 20] [--target a,b] [--torch]
// With clang the targets are libFuzzer's and keep what they find in .cache/fuzz/corpus, from which the next run goes on; with g++ a small
// driver of ours mutates the corpus, the same way each time. --torch adds the target that needs LibTorch (minutes to build).
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { findTorch, needJsonHeader } from './lib/dependencies.mjs';
import { BuildError, cacheFolder, capture, main, root, runQuiet, say } from './lib/run.mjs';

const CLANGS = ['clang++', ...[20, 19, 18, 17, 16, 15, 14].map((version) => `clang++-${version}`)];
const KEEPING = 30; // seconds: shorter runs are the same each time and keep nothing
const MEMORY = 2500; // MiB

/** Whether a program with these options can be built and run. */
function works(compiler, options, source) {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-fuzz-'));
  try {
    writeFileSync(join(folder, 'probe.cpp'), source);
    const program = join(folder, 'probe');
    return capture(compiler, [...options, join(folder, 'probe.cpp'), '-o', program]).ok && capture(program, ['-runs=1']).ok;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** { compiler, libFuzzer }, or null where there are no sanitizers. */
function findCompiler() {
  const target = '#include <cstdint>\n#include <cstddef>\nextern "C" int LLVMFuzzerTestOneInput(const uint8_t*, size_t) { return 0; }\n';
  for (const compiler of CLANGS) {
    if (works(compiler, ['-fsanitize=fuzzer,address,undefined'], target)) return { compiler, libFuzzer: true };
  }
  return works('g++', ['-fsanitize=address,undefined'], 'int main() { return 0; }\n') ? { compiler: 'g++', libFuzzer: false } : null;
}

function build({ compiler }, torch, chosen) {
  needJsonHeader();
  const folder = join(root, 'build', `fuzz-${compiler}`);
  const options = [
    `-DSLUICE_FUZZ=${torch ? 'ALL' : 'ON'}`,
    '-DCMAKE_BUILD_TYPE=Release',
    `-DCMAKE_CXX_COMPILER=${compiler}`,
    `-DCMAKE_C_COMPILER=${compiler.replace('clang++', 'clang').replace('g++', 'gcc')}`,
  ];
  if (torch) options.push(`-DSLUICE_TORCH_ROOT=${findTorch()}`);
  const generator = existsSync(join(folder, 'CMakeCache.txt')) || !capture('sh', ['-c', 'command -v ninja']).ok ? [] : ['-G', 'Ninja'];
  const advice = 'The fuzz targets could not be built; the first error stands above.';
  runQuiet('cmake', ['-S', join(root, 'native'), '-B', folder, ...generator, ...options], advice);
  const targets = chosen.map((target) => `fuzz_${target}`);
  runQuiet('cmake', ['--build', folder, '--parallel', String(availableParallelism()), '--target', ...targets], advice);
  return folder;
}

/** Runs one target; { ok, output }. */
function fuzz(folder, { libFuzzer }, target, seconds, temporary) {
  const corpus = join(root, 'native/fuzz/corpus', target);
  const crashes = join(cacheFolder, 'fuzz', 'crashes');
  mkdirSync(crashes, { recursive: true });
  const args = [`-max_total_time=${seconds}`, '-seed=1', '-max_len=8192', `-artifact_prefix=${crashes}/${target}-`];
  if (libFuzzer) args.push('-timeout=30', `-rss_limit_mb=${MEMORY}`, '-print_final_stats=1', '-verbosity=0');
  if (libFuzzer && seconds >= KEEPING) {
    const found = join(cacheFolder, 'fuzz', 'corpus', target);
    mkdirSync(found, { recursive: true });
    args.push(found); // new inputs go to the first folder
  } else if (libFuzzer) {
    mkdirSync(join(temporary, target));
    args.push(join(temporary, target));
  }
  if (existsSync(corpus)) args.push(corpus);
  const env = {
    ...process.env,
    ASAN_OPTIONS: `detect_leaks=0:allocator_may_return_null=0:detect_container_overflow=0:max_allocation_size_mb=${MEMORY}`,
    UBSAN_OPTIONS: 'print_stacktrace=1',
  };
  return new Promise((resolve) => {
    const child = spawn(join(folder, `fuzz_${target}`), args, { cwd: crashes, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output = (output + data).slice(-100_000)));
    const limit = setTimeout(() => child.kill('SIGKILL'), (seconds + 120) * 1000);
    child.on('error', (error) => resolve({ ok: false, output: error.message }));
    child.on('close', (code) => {
      clearTimeout(limit);
      resolve({ ok: code === 0, output: code === null ? `${output}\nit did not end in time` : output });
    });
  });
}

/** Options that cannot be understood end here, with what there is. */
function options() {
  try {
    const { values } = parseArgs({
      options: { seconds: { type: 'string', default: '20' }, target: { type: 'string' }, torch: { type: 'boolean', default: false } },
    });
    const all = readdirSync(join(root, 'native/fuzz'))
      .filter((name) => name.endsWith('.cpp') && name !== 'driver.cpp')
      .map((name) => name.slice(0, -4));
    const chosen = values.target ? values.target.split(',') : all.filter((name) => name !== 'script' || values.torch);
    const unknown = chosen.find((name) => !all.includes(name));
    if (unknown !== undefined) throw new Error(`there is no target '${unknown}'; there are ${all.join(', ')}`);
    const seconds = Number(values.seconds);
    if (!(seconds >= 1)) throw new Error(`--seconds: expected a number of at least 1, got '${values.seconds}'`);
    return { seconds, chosen, torch: chosen.includes('script') };
  } catch (error) {
    throw new BuildError(error.message);
  }
}

main(async () => {
  const { seconds, chosen, torch } = options();
  const tools = findCompiler();
  if (tools === null) {
    say(
      'neither clang nor g++ has AddressSanitizer here (on Debian: apt install clang, or libasan of your g++): the fuzz targets are left out',
    );
    console.log('\n0 passed, 0 failed');
    return;
  }
  say(`building ${chosen.length} fuzz targets with ${tools.compiler}${tools.libFuzzer ? ' and libFuzzer' : ''} …`);
  const folder = build(tools, torch, chosen);
  const temporary = mkdtempSync(join(tmpdir(), 'sluice-fuzz-'));
  process.once('exit', () => rmSync(temporary, { recursive: true, force: true }));
  const waiting = [...chosen];
  let failed = 0;
  const work = async () => {
    for (let target = waiting.shift(); target !== undefined; target = waiting.shift()) {
      const { ok, output } = await fuzz(folder, tools, target, seconds, temporary);
      const [, runs] = output.match(/Done (\d+) runs/) ?? output.match(/number_of_executed_units:\s*(\d+)/) ?? [];
      console.log(`${ok ? 'ok  ' : 'FAIL'} ${target}: ${runs ?? '?'} inputs`);
      if (ok) continue;
      failed++;
      console.log(output.split('\n').slice(-60).join('\n'));
    }
  };
  await Promise.all(Array.from({ length: Math.min(chosen.length, availableParallelism()) }, work));
  console.log(`\n${chosen.length - failed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
});
