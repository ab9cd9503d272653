// A file of a source: its name, its place and what identifies its content.
import { createHash } from 'node:crypto';
import { createReadStream, type Stats, statSync } from 'node:fs';
import { SluiceError } from '../errors.js';
import type { SourcePart } from './types.js';

export type SourceFile = {
  /** As the pipeline file names it. */
  name: string;
  /** Absolute. */
  path: string;
  /** Size and modification time. */
  fingerprint: string;
};

/** What a part that is one whole file tells of itself. */
export const identityOf = (file: SourceFile): Pick<SourcePart, 'name' | 'fingerprint' | 'contentHash'> => ({
  name: file.name,
  fingerprint: file.fingerprint,
  contentHash: () => contentHash(file),
});

/** E_NOT_FOUND, or E_SOURCE where the path names something else than a file. */
export function sourceFile(name: string, path: string, hint?: string): SourceFile {
  const status = statusOf(path);
  if (status === undefined) throw new SluiceError('E_NOT_FOUND', `${name}: there is no file ${path}`, hint === undefined ? {} : { hint });
  if (!status.isFile()) {
    const advice = status.isDirectory() ? `name its files, e.g. ${name.replace(/\/+$/, '')}/*` : 'name a file';
    throw new SluiceError('E_SOURCE', `${name}: ${path} is not a file`, { hint: advice });
  }
  return { name, path, fingerprint: `${status.size}-${Math.round(status.mtimeMs)}` };
}

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

/** SHA-256 of the file's bytes, hexadecimal. E_SOURCE where they cannot be read. */
export async function contentHash(file: SourceFile): Promise<string> {
  const hash = createHash('sha256');
  try {
    for await (const bytes of createReadStream(file.path, { highWaterMark: 2 ** 20 })) hash.update(bytes as Buffer);
  } catch (error) {
    throw new SluiceError('E_SOURCE', `${file.name} cannot be read: ${(error as Error).message}`, {
      hint: 'check its permissions',
      cause: error,
    });
  }
  return hash.digest('hex');
}
