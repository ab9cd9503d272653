import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { SluiceError } from '../errors.js';
import { cudaDevices } from '../native/threads.js';
import { chooseDevice, deviceName } from './device.js';
import type { RunEvent } from './events.js';
import { inWorkplace } from './fixture.test.helper.js';

const none = cudaDevices().length === 0;

test('auto is the GPU where there is one', () => {
  assert.is(chooseDevice('auto'), none ? 'cpu' : 'cuda');
  assert.is(chooseDevice('cpu'), 'cpu');
  assert.is(chooseDevice('cuda'), 'cuda');
  assert.is(deviceName('cpu'), 'cpu');
});

test('a run tells its device', () =>
  inWorkplace(async ({ run }) => {
    const starts: RunEvent[] = [];
    const cpu = { 'training: {': 'training: { device: cpu,' };
    await run(cpu, { onEvent: (event) => event.type === 'start' && starts.push(event) });
    assert.is((starts[0] as { device: string }).device, 'cpu');
  }));

if (none) {
  test('device: cuda without a GPU is refused before anything is read, with the reason', () =>
    inWorkplace(async ({ run, data }) => {
      const error = await run({ 'training: {': 'training: { device: cuda,' }).then(
        () => undefined,
        (e: unknown) => e,
      );
      assert.instance(error, SluiceError);
      assert.is((error as SluiceError).code, 'E_DEVICE');
      assert.match((error as SluiceError).message, 'there is no CUDA device: ');
      assert.not.ok(existsSync(join(data, 'datasets', 'tiny')));
    }));
}

test.run();
