// What the native build needs besides npm: LibTorch, a JSON header, GoogleTest. Each is taken from where the user has
// it, or fetched with pip into .cache/, pinned.
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError, cacheFolder, capture, say } from './run.mjs';

const TORCH = '2.13.0';
const JSON_HEADER = 'nlohmann-json==3.12.0';
const GTEST = 'ros-gtest-vendor==1.15.1';
// Its wheels differ only in an empty extension module; the sources in them serve every Python and platform.
const GTEST_WHEEL = [
  '--only-binary=:all:',
  '--python-version',
  '3.11',
  '--implementation',
  'cp',
  '--abi',
  'cp311',
  '--platform',
  'manylinux_2_28_x86_64',
];

/** The Python that is asked for torch and pip. */
export function python() {
  return process.env.SLUICE_PYTHON || 'python3';
}

const isTorch = (folder) => existsSync(join(folder, 'include/ATen/ATen.h')) && existsSync(join(folder, 'lib/libtorch_cpu.so'));

/** Folder with include/ and lib/ of LibTorch: LIBTORCH, python's torch package, or the private copy (fetched when missing). */
export function findTorch() {
  if (process.env.LIBTORCH) {
    if (isTorch(process.env.LIBTORCH)) return process.env.LIBTORCH;
    throw new BuildError(`LIBTORCH is ${process.env.LIBTORCH}, which holds no LibTorch (include/ATen/ATen.h, lib/libtorch_cpu.so).`);
  }
  const script = "import importlib.util as u\ns = u.find_spec('torch')\nprint(s.submodule_search_locations[0] if s else '')";
  const installed = capture(python(), ['-c', script]).stdout.trim();
  if (installed && isTorch(installed)) return installed;
  const copy = join(cacheFolder, 'libtorch', 'torch');
  if (isTorch(copy)) return copy;
  return fetchTorch();
}

function hasNvidia() {
  return capture('nvidia-smi', ['-L']).ok;
}

function fetchTorch() {
  const wanted = hasNvidia() ? [`torch==${TORCH}`] : [`torch==${TORCH}+cpu`, `torch==${TORCH}`];
  const failures = [];
  for (const requirement of wanted) {
    say(`fetching LibTorch (${requirement}) into .cache/libtorch, once …`);
    const failure = pipTarget(requirement, 'libtorch');
    if (failure === null) return join(cacheFolder, 'libtorch', 'torch');
    failures.push(`${requirement}: ${failure}`);
  }
  throw new BuildError(
    `LibTorch was not found and could not be fetched.\n  ${failures.join('\n  ')}\nDo one of:\n` +
      '  1. set LIBTORCH to the folder of an unpacked LibTorch 2.11 to 2.14,\n' +
      '  2. install torch for python3, or set SLUICE_PYTHON to a Python that has it,\n' +
      '  3. make pip work (Python 3.11 or newer, network or a local index) and run this again.',
  );
}

/** pip-installs one requirement into .cache/<name> as a whole or not at all; returns null or the reason of the failure. */
function pipTarget(requirement, name, choice = []) {
  const target = join(cacheFolder, name);
  const partial = `${target}.partial`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(cacheFolder, { recursive: true });
  const flags = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps', '--no-compile', '--target', partial];
  const result = capture(python(), [...flags, ...choice, requirement], { env: { ...process.env, PIP_ROOT_USER_ACTION: 'ignore' } });
  if (!result.ok) {
    rmSync(partial, { recursive: true, force: true });
    const errors = result.output.split('\n').filter((line) => /error|not found|No module|denied|No space/i.test(line));
    return errors.at(-1)?.trim() || result.output.trim().split('\n').at(-1) || `${python()} could not be run`;
  }
  rmSync(target, { recursive: true, force: true });
  renameSync(partial, target);
  return null;
}

function needPackage(requirement, name, debian, choice = []) {
  if (existsSync(join(cacheFolder, name))) return;
  const failure = pipTarget(requirement, name, choice);
  if (failure !== null)
    throw new BuildError(`${requirement} could not be fetched: ${failure}\nMake pip work, or install Debian's ${debian}.`);
}

/** nlohmann/json, unless the system has it. */
export function needJsonHeader() {
  if (!existsSync('/usr/include/nlohmann/json.hpp')) needPackage(JSON_HEADER, 'json', 'nlohmann-json3-dev');
}

/** GoogleTest's sources, unless the system has it. */
export function needGoogleTest() {
  if (!existsSync('/usr/include/gtest/gtest.h')) needPackage(GTEST, 'gtest', 'libgtest-dev', GTEST_WHEEL);
}
