// How processes and threads end, and what they leave. Each scenario is a process of its own, for a crash is a result too.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { temporaryFolder } from './fixture.test.helper.js';

type Ending = { code: number | null; signal: string | null; output: string };

const scenarios = fileURLToPath(new URL('./scenarios.test.helper.js', import.meta.url));

/** `limit`: a shell command that comes first. */
function run(scenario: string, limit = 'true'): Promise<Ending> {
  return new Promise((resolve, reject) => {
    const command = [process.execPath, '--expose-gc', scenarios, scenario, temporaryFolder()];
    const child = spawn('sh', ['-c', `${limit} && exec "$0" "$@"`, ...command]);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, output }));
  });
}

for (const scenario of [
  'exit-while-training',
  'exit-in-a-progress-callback',
  'exit-without-telling-listeners',
  'exit-with-short-work-queued',
  'terminate-workers',
  'collect-forgotten-handles',
  'unmap-detached-views',
]) {
  test(`${scenario}: exit code 0`, async () => {
    assert.equal(await run(scenario), { code: 0, signal: null, output: '' });
  });
}

test('no-memory-for-a-model: E_MEMORY and exit code 0', async () => {
  const kilobytes = 8 * 2 ** 30;
  assert.equal(await run('no-memory-for-a-model', `ulimit -v ${kilobytes}`), { code: 0, signal: null, output: '' });
});

test('end-while-training: Node waits for the training', async () => {
  assert.equal(await run('end-while-training'), { code: 0, signal: null, output: 'finished\n' });
});

test('throw-while-training: exit code 1 and the error', async () => {
  const { code, signal, output } = await run('throw-while-training');
  assert.equal({ code, signal }, { code: 1, signal: null });
  assert.match(output, 'Error: uncaught');
});

test.run();
