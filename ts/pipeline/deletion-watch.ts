// Looks out for deletions while a training runs: one whose set holds a sample that was deleted meanwhile is stopped.
import type { Dataset } from '../native/dataset.js';
import { countInTrainset } from '../native/trainset.js';

/** Time between two looks; a look reads one entry of the index. */
const everyMs = 1000;

export class DeletionWatch {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #known: number;
  #looking: Promise<boolean> = Promise.resolve(false);
  #checked: number;
  #found = false;

  /** `known`: number of the last deletion that the set does without. */
  constructor(
    private readonly dataset: Dataset,
    private readonly folder: string,
    private readonly trainset: string,
    known: number,
  ) {
    this.#known = known;
    this.#checked = known;
    this.#timer = setInterval(() => {
      this.#looking = this.look().then(
        (found) => {
          if (found) this.#controller.abort(new Error('a sample of the training set was deleted'));
          return found;
        },
        () => false, // what is wrong with the dataset, the training itself will tell
      );
    }, everyMs).unref();
  }

  /** Aborts once the set holds a deleted sample. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Whether the set holds a sample that was deleted since. */
  async look(): Promise<boolean> {
    const count = this.dataset.deletionCount();
    if (this.#found || count === this.#checked) return this.#found;
    const fresh = (await this.dataset.deletions()).filter(({ number }) => number > this.#known);
    const ranges = fresh.flatMap(({ keys }) => keys);
    this.#found = (await countInTrainset(this.folder, this.trainset, ranges)) > 0;
    this.#checked = count;
    return this.#found;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }
}
