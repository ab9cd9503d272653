// Errors of the disk while samples are pushed: full, EIO, short writes. What is acknowledged stays, errors have a code, and all goes on.
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError } from '../lib/run.mjs';
import { Control, faultEnv } from './faults.mjs';
import { faults } from './faulty.mjs';
import { check, Production } from './production.mjs';

const answers = [200, 503, 507];

/** Faults at operations by chance, in a server under faults.c. */
export async function troubledServer(base, { random, rounds }) {
  mkdirSync(base, { recursive: true });
  const production = new Production(base);
  const shared = join(base, 'control');
  const control = new Control(shared);
  const done = { happened: 0, refused: 0, ended: 0 };
  const which = [faults['a full disk'], faults.EIO, faults['short writes']];
  let server;
  let url;
  for (let round = 0; round < rounds; round++) {
    if (url === undefined) {
      control.disarm();
      server = production.start({ env: faultEnv(base, { control: shared }) });
      url = await server.url;
      if (url === undefined) throw new BuildError(`it did not start: ${(await server.exit).errors}`);
    }
    control.arm({ ...which[Math.floor(which.length * random())], at: 1 + Math.floor(120 * random() ** 2) });
    for (let n = 0; n < 6 && url !== undefined; n++) {
      const { status, text } = await production.push(url);
      if (status === undefined) {
        await endsWithError(server);
        done.ended++;
        url = undefined;
      } else {
        check(answers.includes(status), `${status} ${text}`);
        if (status !== 200) done.refused++;
      }
    }
    if (control.happened > 0) done.happened++;
    control.disarm();
    if (url !== undefined) url = await goesOn(production, server, url, done);
  }
  server.child.kill('SIGKILL');
  await server.exit;
  control.close();
  await production.finish();
  const { samples, triggers } = await production.verify();
  return `errors while serving: ${done.happened} times a full disk, EIO or short writes, ${done.refused} requests refused, ${done.ended} times it ended with the error; ${samples} samples, ${triggers} triggers, sets and weights as undisturbed`;
}

async function endsWithError({ child, exit }) {
  const late = setTimeout(() => child.kill('SIGKILL'), 30_000);
  const { code, signal, errors } = await exit;
  clearTimeout(late);
  check(code === 1 && /E_(IO|NO_SPACE)/.test(errors), `it answers no more, and ended with ${signal ?? code}: ${errors}`);
}

/** With the fault gone a request is taken, or the process has ended by the error. */
async function goesOn(production, server, url, done) {
  for (let n = 0; n < 100; n++) {
    const { status, text } = await production.push(url);
    if (status === 200) return url;
    if (status === undefined) {
      await endsWithError(server);
      done.ended++;
      return undefined;
    }
    check(answers.includes(status), `${status} ${text}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('it refuses requests for 10 s after the fault has gone');
}

const mount = (...args) => spawnSync('mount', args).status === 0;

/** A file system that is full, again and again. Needs to be root. */
export async function fullDisk(base, { rounds }) {
  mkdirSync(base, { recursive: true });
  const production = new Production(base);
  const data = join(base, 'sluice-data');
  mkdirSync(data);
  let mib = 2;
  if (!mount('-t', 'tmpfs', '-o', `size=${mib}m`, 'tmpfs', data))
    return 'full disk: left out, since no file system could be mounted (be root)';
  let [refused, ended] = [0, 0];
  try {
    for (let round = 0; round < rounds; round++) {
      const server = production.start();
      const url = await server.url;
      if (url === undefined) {
        const { code, signal, errors } = await server.exit;
        check(code === 1 && errors.includes('E_NO_SPACE'), `on a full disk it ended with ${signal ?? code}: ${errors}`);
        ended++;
      } else {
        let answer = { status: 200 };
        while (answer.status === 200) answer = await production.push(url);
        if (answer.status !== undefined) {
          check(answer.status === 507 || answer.status === 503, `on a full disk: ${answer.status} ${answer.text}`);
          refused++;
        }
        mib += 2;
        check(mount('-o', `remount,size=${mib}m`, data), 'the file system could not be made larger');
        if (answer.status !== undefined && (await goesOn(production, server, url, { ended: 0 })) === undefined) ended++;
        server.child.kill('SIGTERM');
        const { code, signal, errors } = await server.exit;
        check(code === 0 || (code === 1 && errors.includes('E_NO_SPACE')), `it ended with ${signal ?? code}: ${errors}`);
      }
      mib += 2;
      check(mount('-o', `remount,size=${mib}m`, data), 'the file system could not be made larger');
    }
    check(mount('-o', 'remount,size=400m', data), 'the file system could not be made larger');
    await production.finish();
    const { samples, triggers } = await production.verify();
    return `full disk: ${rounds} times, ${refused} requests refused, ${ended} times it ended with E_NO_SPACE; ${samples} samples, ${triggers} triggers, sets and weights as undisturbed`;
  } finally {
    spawnSync('umount', ['-l', data]);
  }
}
