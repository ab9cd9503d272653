import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { SluiceError } from '../errors.js';
import { PushKeys } from './push-keys.js';

const request = (n: number) => ({ key: `k${n}`, hash: `h${n}`, first: 10 * n, count: 10 });

test('the newest keys are kept, in a bounded number of entries', () => {
  const entries = new Map<string, string>();
  const state = (key: string) => entries.get(key) ?? null;
  let keys = new PushKeys(state);
  const last = 40_000;
  for (let n = 0; n < last; n += 100) {
    if (n === 20_000) keys = new PushKeys(state);
    const some = Array.from({ length: 100 }, (_, i) => request(n + i));
    for (const [key, value] of Object.entries(keys.entries(some))) entries.set(key, value);
    keys.committed(some);
  }
  assert.is(entries.size, 16_384);
  for (const known of [keys, new PushKeys(state)]) {
    assert.equal(known.find('k39999'), { hash: 'h39999', first: 399_990, count: 10 });
    assert.ok(known.find(`k${last - 16_384}`));
    assert.is(known.find(`k${last - 16_385}`), undefined);
  }
});

test('entries that were not committed leave no trace', () => {
  const keys = new PushKeys(() => null);
  keys.entries([request(1)]);
  assert.is(keys.find('k1'), undefined);
  assert.equal(Object.keys(keys.entries([request(2)])), ['push-key:0']);
});

test('a damaged entry is told', () => {
  for (const text of ['{', '{"n":0}', '7']) {
    try {
      new PushKeys(() => text);
      assert.unreachable();
    } catch (error) {
      assert.is((error as SluiceError).code, 'E_CORRUPT');
    }
  }
});

test.run();
