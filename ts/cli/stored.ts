// Reading what runs left behind.
import { access } from 'node:fs/promises';
import { SluiceError } from '../errors.js';
import { foldersOf } from '../pipeline/folders.js';
import { Journal } from '../pipeline/journal.js';

/** Opens the journal of a data folder for reading and closes it afterwards. E_NOT_FOUND when nothing was run there. */
export async function withJournal<T>(dataFolder: string, work: (journal: Journal) => T | Promise<T>): Promise<T> {
  const { state } = foldersOf(dataFolder);
  await access(state).catch(() => {
    throw new SluiceError('E_NOT_FOUND', `${dataFolder} is not a data folder of Sluice`, {
      hint: 'name one with --data, or run a pipeline first: sluice run <pipeline.yaml>',
    });
  });
  const journal = await Journal.open(state);
  try {
    return await work(journal);
  } finally {
    await journal.close();
  }
}
