// `sluice backup`: a consistent copy of a dataset, or of everything, in a bucket or a folder. Cut off, it goes on with the same copy.
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SluiceError } from '../errors.js';
import { asSluiceError, type Folders } from '../pipeline/folders.js';
import type { Patience } from '../s3/client.js';
import type { S3Settings } from '../s3/config.js';
import { type BackedUpFile, type Description, descriptionName } from './description.js';
import { type BackupPlace, backupPlace, type UploadNote } from './places.js';
import { filesBelow, removeStage, stage } from './stage.js';

export type BackupOptions = {
  /** One dataset only. */
  dataset?: string | undefined;
  /** s3://bucket/prefix, or a folder. */
  target: string;
  s3?: S3Settings;
  patience?: Partial<Patience>;
  signal?: AbortSignal | undefined;
  onProgress?: (share: number) => void;
};

/** `resumed`: it goes on with a copy that an earlier try made. */
export type BackupResult = { files: number; bytes: number; resumed: boolean };

/** What an earlier try reached. */
type Progress = { createdMs: number; done: BackedUpFile[]; uploads: Record<string, UploadNote> };

/**
 * E_EXISTS where the place holds a backup already; E_NOT_FOUND where there is nothing to back up; E_ABORTED: the same command goes on; and the errors of storage,
 * file systems and object stores.
 */
export async function backup(folders: Folders, options: BackupOptions): Promise<BackupResult> {
  const { dataset, target, signal } = options;
  const place = backupPlace(target, options.s3 ?? {}, options.patience);
  if ((await place.text(descriptionName)) !== undefined)
    throw new SluiceError('E_EXISTS', `${target} holds a backup already`, {
      hint: 'give each backup a prefix of its own, e.g. with the date',
    });
  const name = createHash('sha256')
    .update(JSON.stringify([target, dataset ?? null]))
    .digest('hex')
    .slice(0, 16);
  const root = join(folders.root, 'backups', name);
  const notes = new Notes(join(root, 'progress.json'));
  const files = join(root, 'files');
  const resumed = (await notes.open()) && (await filesBelow(files)).length > 0;
  if (!resumed) {
    await removeStage(root);
    await stage(folders, dataset, files);
    if ((await filesBelow(files)).length === 0) {
      await removeStage(root);
      throw new SluiceError('E_NOT_FOUND', `there is nothing to back up in ${folders.root}`, { hint: 'name the data folder with --data' });
    }
    await notes.begin();
  }
  try {
    const description = await copyAll(place, files, notes, options);
    await place.writeText(
      descriptionName,
      `${JSON.stringify({ sluice: 1, dataset: dataset ?? null, ...description } satisfies Description, null, 1)}\n`,
    );
    await removeStage(root);
    return { files: description.files.length, bytes: description.files.reduce((sum, { bytes }) => sum + bytes, 0), resumed };
  } catch (error) {
    if (!signal?.aborted) throw asSluiceError(error, `back up to ${target}`);
    throw new SluiceError('E_ABORTED', 'stopped on request', { hint: 'run the command again to go on there', cause: error });
  }
}

async function copyAll(place: BackupPlace, root: string, notes: Notes, { signal, onProgress }: BackupOptions) {
  const names = await filesBelow(root);
  const sizes = new Map(await Promise.all(names.map(async (name) => [name, (await stat(join(root, name))).size] as const)));
  const total = Math.max(
    1,
    [...sizes.values()].reduce((sum, size) => sum + size, 0),
  );
  let bytes = 0;
  const onBytes = (count: number) => {
    bytes += count;
    onProgress?.(Math.min(1, bytes / total));
  };
  for (const name of names) {
    if (notes.isDone(name)) {
      onBytes(sizes.get(name)!);
      continue;
    }
    signal?.throwIfAborted();
    const onNote = (note: UploadNote | undefined) => notes.upload(name, note);
    const copied = await place.put(name, join(root, name), { signal, note: notes.noteOf(name), onNote, onBytes });
    await notes.done({ path: name, ...copied });
  }
  return { createdMs: notes.createdMs, files: notes.files };
}

/** Progress, kept in a file that is replaced as a whole. */
class Notes {
  #state: Progress = { createdMs: 0, done: [], uploads: {} };
  #names = new Set<string>();
  #writing: Promise<void> = Promise.resolve();

  constructor(private readonly path: string) {}

  get createdMs(): number {
    return this.#state.createdMs;
  }

  get files(): BackedUpFile[] {
    return this.#state.done;
  }

  /** False where no try got as far as a whole copy. */
  async open(): Promise<boolean> {
    try {
      this.#state = JSON.parse(await readFile(this.path, 'utf8')) as Progress;
      this.#names = new Set(this.#state.done.map(({ path }) => path));
      return true;
    } catch {
      return false;
    }
  }

  async begin(): Promise<void> {
    this.#state = { createdMs: Date.now(), done: [], uploads: {} };
    await this.#write();
  }

  isDone(name: string): boolean {
    return this.#names.has(name);
  }

  noteOf(name: string): UploadNote | undefined {
    return Object.hasOwn(this.#state.uploads, name) ? this.#state.uploads[name] : undefined;
  }

  async upload(name: string, note: UploadNote | undefined): Promise<void> {
    if (note === undefined) delete this.#state.uploads[name];
    else this.#state.uploads[name] = note;
    await this.#write();
  }

  async done(file: BackedUpFile): Promise<void> {
    this.#state.done.push(file);
    this.#names.add(file.path);
    await this.#write();
  }

  /** One after the other: parts are sent at the same time. */
  async #write(): Promise<void> {
    const write = async () => {
      await mkdir(dirname(this.path), { recursive: true });
      await writeFile(`${this.path}.tmp`, JSON.stringify(this.#state));
      await rename(`${this.path}.tmp`, this.path);
    };
    this.#writing = this.#writing.then(write, write);
    await this.#writing.catch((error: unknown) => {
      throw asSluiceError(error, `write ${this.path}`);
    });
  }
}
