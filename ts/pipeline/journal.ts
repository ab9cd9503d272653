// What makes a run resumable: each step of a pipeline is recorded durably before its effect counts, keyed by
// (pipeline id, trigger id). Kept with the other small state of the TypeScript side in one LMDB environment.
import { existsSync, readFileSync } from 'node:fs';
import { link, mkdtemp, open as openFile, readFile, rm } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import { SluiceError } from '../errors.js';
import { asSluiceError, makeFolder, syncFolder } from './folders.js';
import type { EvalWindow, RunResult, TrainingRecord, TriggerRecord, WindowMetrics } from './results.js';

/** What a pipeline was when its run began; a run goes on only if `hash` is still the same. */
export type PipelineRecord = {
  id: string;
  hash: string;
  file: string;
  text: string;
  seed: number;
  triggerPolicy: string;
  selectionPolicy: string;
  dataset: RunResult['dataset'];
  windows: EvalWindow[];
  /** Absent: experiment. */
  mode?: 'experiment' | 'production';
  /** The pipeline whose trace an experiment replays. */
  trace?: string;
  /** Deletions that the dataset had seen; 0 where it is missing. */
  deletions?: number;
  createdMs: number;
  complete: boolean;
  seconds: RunResult['seconds'];
};

/** The frozen training set of a trigger. */
export type SetRecord = { trainset: string; size: number };

type Step = 'trigger' | 'set' | 'discarded' | 'training' | 'evaluation' | 'trace';
type Key = [pipeline: string, step: Step | 'pipeline' | 'lock'] | [pipeline: string, step: Step, trigger: number];

/** LMDB's name for it. */
const dataFile = 'data.mdb';
/** Where a meta page's content begins: its mark, and 24 bytes behind that the size of a page. */
const metaAt = 24;
const metaMagic = 0xbeefc0de;
/** More than LMDB's table of readers takes. */
const lockBytes = 16_384;

export class Journal {
  readonly #db: RootDatabase<unknown, Key>;
  #locked: string | undefined;

  private constructor(db: RootDatabase<unknown, Key>) {
    this.#db = db;
  }

  /** Opens or creates the journal in `folder`. E_READ_ONLY, E_NO_SPACE, E_CORRUPT. */
  static async open(folder: string): Promise<Journal> {
    await makeFolder(folder);
    try {
      await makeFiles(folder);
      await checkFile(join(folder, dataFile));
      return new Journal(environment(folder));
    } catch (error) {
      const known = asSluiceError(error, `open ${folder}`);
      if (known instanceof SluiceError) throw known;
      const message = (error as Error).message;
      const code = /denied|not permitted|read-only/i.test(message) ? 'E_READ_ONLY' : /no space/i.test(message) ? 'E_NO_SPACE' : 'E_CORRUPT';
      throw new SluiceError(code, `open ${folder}: ${message}`, { cause: error });
    }
  }

  /** Copies the journal, as its last commit left it, to a folder. */
  async copyTo(folder: string): Promise<void> {
    await makeFolder(folder);
    await this.#db.backup(folder, true);
  }

  pipelines(): PipelineRecord[] {
    const all: PipelineRecord[] = [];
    for (const { key, value } of this.#db.getRange({})) if (key[1] === 'pipeline') all.push(value as PipelineRecord);
    return all;
  }

  pipeline(id: string): PipelineRecord | undefined {
    return this.#db.get([id, 'pipeline']) as PipelineRecord | undefined;
  }

  trigger(pipeline: string, id: number): TriggerRecord | undefined {
    return this.#db.get([pipeline, 'trigger', id]) as TriggerRecord | undefined;
  }

  set(pipeline: string, id: number): SetRecord | undefined {
    return this.#db.get([pipeline, 'set', id]) as SetRecord | undefined;
  }

  training(pipeline: string, id: number): TrainingRecord | undefined {
    return this.#db.get([pipeline, 'training', id]) as TrainingRecord | undefined;
  }

  evaluation(pipeline: string, id: number): WindowMetrics[] | undefined {
    return this.#db.get([pipeline, 'evaluation', id]) as WindowMetrics[] | undefined;
  }

  /** Entries of a page of a trace, as trace.ts writes them. */
  tracePage(pipeline: string, page: number): number[] | undefined {
    return this.#db.get([pipeline, 'trace', page]) as number[] | undefined;
  }

  /** Number of the last page of a trace; -1 when there is none. */
  lastTracePage(pipeline: string): number {
    const [start, end]: Key[] = [
      [pipeline, 'trace', Number.MAX_SAFE_INTEGER],
      [pipeline, 'trace', -1],
    ];
    for (const key of this.#db.getKeys({ start: start as Key, end: end as Key, reverse: true, limit: 1 })) return key[2] as number;
    return -1;
  }

  /** The pages of the trace that changed, and the triggers that were decided on or changed, all or nothing. */
  putArrival(pipeline: string, pages: [page: number, entries: number[]][], triggers: readonly TriggerRecord[]): Promise<void> {
    return this.#putAll([
      ...pages.map(([page, entries]): [Key, unknown] => [[pipeline, 'trace', page], entries]),
      ...triggers.map((trigger): [Key, unknown] => [[pipeline, 'trigger', trigger.id], trigger]),
    ]);
  }

  /** The record, in which a window was added, with the metrics of a trigger's model on it if there was one. */
  putWindow(record: PipelineRecord, triggerId: number | undefined, metrics: WindowMetrics[]): Promise<void> {
    const evaluated: [Key, unknown][] = triggerId === undefined ? [] : [[[record.id, 'evaluation', triggerId], metrics]];
    return this.#putAll([[[record.id, 'pipeline'], record], ...evaluated]);
  }

  /** Sets of the trigger on which trainings were stopped, since samples of them were deleted. */
  discarded(pipeline: string, id: number): string[] {
    return (this.#db.get([pipeline, 'discarded', id]) as string[] | undefined) ?? [];
  }

  putPipeline(record: PipelineRecord): Promise<void> {
    return this.#put([record.id, 'pipeline'], record);
  }

  putTrigger(pipeline: string, record: TriggerRecord): Promise<void> {
    return this.#put([pipeline, 'trigger', record.id], record);
  }

  putSet(pipeline: string, id: number, record: SetRecord): Promise<void> {
    return this.#put([pipeline, 'set', id], record);
  }

  putDiscarded(pipeline: string, id: number, trainsets: string[]): Promise<void> {
    return this.#put([pipeline, 'discarded', id], trainsets);
  }

  putTraining(pipeline: string, record: TrainingRecord): Promise<void> {
    return this.#put([pipeline, 'training', record.triggerId], record);
  }

  putEvaluation(pipeline: string, id: number, metrics: WindowMetrics[]): Promise<void> {
    return this.#put([pipeline, 'evaluation', id], metrics);
  }

  /** Forgets everything of a pipeline: its next run starts anew. */
  async forget(pipeline: string): Promise<void> {
    await this.#commit(() => {
      for (const key of [...this.#db.getKeys({ start: [pipeline] as unknown as Key })]) {
        if (key[0] !== pipeline) break;
        if (key[1] !== 'lock') this.#db.remove(key);
      }
    });
  }

  /** Lets only one process run a pipeline at a time: E_LOCKED while another one does. Ends with close() or the process. */
  async lock(pipeline: string): Promise<void> {
    const own = { pid: process.pid, start: startOf(process.pid) };
    const holder = await this.#commit(() => {
      const other = this.#db.get([pipeline, 'lock']) as Holder | undefined;
      if (other !== undefined && other.pid !== own.pid && other.start !== undefined && startOf(other.pid) === other.start) return other.pid;
      this.#db.put([pipeline, 'lock'], own);
      return undefined;
    });
    if (holder !== undefined) throw new SluiceError('E_LOCKED', `pipeline ${pipeline} is being run by process ${holder}`);
    this.#locked = pipeline;
  }

  async close(): Promise<void> {
    const locked = this.#locked;
    this.#locked = undefined;
    // The lock ends with the process in any case.
    if (locked !== undefined) await this.#commit(() => this.#db.remove([locked, 'lock'])).catch(() => {});
    await this.#db.close();
  }

  #putAll(records: readonly [Key, unknown][]): Promise<void> {
    return this.#commit(() => {
      for (const [key, value] of records) this.#db.put(key, value);
    });
  }

  #put(key: Key, value: unknown): Promise<void> {
    return this.#putAll([[key, value]]);
  }

  /**
   * What `work` puts and removes, all or nothing; durable when it resolves. E_NO_SPACE, E_IO. On this thread: where a commit of the package's
   * own thread fails, promises are rejected that nobody can reach, which ends the process.
   */
  async #commit<T>(work: () => T): Promise<T> {
    try {
      return this.#db.transactionSync(work);
    } catch (error) {
      const { code, message } = error as { code?: unknown; message?: string };
      if (typeof code !== 'number') throw asSluiceError(error, 'write the journal');
      throw new SluiceError(code === constants.errno.ENOSPC ? 'E_NO_SPACE' : 'E_IO', `write the journal: ${message}`, { cause: error });
    }
  }
}

/**
 * A commit is durable when it resolves. (By default the package would sync afterwards, and know by the machine's boot id whether that had
 * happened before a power cut; a sync that fails then is told to nobody.)
 */
function environment(folder: string): RootDatabase<unknown, Key> {
  return open<unknown, Key>({ path: folder, name: 'journal', noMemInit: false, overlappingSync: false });
}

/**
 * Makes what is missing of the environment's files, complete and durable under other names first. LMDB trusts half of a new file, and where it
 * cannot make its files on a full disk the process ends by a signal: so it makes them elsewhere, or finds room for them reserved.
 */
async function makeFiles(folder: string): Promise<void> {
  if (!existsSync(join(folder, 'lock.mdb'))) await install(join(folder, 'lock.mdb'), Buffer.alloc(lockBytes));
  if (existsSync(join(folder, dataFile))) return;
  const elsewhere = await mkdtemp(join(tmpdir(), 'sluice-')).catch(() => mkdtemp(join(folder, 'new-')));
  try {
    await environment(elsewhere).close();
    await install(join(folder, dataFile), await readFile(join(elsewhere, dataFile)));
  } finally {
    await rm(elsewhere, { recursive: true, force: true });
  }
}

/** E_CORRUPT unless the file begins with LMDB's two meta pages; the package does not survive an error when it opens one. */
async function checkFile(path: string): Promise<void> {
  const damaged = () => new SluiceError('E_CORRUPT', `${path} is damaged: it does not begin with LMDB's meta pages`);
  const file = await openFile(path, 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(2 * 65_536), 0, 2 * 65_536, 0);
    if (bytesRead < 2 * 512) throw damaged();
    const pageBytes = buffer.readUInt32LE(metaAt + 24);
    if (pageBytes < 512 || pageBytes > 65_536 || (pageBytes & (pageBytes - 1)) !== 0 || bytesRead < 2 * pageBytes) throw damaged();
    for (const at of [metaAt, pageBytes + metaAt]) {
      if (buffer.readUInt32LE(at) !== metaMagic || buffer.readUInt32LE(at + 24) !== pageBytes) throw damaged();
    }
  } finally {
    await file.close();
  }
}

/** A new file, unless another process was faster. */
async function install(path: string, bytes: Buffer): Promise<void> {
  const fresh = `${path}.new-${process.pid}`;
  try {
    const file = await openFile(fresh, 'w');
    await file
      .writeFile(bytes)
      .then(() => file.sync())
      .finally(() => file.close());
    await link(fresh, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  } finally {
    await rm(fresh, { force: true });
  }
  await syncFolder(dirname(path));
}

/** Who runs a pipeline. */
type Holder = { pid: number; start: string | undefined };

/** What tells a process from all others that had or will have its number: the machine's boot and the tick it began at. Undefined once it has ended. */
function startOf(pid: number): string | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // from the third on
    return fields[0] === 'Z' ? undefined : `${boot} ${fields[19]}`;
  } catch {
    return undefined;
  }
}

/** Puts the records of a pipeline together. E_NOT_FOUND when there are none. */
export function readResult(journal: Journal, id: string): RunResult {
  const record = journal.pipeline(id);
  if (record === undefined) {
    const known = journal.pipelines().map((p) => p.id);
    const hint = known.length > 0 ? `there is: ${known.join(', ')}` : 'nothing was run in this data folder yet: sluice run <pipeline.yaml>';
    throw new SluiceError('E_NOT_FOUND', `no run of pipeline ${id}`, { hint });
  }
  const triggers: RunResult['triggers'] = [];
  for (let x = 0; ; x++) {
    const trigger = journal.trigger(id, x);
    if (trigger === undefined) break;
    triggers.push({ trigger, training: journal.training(id, x) ?? null, evaluation: journal.evaluation(id, x) ?? null });
  }
  const { seed, dataset, triggerPolicy, selectionPolicy, windows, seconds } = record;
  const status = record.mode === 'production' ? 'live' : record.complete ? 'complete' : 'incomplete';
  return { pipelineId: id, status, seed, dataset, triggerPolicy, selectionPolicy, windows, triggers, seconds };
}
