import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { errorCodes, SluiceError } from '../errors.js';
import { packageRoot, packageVersion } from '../package.js';
import { type Candidate, loadAddon, loadFirst } from './addon.js';
import { buildInfo, computeThreads, setComputeThreads } from './threads.js';

const root = packageRoot();

function failing(name: string, message: string, code?: string): Candidate {
  return {
    name,
    load: () => {
      throw Object.assign(new Error(message), { code });
    },
  };
}

function loadError(places: Candidate[]): SluiceError {
  try {
    loadFirst(places, '1.2.3');
  } catch (error) {
    assert.instance(error, SluiceError);
    return error as SluiceError;
  }
  throw new Error('expected loadFirst to throw');
}

test('a failed load lists every cause and says what to do', () => {
  const error = loadError([
    failing('@sluice/linux-x64', 'Cannot find module', 'MODULE_NOT_FOUND'),
    failing('build/x.node', 'invalid ELF header'),
  ]);
  assert.is(error.code, 'E_ADDON');
  assert.match(error.message, '@sluice/linux-x64: not installed');
  assert.match(error.message, 'build/x.node: invalid ELF header');
  assert.match(error.hint ?? '', 'npm run build');
  assert.is((error.cause as AggregateError).errors.length, 2);
});

test('a missing libtorch is recognised, with the three ways to provide one', () => {
  const error = loadError([failing('build/x.node', 'libtorch_cpu.so: cannot open shared object file: No such file or directory')]);
  for (const way of ['LIBTORCH', 'SLUICE_PYTHON', 'npm install', 'npm run build']) assert.match(error.hint ?? '', way);
});

test('an addon built from another version is not used', () => {
  const old = { build_info: () => ({ version: '1.0.0' }) };
  const current = { build_info: () => ({ version: '1.2.3' }) };
  assert.match(loadError([{ name: 'old', load: () => old }]).message, 'old: built from version 1.0.0, but this is version 1.2.3');
  const places = [
    { name: 'old', load: () => old },
    { name: 'current', load: () => current },
  ];
  assert.is(loadFirst(places, '1.2.3'), current);
});

test('the addon says what it was built with', () => {
  const info = buildInfo();
  assert.is(info.version, packageVersion());
  assert.match(info.torch, /^2\.\d+\.\d+$/);
  assert.match(info.lmdb, /^0\.9\.\d+$/);
  assert.type(info.cuda, 'boolean');
});

test('compute threads can be set and read', () => {
  const before = computeThreads();
  setComputeThreads(1);
  assert.is(computeThreads(), 1);
  setComputeThreads(0);
  assert.ok(computeThreads() >= 1);
  setComputeThreads(before);
});

test('every code that the core throws is in the table of errors', () => {
  const header = readFileSync(path.join(root, 'native/src/base/error.h'), 'utf8');
  const codes = [...header.matchAll(/"(E_[A-Z_]+)"/g)].map((match) => match[1] ?? '');
  assert.ok(codes.length >= 17);
  for (const code of codes) assert.ok(Object.hasOwn(errorCodes, code), `${code} is missing in ts/errors.ts`);
});

/** Signatures as `name(…): …;`, each on one line however it was formatted. */
function signatures(text: string, pattern: RegExp): string[] {
  const oneLine = (signature: string) => signature.replace(/\s+/g, ' ').replace('( ', '(').replace(', )', ')');
  return [...text.matchAll(pattern)].map((match) => oneLine(match[1] ?? '')).sort();
}

test('the signatures over the binding functions are those of raw.ts, and all are exported', () => {
  const contract = readFileSync(path.join(root, 'ts/native/raw.ts'), 'utf8');
  const body = contract.slice(contract.indexOf('export interface Addon'));
  const folder = path.join(root, 'bindings');
  const sources = readdirSync(folder).filter((file) => file.endsWith('.cpp'));
  const bindings = sources.map((file) => readFileSync(path.join(folder, file), 'utf8')).join('\n');
  const declared = signatures(body, /^ {2}(\w+\([\s\S]*?;)$/gm);
  assert.equal(signatures(bindings, /^\/\/ TS: {2}(.*)$/gm), declared);
  const names = declared.map((signature) => signature.slice(0, signature.indexOf('(')));
  assert.equal(Object.keys(loadAddon()).sort(), names.sort());
});

test.run();
