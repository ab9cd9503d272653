import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SluiceError } from '../errors.js';
import { Frequency } from './frequency.js';

const test = suite('frequency');

/** Stores what changed, as ingestion does. */
class Stored {
  readonly entries = new Map<string, string>();
  open(atLeast: number, slots?: number): Frequency {
    return new Frequency('c', atLeast, (key) => this.entries.get(key) ?? null, slots);
  }
  keep(frequency: Frequency): number {
    const changed = Object.entries(frequency.entries());
    for (const [key, value] of changed) this.entries.set(key, value);
    return changed.reduce((sum, [, value]) => sum + value.length, 0);
  }
}

/** Numbers that look like hashes. */
const hashOf = (i: number) => Math.imul(i + 1, 0x9e3779b1) >>> 0;

test('a value is frequent from the n-th time on', () => {
  const frequency = new Stored().open(3);
  assert.equal(
    [7, 7, 8, 7, 7, 8, 8].map((hash) => frequency.add(hash)),
    [false, false, false, true, true, false, true],
  );
  assert.equal(
    [0, 0, 0].map((hash) => frequency.add(hash)),
    [false, false, true],
  );
});

test('counts go on where they were stored, whatever the number of values', () => {
  for (const values of [1, 5000, 100_000, 300_000]) {
    const stored = new Stored();
    const first = stored.open(3);
    for (let i = 0; i < values; i++) first.add(hashOf(i));
    stored.keep(first);
    const again = stored.open(3);
    for (let i = 0; i < values; i++) assert.is(again.add(hashOf(i)), false);
    stored.keep(again);
    const third = stored.open(3);
    for (let i = 0; i < values; i++) assert.is(third.add(hashOf(i)), true);
  }
});

test('what is stored again is little: what was counted since', () => {
  const stored = new Stored();
  const frequency = stored.open(3);
  for (let i = 0; i < 200_000; i++) frequency.add(hashOf(i));
  assert.ok(stored.keep(frequency) > 1_000_000);
  assert.equal(frequency.entries(), {});
  frequency.add(1);
  assert.ok(stored.keep(frequency) < 100_000);
});

test('a table that was stored goes on as one that was not', () => {
  const stored = new Stored();
  const whole = new Stored().open(3, 4096);
  let cut = stored.open(3, 4096);
  let state = 1;
  for (let i = 0; i < 400_000; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const hash = hashOf(state % 50 === 0 ? state % 10_007 : Math.floor(Math.sqrt(state % 1_000_003)));
    assert.is(cut.add(hash), whole.add(hash), `value ${i}`);
    if (i % 61_001 !== 0) continue;
    stored.keep(cut);
    cut = stored.open(3, 4096);
  }
});

test('at the bound those that were seen least are forgotten', () => {
  const frequency = new Stored().open(4, 4096);
  for (let round = 0; round < 3; round++) for (let i = 0; i < 100; i++) frequency.add(hashOf(i));
  for (let i = 100; i < 50_000; i++) frequency.add(hashOf(i));
  for (let i = 0; i < 100; i++) assert.is(frequency.add(hashOf(i)), true);
});

test('damaged entries are E_CORRUPT', () => {
  const stored = new Stored();
  const frequency = stored.open(3);
  for (let i = 0; i < 300_000; i++) frequency.add(hashOf(i % 20_000));
  stored.keep(frequency);
  frequency.add(1);
  stored.keep(frequency);
  const changes: [string, string | undefined][] = [
    ['seen:c', '{'],
    ['seen:c', '{"slots":4096,"entries":5,"log":-1}'],
    ['seen:c', '{"slots":4097,"entries":5,"log":0}'],
    ['seen:c', '{"slots":4294967296,"entries":5,"log":0}'],
    ['seen:c', '{"slots":4096,"entries":4000,"log":0}'],
    ['seen0:c', 'AAAA'],
    ['seen0:c', Buffer.alloc(120_000).toString('base64')],
    ['seenlog0:c', ''],
  ];
  for (const [key, value] of changes) {
    const damaged = new Map(stored.entries).set(key, value!);
    assert.throws(
      () => new Frequency('c', 3, (name) => damaged.get(name) ?? null),
      (error: unknown) => error instanceof SluiceError && error.code === 'E_CORRUPT' && /'c'/.test(error.message),
      `${key} ${value}`,
    );
  }
});

test.run();
