// An object as blocks of 1 MiB, which come from the cache on disk or by ranged reads, neighbours together.
import type { S3, S3Object } from '../s3/client.js';
import type { BlockCache } from './block-cache.js';
import type { OpenFile } from './file-system.js';

export const blockBytes = 2 ** 20;
/** Of one request at most. */
const runBlocks = 4;
/** Requests under way for a stream, once it has been read for a while. */
const maxAhead = 8;
/** Blocks in memory of a file that is read here and there. */
const maxHeld = 128;

export type BlockSource = { s3: S3; cache: BlockCache | undefined; bucket: string; object: Pick<S3Object, 'key' | 'size' | 'etag'> };

const blocksOf = ({ object }: BlockSource): number => Math.ceil(object.size / blockBytes);

/** Blocks [first, end), each a Buffer of its own place in one allocation for those that are fetched together. */
async function fetchBlocks(source: BlockSource, first: number, end: number, signal?: AbortSignal): Promise<Buffer[]> {
  const { s3, cache, bucket, object } = source;
  const found = await Promise.all(Array.from({ length: end - first }, (_, i) => cache?.get(source, first + i)));
  for (let i = 0; i < found.length; ) {
    if (found[i] !== undefined) {
      i++;
      continue;
    }
    let until = i + 1;
    while (until < found.length && found[until] === undefined) until++;
    const start = (first + i) * blockBytes;
    const bytes = Buffer.allocUnsafeSlow(Math.min(object.size, (first + until) * blockBytes) - start);
    await s3.read(bucket, object, start, bytes, signal);
    for (let b = i; b < until; b++) found[b] = bytes.subarray((b - i) * blockBytes, (b - i + 1) * blockBytes);
    if (cache) await Promise.all(found.slice(i, until).map((content, n) => cache.put(source, first + i + n, content!)));
    i = until;
  }
  return found as Buffer[];
}

/** The object's bytes in order. Few requests at first, for readers that stop soon. */
export async function* streamOf(source: BlockSource): AsyncGenerator<Buffer> {
  const stop = new AbortController();
  const pending: Promise<Buffer[]>[] = [];
  const blocks = blocksOf(source);
  let [next, ahead] = [0, 1];
  try {
    while (next < blocks || pending.length > 0) {
      for (; pending.length < ahead && next < blocks; ) {
        const end = Math.min(blocks, next + (next === 0 ? 1 : runBlocks));
        const run = fetchBlocks(source, next, end, stop.signal);
        // It is awaited later; a rejection in between must not count as unhandled.
        run.catch(() => {});
        pending.push(run);
        next = end;
      }
      yield* await pending.shift()!;
      ahead = Math.min(maxAhead, 2 * ahead);
    }
  } finally {
    stop.abort();
    await Promise.allSettled(pending);
  }
}

/** The object for reading here and there. What is read in order is fetched ahead. */
export class BlockFile implements OpenFile {
  readonly size: number;
  readonly #blocks: number;
  /** The one used last comes last. */
  readonly #held = new Map<number, Promise<Buffer>>();
  /** The last blocks of reads that may go on behind them. */
  readonly #reached = new Set<number>();
  readonly #stop = new AbortController();

  constructor(private readonly source: BlockSource) {
    this.size = source.object.size;
    this.#blocks = blocksOf(source);
  }

  async read(at: number, count: number): Promise<Buffer<ArrayBuffer>> {
    if (at < 0 || count < 0 || at + count > this.size)
      throw new Error(`the file ends at byte ${this.size}; it was changed while it was read`);
    const result = Buffer.allocUnsafeSlow(count);
    if (count === 0) return result;
    const first = Math.floor(at / blockBytes);
    const end = Math.floor((at + count - 1) / blockBytes) + 1;
    this.#request(first, end);
    const wanted = Array.from({ length: end - first }, (_, i) => this.#use(first + i));
    // A read that goes on where one of the last ones ended: so much again, and at least two blocks.
    if (this.#reached.delete(first - 1)) this.#request(end, Math.min(this.#blocks, end + Math.max(2, end - first)));
    this.#reached.add(end - 1);
    dropOldest(this.#reached, maxHeld);
    for (const [i, content] of wanted.entries()) {
      const start = (first + i) * blockBytes;
      (await content).copy(result, Math.max(0, start - at), Math.max(0, at - start), at + count - start);
    }
    dropOldest(this.#held, maxHeld);
    return result;
  }

  expect(at: number, end: number): void {
    const until = Math.min(end, at + 2 * blockBytes);
    this.#request(Math.floor(at / blockBytes), Math.min(this.#blocks, Math.ceil(until / blockBytes)));
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.allSettled(this.#held.values());
    this.#held.clear();
  }

  /** Begins to fetch what is not held of blocks [first, end), neighbours together. */
  #request(first: number, end: number): void {
    for (let block = first; block < end; ) {
      const begin = block++;
      if (this.#held.has(begin)) continue;
      while (block < end && block - begin < runBlocks && !this.#held.has(block)) block++;
      const run = fetchBlocks(this.source, begin, block, this.#stop.signal);
      for (let b = begin; b < block; b++) this.#hold(b, oneOf(run, b - begin));
    }
  }

  #hold(block: number, content: Promise<Buffer>): void {
    // Whoever needs it awaits it; what was fetched ahead in vain must not count as unhandled, and is asked for again.
    content.catch(() => this.#held.delete(block));
    this.#held.set(block, content);
  }

  #use(block: number): Promise<Buffer> {
    const content = this.#held.get(block)!;
    this.#held.delete(block);
    this.#held.set(block, content);
    return content;
  }
}

const oneOf = async (run: Promise<Buffer[]>, i: number): Promise<Buffer> => (await run)[i]!;

function dropOldest(entries: Map<number, unknown> | Set<number>, most: number): void {
  for (const key of entries.keys()) {
    if (entries.size <= most) return;
    entries.delete(key);
  }
}
