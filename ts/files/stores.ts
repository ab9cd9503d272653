// The file system that a path of a pipeline file names.
import { isS3 } from '../s3/address.js';
import { type Patience, S3 } from '../s3/client.js';
import { type S3Settings, s3Config } from '../s3/config.js';
import { BlockCache } from './block-cache.js';
import type { FileSystem } from './file-system.js';
import { localFiles } from './local.js';
import { objectFiles } from './objects.js';

export type StoresOptions = {
  s3?: S3Settings | undefined;
  /** Of blocks of objects; default: none. `bytes`: at most so many, 0 for none. */
  cache?: { folder: string; bytes: number } | undefined;
  patience?: Partial<Patience>;
};

/** Connections are made when the first path needs them. */
export class Stores {
  #objects: FileSystem | undefined;
  readonly cache: BlockCache | undefined;

  constructor(private readonly options: StoresOptions = {}) {
    const { cache } = options;
    if (cache !== undefined && cache.bytes > 0) this.cache = new BlockCache(cache.folder, cache.bytes);
  }

  /** E_ARGUMENT, E_ACCESS for settings that cannot be used. */
  filesOf(path: string): FileSystem {
    if (!isS3(path)) return localFiles;
    this.#objects ??= objectFiles(new S3(s3Config(this.options.s3), this.options.patience), this.cache);
    return this.#objects;
  }
}
