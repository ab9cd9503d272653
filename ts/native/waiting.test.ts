import { cpSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { expectError, temporaryFolder } from './fixture.test.helper.js';
import type { Schema, SettledRows, WaitingBatch } from './types.js';
import { Waiting } from './waiting.js';

const test = suite('waiting');
const schema: Schema = {
  columns: [
    { name: 'x', type: 'f32', shape: [] },
    { name: 'raw', type: 'bytes', shape: [5] },
    { name: 'p', type: 'u8', shape: [3] },
  ],
  label: 'class',
  classes: 3,
};

type Sample = { id: string; time: number; x: number; label?: number };
type Label = { id: string; label: number; time?: number };
type Request = { samples?: Sample[]; labels?: Label[]; notes?: string };

function texts(ids: readonly string[]): { bytes: Uint8Array; ends: Int32Array } {
  const pieces = ids.map((id) => Buffer.from(id));
  let end = 0;
  return { bytes: Buffer.concat(pieces), ends: Int32Array.from(pieces, (piece) => (end += piece.length)) };
}

/** `ids: false`: ids are numbers of samples. */
function batch(arrivedMs: number, requests: Request[], ids = true): WaitingBatch {
  const samples = requests.flatMap((r) => r.samples ?? []);
  const labels = requests.flatMap((r) => r.labels ?? []);
  const [sampleIds, labelIds] = [texts(ids ? samples.map((s) => s.id) : []), texts(ids ? labels.map((l) => l.id) : [])];
  const raw = new Uint8Array(samples.length * 12);
  for (const [i, { x }] of samples.entries()) raw.set([2, 0, 0, 0, x, 255 - x], 12 * i);
  return {
    arrivedMs,
    withIds: ids,
    timestamps: BigInt64Array.from(samples, (s) => BigInt(s.time)),
    labels: Float32Array.from(samples, (s) => s.label ?? Number.NaN),
    columns: [Float32Array.from(samples, (s) => s.x), raw, Uint8Array.from(samples.flatMap((s) => [s.x, s.x, 7]))],
    sampleIdBytes: sampleIds.bytes,
    sampleIdEnds: sampleIds.ends,
    labelTimes: BigInt64Array.from(labels, (l) => BigInt(l.time ?? arrivedMs)),
    labelValues: Float32Array.from(labels, (l) => l.label),
    labelNumbers: BigUint64Array.from(ids ? [] : labels, (l) => BigInt(l.id)),
    labelIdBytes: labelIds.bytes,
    labelIdEnds: labelIds.ends,
    requests: requests.map((r) => ({ samples: r.samples?.length ?? 0, labels: r.labels?.length ?? 0, notes: r.notes ?? '' })),
  };
}

const folderOf = () => join(temporaryFolder(), 'waiting');
const sample = (id: string, x = 1, label?: number): Sample => ({ id, time: 1000 + x, x, ...(label === undefined ? {} : { label }) });
const label = (id: string, value: number): Label => ({ id, label: value });

/** [x, label] of rows, whose other columns must fit. */
function rowsOf(settled: SettledRows): [number, number][] {
  const [x, raw, p] = settled.columns as [Float32Array, Uint8Array, Uint8Array];
  return Array.from(settled.labels, (value, i) => {
    assert.is(settled.timestamps[i], BigInt(1000 + x[i]!));
    assert.equal([...raw.subarray(12 * i, 12 * i + 6)], [2, 0, 0, 0, x[i]!, 255 - x[i]!]);
    assert.equal([...p.subarray(3 * i, 3 * i + 3)], [x[i]!, x[i]!, 7]);
    return [x[i]!, value];
  });
}

async function taken(store: Waiting): Promise<[number, number][]> {
  const rows: [number, number][] = [];
  for (let more = true; more; ) {
    const settled = await store.take();
    rows.push(...rowsOf(settled));
    await store.applied(settled.through);
    more = settled.more;
  }
  return rows;
}

test('a label joins its sample, whichever comes first', async () => {
  const store = await Waiting.open(folderOf(), schema, 0);
  const [answer] = await store.append(batch(10, [{ samples: [sample('a', 1), sample('b', 2)], labels: [label('a', 2), label('c', 1)] }]));
  assert.equal([answer?.first, answer?.samples, answer?.joined, answer?.early, answer?.refusal], [1, 2, 1, 1, null]);
  assert.equal(await taken(store), [[1, 2]]);
  assert.equal([store.counts().waiting, store.counts().early], [1, 1]);
  const [later] = await store.append(batch(20, [{ samples: [sample('c', 3)] }, { labels: [label('b', 0)] }]));
  assert.is(later?.joined, 1);
  assert.equal(await taken(store), [
    [3, 1],
    [2, 0],
  ]);
  assert.equal([store.counts().waiting, store.counts().early, store.counts().joined], [0, 0, 3]);
  store.close();
});

test('a second label is known when it is the same, and refused when it is another, before and after the join', async () => {
  const store = await Waiting.open(folderOf(), schema, 0);
  const answers = await store.append(
    batch(10, [
      { samples: [sample('a'), sample('b')] },
      { labels: [label('a', 1), label('early', 2)] },
      { labels: [label('b', 1), label('a', 1), label('a', 2)] },
      { labels: [label('early', 1)] },
      { labels: [label('early', 2), label('b', 2)] },
    ]),
  );
  assert.equal(
    answers.map(({ refusal, row, known, joined }) => [refusal, row, known, joined]),
    [
      [null, 0, 0, 0],
      [null, 1, 0, 1],
      ['conflict', 2, 1, 1],
      ['conflict', 0, 0, 0],
      [null, 1, 1, 1],
    ],
  );
  assert.is(answers[2]?.earlier, 1);
  assert.equal(await taken(store), [
    [1, 1],
    [1, 2],
  ]);
  const after = await store.append(batch(20, [{ labels: [label('a', 1)] }, { labels: [label('b', 1)] }, { samples: [sample('a')] }]));
  assert.equal(
    after.map((a) => a.refusal),
    [null, 'conflict', 'duplicate'],
  );
  assert.is(after[0]?.known, 1);
  assert.equal(await taken(store), []);
  store.close();
});

test('without ids labels name the numbers that samples got', async () => {
  const store = await Waiting.open(folderOf(), schema, 0);
  const [answer] = await store.append(batch(10, [{ samples: [sample('', 5), sample('', 6)] }], false));
  await taken(store);
  const second = String((answer?.first ?? 0) + 1);
  const answers = await store.append(
    batch(10, [{ labels: [label(second, 2)] }, { labels: [label('77', 1)] }, { labels: [label(second, 1)] }], false),
  );
  assert.equal(
    answers.map((a) => a.refusal),
    [null, 'unknown', 'conflict'],
  );
  assert.equal(await taken(store), [[6, 2]]);
  store.close();
});

test('what waited too long is dropped or gets a label, and what comes after that is late', async () => {
  for (const missing of [null, 0]) {
    const store = await Waiting.open(folderOf(), schema, 0);
    await store.append(batch(10, [{ samples: [sample('a', 1), sample('b', 2)], labels: [label('none', 1)] }]));
    await taken(store);
    await store.append(batch(20, [{ samples: [sample('c', 3)], labels: [label('b', 1)] }]));
    await taken(store);
    assert.is(await store.expire(30, 10, missing), false);
    assert.is(await store.expire(30, 11, missing), true);
    assert.equal(await taken(store), missing === null ? [] : [[1, 0]]);
    assert.is(await store.expire(30, 11, missing), false);
    const { waiting, early, expired, unmatched } = store.counts();
    assert.equal({ waiting, early, expired, unmatched }, { waiting: 1, early: 0, expired: 1, unmatched: 1 });
    const [late] = await store.append(batch(31, [{ labels: [label('a', 1), label('b', 1)] }]));
    assert.equal([late?.late, late?.known, late?.refusal], [1, 1, null]);
    store.close();
  }
});

test('samples are removed by id and by time', async () => {
  const store = await Waiting.open(folderOf(), schema, 0);
  await store.append(batch(10, [{ samples: [sample('a', 1), sample('b', 2), sample('c', 3)] }]));
  await taken(store);
  await store.removeId(11, 'b');
  await taken(store);
  await store.removeTimes(11, 1003, 1004);
  await taken(store);
  assert.equal([store.counts().waiting, store.counts().removed], [1, 2]);
  await store.append(batch(12, [{ labels: [label('a', 1), label('b', 1), label('c', 1)] }]));
  assert.equal(await taken(store), [[1, 1]]);
  store.close();
});

test('an append that was cut off is gone, damage before others is told', async () => {
  const folder = folderOf();
  const store = await Waiting.open(folder, schema, 0);
  for (let i = 0; i < 3; i++) {
    await store.append(batch(10, [{ samples: [sample(`s${i}`, i)], notes: `n${i}` }]));
    await taken(store);
  }
  store.close();
  const [log] = readdirSync(folder).filter((name) => name.endsWith('.log'));
  const whole = readFileSync(join(folder, log!));
  truncateSync(join(folder, log!), whole.length - 3);
  const cut = await Waiting.open(folder, schema, 2);
  await taken(cut);
  assert.is(cut.counts().waiting, 2);
  assert.is((await cut.append(batch(10, [{ samples: [sample('s2', 2)] }])))[0]?.refusal, null);
  cut.close();
  const flipped = Buffer.from(whole);
  flipped[(whole.length / 2) | 0]! ^= 4;
  writeFileSync(join(folder, log!), flipped);
  await expectError('E_CORRUPT', () => Waiting.open(folder, schema, 0));
  writeFileSync(join(folder, log!), whole);
  await expectError('E_CORRUPT', () => Waiting.open(folder, schema, 4));
  await expectError('E_CORRUPT', () => Waiting.open(folder, { ...schema, columns: [] }, 0));
});

test('wrong values are refused and nothing is stored', async () => {
  const store = await Waiting.open(folderOf(), schema, 0);
  const wrong: [Request, string][] = [
    [{ labels: [label('a', 3)] }, 'E_LABEL_RANGE'],
    [{ labels: [label('a', Number.NaN)] }, 'E_NOT_FINITE'],
    [{ samples: [sample('a', 1, 9)] }, 'E_LABEL_RANGE'],
    [{ samples: [sample('')] }, 'E_ARGUMENT'],
    [{ labels: [label('x'.repeat(257), 1)] }, 'E_ARGUMENT'],
  ];
  for (const [request, code] of wrong) await expectError(code, () => store.append(batch(10, [request])));
  const good = batch(10, [{ samples: [sample('a')] }]);
  await expectError('E_ARGUMENT', () => store.append({ ...good, sampleIdEnds: Int32Array.of(99) }));
  assert.is(store.counts().events, 0);
  store.close();
});

/** The plain rules, without files. */
class Model {
  rows: [number, number][] = [];
  readonly #samples = new Map<string, { x: number; label: number | undefined; arrived: number; past: boolean }>();
  readonly #early = new Map<string, { label: number; arrived: number }>();

  apply(arrived: number, { samples = [], labels = [] }: Request): string | null {
    const copy = { rows: [...this.rows], samples: structuredClone([...this.#samples]), early: structuredClone([...this.#early]) };
    const refusal =
      samples.map((s) => this.#sample(arrived, s)).find((r) => r !== null) ??
      labels.map((l) => this.#label(arrived, l)).find((r) => r !== null) ??
      null;
    if (refusal !== null) {
      this.rows = copy.rows;
      this.#samples.clear();
      this.#early.clear();
      for (const [id, s] of copy.samples) this.#samples.set(id, s);
      for (const [id, l] of copy.early) this.#early.set(id, l);
    }
    return refusal;
  }

  #sample(arrived: number, { id, x, label }: Sample): string | null {
    const earlier = this.#samples.get(id);
    if (earlier !== undefined && !earlier.past) return 'duplicate';
    const early = this.#early.get(id);
    this.#early.delete(id);
    const value = label ?? early?.label;
    this.#samples.set(id, { x, label: value, arrived, past: false });
    if (value !== undefined) this.rows.push([x, value]);
    return null;
  }

  #label(arrived: number, { id, label }: Label): string | null {
    const known = this.#samples.get(id);
    if (known?.past) return null;
    const earlier = known === undefined ? this.#early.get(id)?.label : known.label;
    if (earlier !== undefined) return earlier === label ? null : 'conflict';
    if (known === undefined) this.#early.set(id, { label, arrived });
    else {
      known.label = label;
      this.rows.push([known.x, label]);
    }
    return null;
  }

  expire(before: number, missing: number | null): void {
    for (const [id, { arrived }] of this.#early) if (arrived < before) this.#early.delete(id);
    for (const sample of this.#samples.values()) {
      if (sample.arrived >= before || sample.label !== undefined || sample.past) continue;
      sample.past = true;
      if (missing !== null) this.rows.push([sample.x, missing]);
    }
  }
}

/** As many different numbers as are asked for, always the same. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test('random events with kills and restarts give what the plain rules give', async () => {
  for (let seed = 1; seed <= 5; seed++) {
    const draw = random(seed);
    const missing = seed % 2 === 0 ? null : 0;
    const folder = folderOf();
    const model = new Model();
    const rows: [number, number][] = []; // of the dataset
    let through = 0; // what the dataset's transaction remembers
    let now = 1000;
    let store = await Waiting.open(folder, schema, through);
    /** `most`: steps after which it is killed. */
    const drain = async (most = Number.POSITIVE_INFINITY) => {
      for (let more = true, step = 0; more && step < most; step++) {
        const settled = await store.take();
        more = settled.more;
        if (step + 1 >= most) return;
        rows.push(...rowsOf(settled));
        through = Math.max(through, settled.through);
        if (draw(3) > 0) await store.applied(settled.through);
      }
    };
    for (let step = 0; step < 120; step++) {
      now += draw(4);
      // Ids are not used again once their window has passed, when they are forgotten.
      const id = () => `${Math.floor(now / 10) - draw(2)}-${draw(12)}`;
      const requests: Request[] = Array.from({ length: 1 + draw(4) }, () => ({
        samples: Array.from({ length: draw(4) }, () => ({ ...sample(id(), draw(200)), ...(draw(5) === 0 ? { label: draw(2) } : {}) })),
        labels: Array.from({ length: draw(4) }, () => label(id(), draw(8) === 0 ? 2 : 1)),
      }));
      if (draw(10) === 0) {
        const before = now - 30;
        // The rules expire all at once; so does this, while nothing else comes.
        while (await store.expire(now, before, missing)) await drain();
        model.expire(before, missing);
      } else {
        const answers = await store.append(batch(now, requests));
        const expected = requests.map((request) => model.apply(now, request));
        assert.equal(
          answers.map((a) => a.refusal),
          expected,
          `seed ${seed}, step ${step}`,
        );
      }
      // Killed before, between or after the transactions of the dataset: what is on disk then is all that is left.
      if (draw(6) === 0) {
        await drain(draw(3));
        const copy = `${folder}-copy`;
        cpSync(folder, copy, { recursive: true });
        store.close();
        rmSync(folder, { recursive: true });
        cpSync(copy, folder, { recursive: true });
        rmSync(copy, { recursive: true });
        store = await Waiting.open(folder, schema, through);
      }
      await drain();
      if (draw(12) === 0) {
        const settled = await store.take();
        await store.applied(settled.through);
        await store.checkpoint();
      }
      assert.equal(rows.length, model.rows.length, `seed ${seed}, step ${step}`);
    }
    // An expiry settles in the order of arrival, the rules in that of their map.
    const sorted = (all: [number, number][]) => all.map(String).sort();
    assert.equal(sorted(rows), sorted(model.rows), `seed ${seed}`);
    store.close();
  }
});

test.run();
