// Small helpers of the build scripts. No dependency: they run before node_modules is complete.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const cacheFolder = join(root, '.cache');
export const buildFolder = join(root, 'build');

/** A failure that the user can do something about: printed without a stack. */
export class BuildError extends Error {}

/** Prints `sluice: text`, the one form in which the scripts speak. */
export function say(text) {
  console.log(`sluice: ${text}`);
}

/** Runs a command with its output kept; returns { ok, output }. */
export function capture(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28, ...options });
  const output = `${result.stdout ?? ''}${result.stderr ?? ''}${result.error ? result.error.message : ''}`;
  return { ok: result.status === 0, output, stdout: result.stdout ?? '' };
}

/** Runs a command with its output shown; throws BuildError with `advice` when it fails. */
export function run(command, args, advice, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (result.status !== 0) throw new BuildError(advice);
}

/** Runs a quiet command and shows its output only when it fails. */
export function runQuiet(command, args, advice, options = {}) {
  const result = capture(command, args, options);
  if (!result.ok) throw new BuildError(`${lastLines(result.output)}\n${advice}`);
  return result.output;
}

/** The lines that name the first error of a tool's output, else its end. */
export function lastLines(output, count = 25) {
  const lines = output.trimEnd().split('\n');
  const first = lines.findIndex((line) => /\berror\b|CMake Error|FAILED/i.test(line));
  return (first < 0 ? lines.slice(-count) : lines.slice(first, first + count)).join('\n');
}

/** SHA-256 over names, sizes and contents of all files below the given paths (relative to the root), and extra strings. */
export function fingerprint(paths, extra = []) {
  const hash = createHash('sha256');
  const visit = (path) => {
    const full = join(root, path);
    if (!existsSync(full)) return;
    if (statSync(full).isDirectory()) {
      for (const name of readdirSync(full).sort()) visit(join(path, name));
    } else {
      hash.update(path).update('\0').update(readFileSync(full)).update('\0');
    }
  };
  for (const path of paths) visit(path);
  for (const text of extra) hash.update(String(text)).update('\0');
  return hash.digest('hex');
}

/** Does `work` unless the stamp `name` already holds `value` and every path of `outputs` exists. */
export function unlessStamped(name, value, outputs, work) {
  const stamp = join(buildFolder, `${name}.stamp`);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === value && outputs.every((path) => existsSync(join(root, path)))) return false;
  work();
  mkdirSync(buildFolder, { recursive: true });
  writeFileSync(stamp, value);
  return true;
}

/** Wraps a script's main function: a BuildError ends it with one clear message and exit code 1. */
export function main(work) {
  Promise.resolve()
    .then(work)
    .catch((error) => {
      console.error(error instanceof BuildError ? `\nsluice: ${error.message}` : error);
      process.exitCode = 1;
    });
}
