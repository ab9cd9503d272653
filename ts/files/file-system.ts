// Files of sources, wherever they lie: in the local file system or in an object store.

/** A file that is open for reading. */
export type OpenFile = {
  size: number;
  /** Bytes [at, at + count). Rejects where the file ends earlier. */
  read(at: number, count: number): Promise<Buffer<ArrayBuffer>>;
  /** Tells that bytes from `at` to `end` will be read next, in order: what is far away may be fetched ahead. */
  expect(at: number, end: number): void;
  close(): Promise<void>;
};

/** `fingerprint` changes with the content. */
export type Status = { kind: 'file' | 'folder' | 'other'; size: number; modifiedMs: number; fingerprint: string };

/** Of a folder. Where listing tells no status it has to be asked for. */
export type Entry = { name: string; status?: Status };

export type FileSystem = {
  /** Undefined where there is nothing. E_IO and what else keeps it from telling. */
  status(path: string): Promise<Status | undefined>;
  /** What lies in a folder and begins with `start`, in no order. */
  list(folder: string, start: string): Promise<Entry[]>;
  /** What it throws is the system's. `status`: as status() or list() gave it; what is another file by now is E_CHANGED where that can be told. */
  open(path: string, status: Status): Promise<OpenFile>;
  stream(path: string, status: Status): AsyncGenerator<Buffer>;
  /** SHA-256 of the bytes, or what stands for them. */
  contentHash(path: string, status: Status): Promise<string>;
  /** The path that `name` has in `folder`. */
  join(folder: string, name: string): string;
  /** Folder and last step of a path. */
  split(path: string): { folder: string; name: string };
};
