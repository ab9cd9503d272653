// Objects of an S3-compatible store as files: keys with a common beginning up to a slash are a folder.
import { isS3, parseS3, s3Prefix } from '../s3/address.js';
import type { S3, S3Object } from '../s3/client.js';
import type { BlockCache } from './block-cache.js';
import { BlockFile, type BlockSource, streamOf } from './blocks.js';
import type { Entry, FileSystem, Status } from './file-system.js';

export function objectFiles(s3: S3, cache: BlockCache | undefined): FileSystem {
  const sourceOf = (path: string, { size, fingerprint }: Status): BlockSource => {
    const { bucket, key } = parseS3(path);
    return { s3, cache, bucket, object: { key, size, etag: fingerprint.slice(`${size}-`.length) } };
  };
  return {
    async status(path) {
      const { bucket, key } = parseS3(path);
      const object = key === '' || key.endsWith('/') ? undefined : await s3.head(bucket, key);
      if (object !== undefined) return fileStatus(object);
      const prefix = key === '' || key.endsWith('/') ? key : `${key}/`;
      for await (const _ of s3.list(bucket, prefix, { most: 1 })) return folderStatus;
      return undefined;
    },
    async list(folder, start) {
      const { bucket, key } = parseS3(folder);
      const prefix = key === '' || key.endsWith('/') ? key : `${key}/`;
      const entries: Entry[] = [];
      for await (const found of s3.list(bucket, prefix + start, { delimiter: '/' })) {
        const path = 'key' in found ? found.key : found.prefix.replace(/\/$/, '');
        const name = path.slice(prefix.length);
        // An object with the name of the folder itself is a mark that consoles leave.
        if (name !== '') entries.push({ name, status: 'key' in found ? fileStatus(found) : folderStatus });
      }
      return entries;
    },
    open: async (path, status) => new BlockFile(sourceOf(path, status)),
    stream: (path, status) => streamOf(sourceOf(path, status)),
    // Its ETag tells an object's content already; to read it all for a hash would cost as much as to ingest it.
    contentHash: async (_path, { fingerprint }) => fingerprint,
    join: (folder, name) => `${folder.replace(/\/$/, '')}/${name}`,
    split(path) {
      const slash = path.lastIndexOf('/');
      if (isS3(path) && slash < s3Prefix.length) return { folder: path, name: '' };
      return { folder: path.slice(0, slash), name: path.slice(slash + 1) };
    },
  };
}

const folderStatus: Status = { kind: 'folder', size: 0, modifiedMs: 0, fingerprint: '' };

const fileStatus = ({ size, etag, modifiedMs }: S3Object): Status => ({ kind: 'file', size, modifiedMs, fingerprint: `${size}-${etag}` });
