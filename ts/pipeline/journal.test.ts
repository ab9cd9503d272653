import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SluiceError } from '../errors.js';
import { temporaryFolder } from '../native/fixture.test.helper.js';
import { Journal } from './journal.js';

const test = suite('journal');

async function codeOf(work: Promise<unknown>): Promise<string> {
  return await work.then(
    () => 'none',
    (error: unknown) => (error instanceof SluiceError ? error.code : String(error)),
  );
}

/** Another process that runs the pipeline p until it is killed. */
async function holder(folder: string): Promise<ChildProcess> {
  const script = `
    const { Journal } = await import(${JSON.stringify(new URL('./journal.js', import.meta.url).href)});
    const journal = await Journal.open(process.argv[1]);
    await journal.lock('p');
    console.log('locked');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout!, 'data');
  return child;
}

test('a pipeline is run by one process at a time, until that ends in whatever way', async () => {
  const folder = temporaryFolder();
  const other = await holder(folder);
  const journal = await Journal.open(folder);
  assert.is(await codeOf(journal.lock('p')), 'E_LOCKED');
  await journal.lock('q');
  const ended = once(other, 'exit');
  other.kill('SIGKILL');
  await ended;
  await journal.lock('p');
  await journal.close();
});

test('a new journal has complete files, and nothing else lies beside them', async () => {
  const folder = join(temporaryFolder(), 'a/b');
  const journal = await Journal.open(folder);
  await journal.putSet('p', 0, { trainset: 's', size: 3 });
  await journal.close();
  assert.equal(readdirSync(folder).sort(), ['data.mdb', 'lock.mdb']);
  const again = await Journal.open(folder);
  assert.equal(again.set('p', 0), { trainset: 's', size: 3 });
  await again.close();
});

test('a file that is no journal is an error with a code, not the end of the process', async () => {
  const sound = temporaryFolder();
  await (await Journal.open(sound)).close();
  const damages: ((path: string) => void)[] = [
    (path) => writeFileSync(path, ''),
    (path) => writeFileSync(path, Buffer.alloc(65_536)),
    (path) => writeFileSync(path, 'not a journal'.repeat(1000)),
    (path) => truncateSync(path, 5000),
  ];
  for (const damage of damages) {
    const folder = join(temporaryFolder(), 'state');
    mkdirSync(folder);
    const path = join(folder, 'data.mdb');
    copyFileSync(join(sound, 'data.mdb'), path);
    damage(path);
    assert.is(await codeOf(Journal.open(folder)), 'E_CORRUPT');
  }
});

test.run();
