// A consistent copy of what is to be backed up, in a folder below the data folder: LMDB environments are copied as a commit left them, other files are
// linked, since they are replaced or grow behind what counts, but never change before it.
import { copyFile, link, mkdir, readdir, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Dataset } from '../native/dataset.js';
import { asSluiceError, type Folders } from '../pipeline/folders.js';
import { Journal } from '../pipeline/journal.js';

/** Makes the copy in the folder `root`, of one dataset or of all there is. The errors of storage and file systems. */
export async function stage(folders: Folders, dataset: string | undefined, root: string): Promise<void> {
  try {
    // What the journal names was there before it was named: it comes first.
    if (dataset === undefined) await stageJournal(folders, root);
    const ids = dataset === undefined ? await namesIn(join(folders.root, 'datasets')) : [dataset];
    for (const id of ids) await stageDataset(folders.dataset(id), join(root, 'datasets', id));
    if (dataset !== undefined) return;
    await linkAll(folders.trainsets, join(root, 'trainsets'), isKept);
    for (const id of await namesIn(join(folders.root, 'models'))) await linkAll(folders.models(id), join(root, 'models', id), isKept);
  } catch (error) {
    throw asSluiceError(error, `prepare the backup in ${root}`);
  }
}

/** A training that was cut off begins anew after a restore. */
const isKept = (name: string): boolean => !/\.(checkpoint|tmp)$|\.tmp\./.test(name);

async function stageJournal({ state }: Folders, root: string): Promise<void> {
  if ((await namesIn(state)).length === 0) return;
  const journal = await Journal.open(state);
  try {
    await journal.copyTo(join(root, 'state'));
  } finally {
    await journal.close();
  }
}

async function stageDataset(from: string, to: string): Promise<void> {
  // A compaction may come between: what the index names is among the segments of before or of after.
  await linkAll(join(from, 'segments'), join(to, 'segments'), isKept);
  await stageIndex(from, to);
  await linkAll(join(from, 'segments'), join(to, 'segments'), isKept);
  await copyFileTo(join(from, 'schema'), join(to, 'schema'));
  for (const pipeline of await namesIn(join(from, 'metadata'))) {
    const values = join(from, 'metadata', pipeline);
    if ((await namesIn(values)).includes('data.mdb')) await Dataset.copyEnvironment(values, join(to, 'metadata', pipeline));
  }
}

/** The index, and then its log, which may hold more by then. Once more where the log was replaced by another meanwhile. */
async function stageIndex(from: string, to: string): Promise<void> {
  const log = join(from, 'state.log');
  const fileOf = async () => (await stat(log).catch(() => undefined))?.ino;
  for (let tries = 0; tries < 5; tries++) {
    await rm(join(to, 'index'), { recursive: true, force: true });
    const before = await fileOf();
    await Dataset.copyEnvironment(join(from, 'index'), join(to, 'index'));
    await copyFileTo(log, join(to, 'state.log'));
    if (before === (await fileOf())) return;
  }
}

async function linkAll(from: string, to: string, keeps: (name: string) => boolean): Promise<void> {
  for (const name of await namesIn(from)) if (keeps(name)) await linkFile(join(from, name), join(to, name));
}

async function linkFile(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await link(from, to).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST' || error.code === 'ENOENT') return;
    // Some file systems have no links.
    await copyFileTo(from, to);
  });
}

async function copyFileTo(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await copyFile(from, to).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw error;
  }
}

/** Paths of all files below it, relative to it; none where it is missing. */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw asSluiceError(error, `list ${folder}`);
  });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath ?? entry.path, entry.name));
  return files.map((path) => path.slice(folder.length + 1)).sort();
}

/** And the folder of such copies, where it was the last. */
export async function removeStage(root: string): Promise<void> {
  await rm(root, { recursive: true, force: true });
  await rmdir(dirname(root)).catch(() => {});
}
