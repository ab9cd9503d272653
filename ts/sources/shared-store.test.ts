import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SluiceError } from '../errors.js';
import type { Batch } from '../native/types.js';
import { Inlet } from '../services/inlet.js';
import { PushKeys } from '../services/push-keys.js';
import type { IngestStore } from './appender.js';
import { encode } from './encode.js';
import { ingest } from './ingest.js';
import { SharedStore } from './shared-store.js';
import type { DatasetSpec } from './spec.js';
import type { RecordBatch } from './types.js';

const test = suite('shared store');

const spec: DatasetSpec = { time: { column: 't', unit: 'ms' }, label: { column: 'y' }, columns: { c: 'category' } };

/** Keeps what is appended; the appends whose numbers are in `broken` fail. */
class MemoryStore implements IngestStore {
  readonly codes: number[] = [];
  readonly entries = new Map<string, string>();
  #appends = 0;

  constructor(readonly broken: number[] = []) {}

  size(): number {
    return this.codes.length;
  }

  state(key: string): string | null {
    return this.entries.get(key) ?? null;
  }

  async append(batch: Batch): Promise<number> {
    const first = this.size();
    const number = this.#appends++;
    await new Promise((resolve) => setImmediate(resolve));
    if (this.broken.includes(number)) throw new SluiceError('E_NO_SPACE', 'the disk is full');
    this.codes.push(...(batch.columns[0] as Int32Array));
    for (const [key, value] of Object.entries(batch.state ?? {})) this.entries.set(key, value);
    return first;
  }

  /** Categories by the dictionary as it is stored. */
  values(): string[] {
    const dictionary = JSON.parse(this.state('dict:c') ?? '[]') as string[];
    return this.codes.map((code) => dictionary[code] ?? `code ${code} without a value`);
  }
}

const rows = (...values: string[]): RecordBatch => ({
  rows: values.length,
  columns: { t: values.map((_, i) => i), y: values.map(() => 0), c: values },
});

const open = (store: MemoryStore, onAppended = (_first: number, _count: number) => {}) => SharedStore.open(store, spec, '.', onAppended);

async function code(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => undefined,
    (e: unknown) => e,
  );
  return error instanceof SluiceError ? error.code : String(error);
}

test('appends take turns and know their first keys; values have codes in whatever order they are stored', async () => {
  const store = new MemoryStore();
  const appended: [number, number][] = [];
  const shared = await open(store, (first, count) => appended.push([first, count]));
  const { coders, append } = shared.writer;
  const a = encode(rows('a', 'b'), spec, coders, { part: 'a', firstRow: 0 });
  const b = encode(rows('c', 'a', 'd'), spec, coders, { part: 'b', firstRow: 0 });
  // What was encoded later goes in first.
  const firsts = await Promise.all([append((first) => ({ ...b, state: { first: String(first) } })), append({ ...a, state: {} })]);
  assert.equal(firsts, [0, 3]);
  assert.equal(appended, [
    [0, 3],
    [3, 2],
  ]);
  assert.equal(store.values(), ['c', 'a', 'd', 'a', 'b']);
  assert.is(store.state('first'), '0');
});

test('after an append that failed nothing is stored with codes that nobody knows', async () => {
  const store = new MemoryStore([1]);
  const shared = await open(store);
  const inlet = new Inlet(shared, spec, new PushKeys((key) => store.state(key)));
  const push = async (...values: string[]) =>
    (await inlet.push(Buffer.from(values.join()), () => ({ samples: rows(...values) }), values.join())).pushed;
  await push('a');
  const before = shared.writer;
  const failing = push('b');
  const stale = encode(rows('c'), spec, before.coders, { part: 'x', firstRow: 0 });
  assert.is(await code(failing), 'E_NO_SPACE');
  assert.is(await code(before.append({ ...stale, state: {} })), 'E_CLOSED');
  assert.equal(await push('d', 'b'), { first: 1, count: 2 });
  assert.equal(await push('b'), { first: 3, count: 1 }); // its key was not used up
  assert.equal(store.values(), ['a', 'd', 'b', 'b']);
  assert.is(inlet.bytes, 0);
});

test('files and requests share the categories of a column', async () => {
  const store = new MemoryStore();
  const shared = await open(store);
  const inlet = new Inlet(shared, spec, new PushKeys((key) => store.state(key)));
  const part = {
    name: 'file',
    fingerprint: '1',
    async *read() {
      yield rows('a', 'b');
      await inlet.push(Buffer.from(''), () => ({ samples: rows('z', 'a') }));
      yield rows('c', 'z');
    },
  };
  // The first pass reads the times, which go back: the file is sorted.
  await ingest({ ...shared.writer, source: { parts: async () => [part] }, spec, late: true });
  assert.equal(store.values(), ['z', 'a', 'z', 'a', 'a', 'c', 'b', 'z']);
});

test.run();
