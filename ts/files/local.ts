// The local file system.
import { createHash } from 'node:crypto';
import { createReadStream, type Stats, statSync } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { SluiceError } from '../errors.js';
import type { FileSystem, OpenFile, Status } from './file-system.js';

const readBytes = 2 ** 18;

/** Undefined where there is nothing; E_IO where the system does not tell. */
export function statusOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new SluiceError('E_IO', `${path} cannot be looked at: ${message}`, { cause: error });
  }
}

export const localFiles: FileSystem = {
  async status(path) {
    const found = statusOf(path);
    return found && asStatus(found);
  },
  async list(folder, start) {
    try {
      return (await readdir(folder)).filter((name) => name.startsWith(start)).map((name) => ({ name }));
    } catch (error) {
      throw new SluiceError('E_IO', `${folder} cannot be listed: ${(error as Error).message}`, { cause: error });
    }
  },
  open: async (path) => await openLocal(path),
  async *stream(path) {
    const stream = createReadStream(path, { highWaterMark: readBytes });
    try {
      for await (const chunk of stream) yield chunk as Buffer;
    } finally {
      stream.destroy();
    }
  },
  async contentHash(path) {
    const hash = createHash('sha256');
    for await (const bytes of createReadStream(path, { highWaterMark: 2 ** 20 })) hash.update(bytes as Buffer);
    return hash.digest('hex');
  },
  join,
  split: (path) => ({ folder: dirname(path), name: basename(path) }),
};

function asStatus(found: Stats): Status {
  const kind = found.isFile() ? 'file' : found.isDirectory() ? 'folder' : 'other';
  const fingerprint = `${found.size}-${Math.round(found.mtimeMs)}`;
  return { kind, size: found.size, modifiedMs: found.mtimeMs, fingerprint };
}

async function openLocal(path: string): Promise<OpenFile> {
  const handle = await open(path);
  const read = async (at: number, count: number) => {
    const bytes = Buffer.allocUnsafeSlow(count);
    for (let done = 0; done < count; ) {
      const { bytesRead } = await handle.read(bytes, done, count - done, at + done);
      if (bytesRead === 0) throw new Error(`the file ends at byte ${at + done}; it was changed while it was read`);
      done += bytesRead;
    }
    return bytes;
  };
  try {
    return { size: (await handle.stat()).size, read, expect() {}, close: () => handle.close() };
  } catch (error) {
    await handle.close();
    throw error;
  }
}
