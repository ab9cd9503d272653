// A file of a source: its name, its place and what identifies its content.
import { dirname } from 'node:path';
import { SluiceError } from '../errors.js';
import type { FileSystem, OpenFile, Status } from '../files/file-system.js';
import { isS3 } from '../s3/address.js';
import type { SourcePart } from './types.js';

/** A place of a source: its name as the pipeline gives it, and where that is: absolute, or s3://…. */
export type SourcePlace = { name: string; path: string; files: FileSystem };

export type SourceFile = {
  /** As the pipeline file names it. */
  name: string;
  path: string;
  /** Bytes. */
  size: number;
  /** Size and modification time; of an object its ETag. */
  fingerprint: string;
  /** E_SOURCE where it cannot be opened. */
  open(): Promise<OpenFile>;
  /** Its bytes from the beginning. What goes wrong is thrown as the system says it. */
  stream(): AsyncGenerator<Buffer>;
  /** SHA-256 of the bytes, or what stands for them. E_SOURCE where they cannot be read. */
  contentHash(): Promise<string>;
};

/** What a part that is one whole file tells of itself. */
export const identityOf = (file: SourceFile): Pick<SourcePart, 'name' | 'fingerprint' | 'contentHash'> => ({
  name: file.name,
  fingerprint: file.fingerprint,
  contentHash: () => file.contentHash(),
});

/** `known`: what a listing told of it already. E_NOT_FOUND, or E_SOURCE where the path names something else than a file. */
export async function sourceFile(place: SourcePlace, hint?: string, known?: Status): Promise<SourceFile> {
  const { name, path } = place;
  const status = known ?? (await place.files.status(path));
  if (status === undefined) throw new SluiceError('E_NOT_FOUND', `${name}: there is no file ${path}`, hint === undefined ? {} : { hint });
  if (status.kind !== 'file') {
    const advice = status.kind === 'folder' ? `name its files, e.g. ${name.replace(/\/+$/, '')}/*` : 'name a file';
    throw new SluiceError('E_SOURCE', `${name}: ${path} is not a file`, { hint: advice });
  }
  return fileOf(place, status);
}

/** The file that is there with that status. */
export function fileOf({ name, path, files }: SourcePlace, status: Status): SourceFile {
  const failed = (what: string) => (error: unknown) => {
    if (error instanceof SluiceError) throw error;
    throw new SluiceError('E_SOURCE', `${name} cannot be ${what}: ${(error as Error).message}`, {
      hint: 'check its permissions',
      cause: error,
    });
  };
  const { size, fingerprint } = status;
  return {
    name,
    path,
    size,
    fingerprint,
    open: () => files.open(path, status).catch(failed('opened')),
    stream: () => files.stream(path, status),
    contentHash: () => files.contentHash(path, status).catch(failed('read')),
  };
}

/** The folder that paths in a file are relative to, for pictures in the local file system. */
export const localFolderOf = ({ path }: SourceFile): { folder?: string } => (isS3(path) ? {} : { folder: dirname(path) });
