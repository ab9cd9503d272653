// Builds what is out of date: the addon (cmake-js) and the TypeScript. Runs at `npm install` and before every command
// of this repository; does nothing, quickly, when nothing changed.
//   node scripts/build.mjs [--tests] [--bench]
import { existsSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { findTorch, needGoogleTest, needJsonHeader } from './lib/dependencies.mjs';
import { BuildError, buildFolder, capture, fingerprint, main, root, run, runQuiet, say, unlessStamped } from './lib/run.mjs';

const has = (program) => capture('sh', ['-c', `command -v ${program}`]).ok;

function checkTools() {
  const missing = ['cmake', 'g++'].filter((program) => !has(program));
  if (missing.length > 0) throw new BuildError(`${missing.join(' and ')} not found. On Debian: apt install g++ cmake`);
  if (!has('ninja') && !has('make')) throw new BuildError('neither ninja nor make found. On Debian: apt install ninja-build');
}

/** Configures and builds the given CMake targets in build/ through cmake-js. */
function buildNative({ tests, bench }) {
  const torch = findTorch();
  needJsonHeader();
  if (tests) needGoogleTest();
  const inputs = [
    'native/CMakeLists.txt',
    'native/cmake',
    'native/src',
    'native/data.cmake',
    'native/train.cmake',
    'native/addon.cmake',
    'bindings',
    'package-lock.json',
  ];
  if (tests) inputs.push('native/tests');
  if (bench) inputs.push('native/bench');
  const variant = tests ? 'native-tests' : bench ? 'native-bench' : 'native';
  const value = fingerprint(inputs, [torch, process.versions.modules, process.arch]);
  return unlessStamped(variant, value, ['build/Release/sluice.node'], () => {
    checkTools();
    say(`building the native ${tests ? 'core with its tests' : 'addon'} against LibTorch in ${torch} (some minutes the first time) …`);
    const cmakeJs = ['node_modules/cmake-js/bin/cmake-js', 'configure', '--directory', 'native', '--out', buildFolder, '--silent'];
    const defines = [
      `--CDSLUICE_TORCH_ROOT=${torch}`,
      ...(tests ? ['--CDSLUICE_TESTS=ON'] : []),
      ...(bench ? ['--CDSLUICE_BENCH=ON'] : []),
    ];
    const generator = existsSync(join(buildFolder, 'CMakeCache.txt')) ? [] : has('ninja') ? ['-G', 'Ninja'] : ['-G', 'Unix Makefiles'];
    const advice = 'The native build failed; its first error stands above. The whole log: cmake --build build --verbose';
    runQuiet(process.execPath, [...cmakeJs, ...generator, ...defines], advice, { env: { ...process.env, LIBTORCH: torch } });
    runQuiet('cmake', ['--build', buildFolder, '--parallel', String(availableParallelism())], advice);
  });
}

/** Compiles ts/ to dist/ where the compiler is installed; a package from the registry brings dist/ along. */
function buildTypeScript() {
  const compiler = 'node_modules/typescript/bin/tsc';
  if (!existsSync(join(root, compiler))) {
    if (!existsSync(join(root, 'dist/index.js')))
      throw new BuildError('dist/ is missing and so is the TypeScript compiler; run npm install with development dependencies.');
    return false;
  }
  return unlessStamped('typescript', fingerprint(['ts', 'tsconfig.json', 'package-lock.json']), ['dist/index.js'], () => {
    rmSync(join(root, 'dist'), { recursive: true, force: true }); // what was renamed or removed must not stay
    run(process.execPath, [compiler, '-p', 'tsconfig.json'], 'TypeScript found errors; they stand above.');
  });
}

main(() => {
  const built = buildNative({ tests: process.argv.includes('--tests'), bench: process.argv.includes('--bench') });
  const compiled = buildTypeScript();
  if (built || compiled) say('build is up to date');
});
