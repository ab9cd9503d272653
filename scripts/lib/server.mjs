// `sluice serve` as a process of its own, for what kills or measures it.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { root } from './run.mjs';

export const cli = join(root, 'dist/cli/main.js');

/**
 * Starts the server of the pipeline p.yaml in `folder`. `url` resolves with its address once it takes samples, or with undefined when it ended
 * before; `exit` with { code, signal, errors }, which holds what it said on stderr.
 */
export function startServer(folder, { onEvent = () => {}, env = process.env, args = [] } = {}) {
  const child = spawn(process.execPath, [cli, 'serve', 'p.yaml', '--json', ...args], {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let errors = '';
  child.stderr.on('data', (text) => {
    errors += text;
  });
  const exit = new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal, errors })));
  const url = new Promise((resolve) => {
    let address;
    createInterface({ input: child.stdout }).on('line', (line) => {
      const event = JSON.parse(line);
      if (event.type === 'listening') address = event.url;
      if (event.type === 'serving') resolve(address);
      onEvent(event);
    });
    exit.then(() => resolve(undefined));
  });
  return { child, exit, url };
}

/** The values of /metrics by name. */
export async function metricsOf(url) {
  const text = await (await fetch(`${url}/metrics`)).text();
  return (name) => Number(new RegExp(`^${name}\\{[^}]*\\} (\\S+)`, 'm').exec(text)?.[1]);
}
