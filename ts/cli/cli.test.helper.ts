// The command in a process of its own, for tests.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const main = fileURLToPath(new URL('main.js', import.meta.url));

export function sluiceWith(variables: Record<string, string>, folder: string, ...args: string[]) {
  const env = { ...process.env, NO_COLOR: '1', ...variables };
  const result = spawnSync(process.execPath, [main, ...args], { cwd: folder, encoding: 'utf8', env });
  return { code: result.status, out: result.stdout, err: result.stderr };
}

export const sluice = (folder: string, ...args: string[]) => sluiceWith({}, folder, ...args);
