// Two processes on one folder: the second is refused with E_LOCKED, the first goes on; and what a killed one left is in nobody's way.
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cli } from '../lib/server.mjs';
import { check, Production } from './production.mjs';

const refused = [
  ['serve', 'p.yaml'],
  ['serve', 'p.yaml', '--restart'],
  ['fsck', 'crash', '--repair'],
  ['ingest', 'other.yaml'],
  ['run', 'other.yaml'],
];
/** What only reads, or is done by the first. */
const allowed = [
  ['ls'],
  ['ls', 'triggers', 'crash'],
  ['ls', 'datasets', '--stats'],
  ['show', 'crash'],
  ['fsck', 'crash'],
  ['delete', 'crash', '--keys', '0'],
  ['compact', 'crash'], // by the process that serves
  ['models', 'affected', '--dataset', 'crash', '--key', '0'],
];

export async function twoProcesses(base) {
  mkdirSync(base, { recursive: true });
  const production = new Production(base);
  writeFileSync(`${base}/d.csv`, 't,x,c,y\n1700000000000,0.5,c1,1\n');
  // Another pipeline on the dataset that the first one writes to.
  const csv = readFileSync(`${base}/p.yaml`, 'utf8')
    .replace('id: crash, seed', 'id: other, seed')
    .replace('{ format: push }', '{ format: csv, path: d.csv }');
  writeFileSync(`${base}/other.yaml`, csv.replace(/serve: .*\n/, ''));
  const first = production.start();
  const url = await first.url;
  check(url !== undefined, 'the first did not start');
  let going = true;
  const pushing = (async () => {
    while (going) {
      await production.mustPush(url);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  for (const args of refused) {
    const { code, signal, errors } = await command(base, args);
    check(code === 1 && errors.includes('E_LOCKED'), `sluice ${args.join(' ')} beside the first ended with ${signal ?? code}: ${errors}`);
  }
  for (const args of allowed) {
    const { code, signal, errors } = await command(base, args);
    check(code === 0, `sluice ${args.join(' ')} beside the first ended with ${signal ?? code}: ${errors}`);
  }
  going = false;
  await pushing;
  first.child.kill('SIGKILL');
  await first.exit;
  const reused = reuse(first.child.pid);
  await production.finish();
  reused?.kill();
  const { samples } = await production.verify();
  const number = reused === undefined ? '' : ', its number was given to another process';
  return `two processes: ${refused.length} commands refused, ${allowed.length} allowed beside sluice serve, which took ${samples} samples; killed${number}, it went on`;
}

function command(folder, args) {
  const running = spawn(process.execPath, [cli, ...args, '--json'], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  let errors = '';
  running.stderr.on('data', (text) => {
    errors += text;
  });
  const late = setTimeout(() => running.kill('SIGKILL'), 60_000);
  return new Promise((resolve) =>
    running.on('close', (code, signal) => {
      clearTimeout(late);
      resolve({ code, signal, errors });
    }),
  );
}

/** A process that has the number of one that was killed; undefined where the system does not let us. */
function reuse(pid) {
  for (let i = 0; i < 10; i++) {
    try {
      writeFileSync('/proc/sys/kernel/ns_last_pid', String(pid - 1));
    } catch {
      return undefined;
    }
    const other = spawn('sleep', ['600'], { stdio: 'ignore' });
    if (other.pid === pid) return other;
    other.kill();
  }
  return undefined;
}
