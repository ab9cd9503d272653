// Watches the files of a dataset's source: what appears is ingested, file by file, each exactly once.
import { type FSWatcher, watch } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { SluiceError } from '../errors.js';
import { isS3 } from '../s3/address.js';
import { isMissingBucket } from '../s3/errors.js';
import { isFrequent } from '../sources/forms.js';
import { ingest } from '../sources/ingest.js';
import { Manifests } from '../sources/manifest.js';
import type { Choose } from '../sources/paths.js';
import { readPartState } from '../sources/progress.js';
import { partsOf } from '../sources/read.js';
import type { SharedStore } from '../sources/shared-store.js';
import type { DatasetSpec } from '../sources/spec.js';
import type { Source, SourcePart } from '../sources/types.js';

export type WatchOptions = {
  shared: SharedStore;
  /** Finds the source's files anew. */
  openSource(choose: Choose | undefined): Promise<Source>;
  /** Name of manifests, where only files are taken that one names. */
  manifest?: string | undefined;
  spec: DatasetSpec;
  /** Folder of the pipeline file. */
  folder: string;
  /** Folders in which files appear. */
  folders: readonly string[];
  /** Longest time until a new file is noticed, ms. */
  everyMs: number;
  /** Pause before a file is tried again after an error that may pass, ms. Default 1,000. */
  retryMs?: number;
  signal: AbortSignal;
  onProgress(progress: { part: string; rowsDone: number; rowsTotal?: number | undefined; samples: number }): void;
  onIngested(samples: number): void;
  onProblem(error: SluiceError): void;
};

/** What may be over when it is tried again. */
const passing = new Set(['E_NO_SPACE', 'E_IO', 'E_MEMORY', 'E_READ_ONLY', 'E_CLOSED', 'E_ACCESS', 'E_UNREACHABLE']);
/** A listing may take this part of the time. */
const listingShare = 0.1;

/** Ingests until the signal aborts. Files that cannot be ingested are told and put aside until they change; others go on. */
export async function watchSource(options: WatchOptions): Promise<void> {
  const { signal } = options;
  const aside = new Map<string, string>();
  const alarm = new Alarm(options.folders, signal);
  const choose = chooserOf(options);
  let told = '';
  try {
    while (!signal.aborted) {
      const started = performance.now();
      let [pause, least] = [options.everyMs, 0];
      try {
        const parts = await findParts(options, aside, choose);
        least = (performance.now() - started) / listingShare;
        pause = Math.max(pause, least);
        if (!(await ingestAll(parts, options, aside))) pause = options.retryMs ?? 1000;
        told = '';
      } catch (error) {
        if (signal.aborted) return;
        const problem = asProblem(error);
        if (problem.message !== told) options.onProblem(problem);
        told = problem.message;
      }
      await alarm.wait(pause, least);
    }
  } finally {
    alarm.close();
  }
}

/** Takes what manifests name, where there shall be some. */
function chooserOf({ manifest, shared, onProblem }: WatchOptions): Choose | undefined {
  if (manifest === undefined) return undefined;
  const done = (name: string) => readPartState(shared.writer.store, name)?.complete ?? false;
  const manifests = new Manifests({ pattern: manifest, done, onProblem });
  return (patterns, found) => manifests.choose(patterns, found);
}

type Parts = { all: SourcePart[]; fresh: SourcePart[] };

/** Parts in the source's order; fresh: those that are complete files and not yet ingested. */
async function findParts(
  { openSource, shared }: WatchOptions,
  aside: ReadonlyMap<string, string>,
  choose: Choose | undefined,
): Promise<Parts> {
  let parts: SourcePart[];
  try {
    parts = await partsOf(await openSource(choose));
  } catch (error) {
    // Nothing is there yet.
    if (error instanceof SluiceError && error.code === 'E_NOT_FOUND' && !isMissingBucket(error)) return { all: [], fresh: [] };
    throw error;
  }
  const { store } = shared.writer;
  const fresh = parts.filter((part) => {
    if (part.name.endsWith('.tmp') || aside.get(part.name) === part.fingerprint) return false;
    const state = readPartState(store, part.name);
    return state === undefined || !state.complete || state.fingerprint !== part.fingerprint;
  });
  return { all: parts, fresh };
}

/** False when a file is to be tried again soon. */
async function ingestAll({ all, fresh }: Parts, options: WatchOptions, aside: Map<string, string>): Promise<boolean> {
  for (const part of fresh) {
    const { coders, store } = options.shared.writer;
    const { spec, folder, signal, onProgress } = options;
    try {
      const before = readPartState(store, part.name)?.rows ?? 0;
      // Where times are made they follow from the rows of the files before.
      const earlier = 'step' in spec.time ? all.filter((other) => other !== part && readPartState(store, other.name)?.complete) : [];
      const source = { parts: async () => [...earlier, part] };
      // Where values are counted nobody else writes: the file begins with dictionaries of its own.
      const counted = Object.values(spec.columns).some(isFrequent);
      await ingest({ store, ...(counted ? {} : { coders }), source, spec, folder, signal, onProgress, late: true });
      const state = readPartState(store, part.name);
      options.onIngested((state?.rows ?? 0) - before);
      // A file that was only copied or touched stays as it is.
      if (state?.fingerprint !== part.fingerprint) aside.set(part.name, part.fingerprint);
    } catch (error) {
      if (signal.aborted) return true;
      const problem = asProblem(error);
      options.onProblem(problem);
      if (passing.has(problem.code)) return false;
      aside.set(part.name, part.fingerprint);
    }
  }
  return true;
}

function asProblem(error: unknown): SluiceError {
  if (error instanceof SluiceError && error.code !== 'E_INTERNAL') return error;
  throw error;
}

/** Waits for a time, until something changes in the folders, or until the signal aborts. */
class Alarm {
  readonly #watchers: FSWatcher[] = [];
  #changed = false;
  #ring = () => {};

  constructor(
    folders: readonly string[],
    readonly signal: AbortSignal,
  ) {
    const ring = () => {
      this.#changed = true;
      this.#ring();
    };
    for (const folder of new Set(folders)) {
      try {
        // Polling finds what a watcher does not tell, as on network file systems; one that fails is not missed.
        this.#watchers.push(watch(folder, { persistent: false }, ring).on('error', () => {}));
      } catch {
        // The folder is not there yet.
      }
    }
    signal.addEventListener('abort', ring, { once: true });
  }

  /** At least `least` ms, so that a folder in which much changes does not take all the time. */
  async wait(ms: number, least: number): Promise<void> {
    const until = performance.now() + least;
    if (!this.#changed) await this.#pause(ms);
    if (!this.signal.aborted && performance.now() < until) await this.#pause(until - performance.now());
    this.#changed = false;
  }

  async #pause(ms: number): Promise<void> {
    if (this.signal.aborted) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#ring = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#ring = () => {};
  }

  close(): void {
    for (const watcher of this.#watchers) watcher.close();
  }
}

/** The local folders in which the files of these paths, relative to `folder`, appear. */
export const foldersOfPaths = (paths: readonly string[], folder: string): string[] => [
  ...new Set(paths.filter((path) => !isS3(path)).map((path) => dirname(resolve(folder, path)))),
];
