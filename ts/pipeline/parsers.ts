// Worker threads that run a pipeline's own parser, for as long as a run lasts.
import { Worker } from 'node:worker_threads';
import type { LoadedPipeline } from '../config/parse.js';
import { type ParsedShape, ParserQueue } from '../native/parser.js';

/** What a worker thread is started with. `config` as the pipeline file gives it. */
export type ParserWork = { queue: number; shape: ParsedShape; file: string; config: unknown };

const workerFile = new URL('./parser-worker.js', import.meta.url);

export class ParserPool implements AsyncDisposable {
  readonly queue: ParserQueue;
  readonly #workers: Worker[];
  #closing = false;

  constructor(work: Omit<ParserWork, 'queue'>, name: string, threads: number, seconds: number) {
    this.queue = new ParserQueue(name, work.shape, seconds);
    const workerData: ParserWork = { ...work, queue: this.queue.number };
    this.#workers = Array.from({ length: threads }, () => this.#start(name, workerData));
  }

  /** Stops the workers, also one whose code never returns, and waits until they are gone. */
  async close(): Promise<void> {
    this.#closing = true;
    this.queue.close();
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** A worker that ends before the pool does takes the training with it: its samples would never come. */
  #start(name: string, workerData: ParserWork): Worker {
    // Node's own options of the process, such as --input-type, need not be those of a thread.
    const worker = new Worker(workerFile, { workerData, execArgv: [] });
    const ended = (how: string) => {
      if (!this.#closing) this.queue.fail(`${name}: its worker thread ended: ${how}`);
    };
    worker.on('error', (error) => ended(error instanceof Error ? error.message : String(error)));
    worker.on('exit', (code) => ended(`exit code ${code}`));
    // A run that was forgotten does not keep the process alive.
    worker.unref();
    return worker;
  }
}

/** The pool that `features.parse` asks for, if it does. */
export function parserPool({ parser, config: { features } }: LoadedPipeline): ParserPool | undefined {
  const { parse } = features;
  if (parser === undefined || parse === undefined) return undefined;
  const { dense, categorical, values, ids, threads, seconds } = parse;
  return new ParserPool(
    { shape: { dense, categorical, values, ids }, file: parser.file, config: parser.config },
    parse.id,
    threads,
    seconds,
  );
}
