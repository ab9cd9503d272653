import path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { expectError, temporaryFolder } from './fixture.test.helper.js';
import { Metadata } from './metadata.js';

const folder = temporaryFolder();
const keys = (...of: number[]) => BigUint64Array.from(of, BigInt);

test('values are kept by key, and read by key or range', async () => {
  const metadata = new Metadata(path.join(folder, 'a/b'));
  await metadata.define([{ name: 'loss' }, { name: 'right', type: 'u8' }, { name: 'embedding', length: 2 }]);
  const losses = Float32Array.of(0.5, 1.5);
  const update = metadata.update(keys(70_000, 3), [
    { name: 'loss', values: losses },
    { name: 'right', values: Uint8Array.of(0, 1) },
    { name: 'embedding', values: Float32Array.of(1, 2, 3, 4) },
  ]);
  losses.fill(9); // was copied
  await update;
  await metadata.update(keys(3), [{ name: 'loss', values: Float32Array.of(2.5) }]);
  assert.equal([...(await metadata.read('loss', keys(3, 70_000, 4)))], [2.5, 0.5, Number.NaN]);
  assert.equal(await metadata.readRange('right', 2, 5), Uint8Array.of(255, 1, 255));
  assert.equal(await metadata.read('embedding', keys(70_000)), Float32Array.of(1, 2));
  assert.equal(await metadata.columns(), [
    { name: 'loss', type: 'f32', length: 1 },
    { name: 'right', type: 'u8', length: 1 },
    { name: 'embedding', type: 'f32', length: 2 },
  ]);
});

test('what cannot be has a code', async () => {
  const nothing = new Metadata(path.join(folder, 'nothing'));
  await expectError('E_NOT_FOUND', () => nothing.columns());
  await expectError('E_NOT_FOUND', () => nothing.read('loss', keys(1)));
  const metadata = new Metadata(path.join(folder, 'c'));
  await metadata.define([{ name: 'loss' }]);
  await expectError('E_ARGUMENT', () => metadata.read('los', keys(1)), /it has loss/);
  await expectError('E_ARGUMENT', () => metadata.define([{ name: 'loss', type: 'u8' }]), /holds f32, not u8/);
  await expectError('E_ARGUMENT', () => metadata.define([{ name: 'x', length: 0 }]));
  await expectError('E_ARGUMENT', () => metadata.update(keys(1), [{ name: 'loss', values: Float32Array.of(1, 2) }]), /expected 1 values/);
  await expectError('E_ARGUMENT', () => metadata.update(keys(1), [{ name: 'loss', values: Uint8Array.of(1) }]));
  await expectError('E_ARGUMENT', () => metadata.update(keys(1), [{ name: 'loss', values: [1] as never }]));
  await expectError('E_ARGUMENT', () => metadata.update(BigUint64Array.of(1n << 60n), [{ name: 'loss', values: Float32Array.of(1) }]));
  await expectError('E_ARGUMENT', () => metadata.readRange('loss', 5, 4));
  await expectError('E_ARGUMENT', () => metadata.readRange('loss', 0, 2 ** 36 - 1), /4 GiB/);
});

test.run();
