// Blocks of objects on disk: a file each, written beside its place and renamed, with a checksum, so that what a kill or a power cut leaves is never taken for
// a block. The oldest in use go when the bound is reached. Several processes may share a folder.
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { hostOf } from '../s3/config.js';
import type { BlockSource } from './blocks.js';

const checksumBytes = 32;
/** After an eviction so much of the bound is in use. */
const fill = 0.9;
/** Other processes write, too: what is there is counted anew after so much of the bound was written. */
const recount = 1 / 16;
/** What was written and not renamed for so long, nobody writes any more. */
const leftOverMs = 3_600_000;

export type CacheCounts = { hits: number; misses: number };

export class BlockCache {
  readonly counts: CacheCounts = { hits: 0, misses: 0 };
  /** Bytes in the folder, as far as known. */
  #bytes: number | undefined;
  #sinceCount = 0;
  #evicting: Promise<void> | undefined;
  /** The disk refuses: what is cached can be read, nothing is added. */
  #full = false;

  /** `maxBytes`: more than 0. */
  constructor(
    readonly folder: string,
    readonly maxBytes: number,
  ) {}

  /** Undefined where it is not there, or damaged. */
  async get(source: BlockSource, block: number): Promise<Buffer | undefined> {
    const path = this.#path(source, block);
    const stored = await readFile(path).catch(() => undefined);
    const bytes = stored?.subarray(checksumBytes);
    if (stored === undefined || bytes === undefined || !checksum(bytes).equals(stored.subarray(0, checksumBytes))) {
      this.counts.misses++;
      if (stored !== undefined) await rm(path, { force: true }).catch(() => {});
      return undefined;
    }
    this.counts.hits++;
    const now = new Date();
    await utimes(path, now, now).catch(() => {});
    return bytes;
  }

  /** Keeps a block if it can: a cache that cannot write is none, not an error. */
  async put(source: BlockSource, block: number, bytes: Buffer): Promise<void> {
    if (this.#full || bytes.length > this.maxBytes) return;
    const path = this.#path(source, block);
    const fresh = `${path}.${randomBytes(6).toString('hex')}.tmp`;
    try {
      await writeFresh(fresh, [checksum(bytes), bytes]);
      await rename(fresh, path);
      await this.#wrote(checksumBytes + bytes.length);
    } catch {
      this.#full = true;
      await rm(fresh, { force: true }).catch(() => {});
    }
  }

  /** Folder by object, so that an object that was replaced is another one. */
  #path({ s3, bucket, object }: BlockSource, block: number): string {
    const identity = JSON.stringify([hostOf(s3.config), bucket, object.key, object.size, object.etag]);
    const name = createHash('sha256').update(identity).digest('hex').slice(0, 40);
    return join(this.folder, name.slice(0, 2), name, String(block));
  }

  async #wrote(bytes: number): Promise<void> {
    this.#sinceCount += bytes;
    if (this.#bytes !== undefined) this.#bytes += bytes;
    if (this.#bytes !== undefined && this.#bytes <= this.maxBytes && this.#sinceCount <= recount * this.maxBytes) return;
    this.#evicting ??= this.#evict().finally(() => {
      this.#evicting = undefined;
    });
    await this.#evicting;
  }

  async #evict(): Promise<void> {
    const files = await filesBelow(this.folder);
    let bytes = files.reduce((sum, file) => sum + file.size, 0);
    files.sort((a, b) => a.usedMs - b.usedMs);
    const target = bytes > this.maxBytes ? fill * this.maxBytes : bytes;
    for (const { path, size, usedMs } of files) {
      const leftOver = path.endsWith('.tmp') && Date.now() - usedMs > leftOverMs;
      if (bytes <= target && !leftOver) continue;
      if (path.endsWith('.tmp') && !leftOver) continue;
      await rm(path, { force: true });
      bytes -= size;
    }
    this.#bytes = bytes;
    this.#sinceCount = 0;
  }
}

/** Its folder is made where it is missing. */
async function writeFresh(path: string, pieces: Buffer[]): Promise<void> {
  try {
    await writeFile(path, pieces);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, pieces);
  }
}

const checksum = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

type CachedFile = { path: string; size: number; usedMs: number };

async function filesBelow(folder: string): Promise<CachedFile[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files: CachedFile[] = [];
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath ?? entry.path, entry.name);
    // Another process may have removed it meanwhile.
    const found = await stat(path).catch(() => undefined);
    if (found) files.push({ path, size: found.size, usedMs: found.mtimeMs });
  }
  return files;
}
