// The view of a run over its dataset: opened anew once samples were deleted, so that they vanish from what follows.
import type { Dataset, Snapshot } from '../native/dataset.js';

export class LivingView {
  #snapshot: Snapshot;
  #deletions: number;

  constructor(private readonly dataset: Dataset) {
    this.#deletions = dataset.deletionCount();
    this.#snapshot = this.#open();
  }

  /** Views of an earlier snapshot are detached when there is another one. */
  get(): Snapshot {
    const deletions = this.dataset.deletionCount();
    if (deletions !== this.#deletions) {
      this.#deletions = deletions;
      this.#snapshot.close();
      this.#snapshot = this.#open();
    }
    return this.#snapshot;
  }

  [Symbol.dispose](): void {
    this.#snapshot.close();
  }

  // No lease: the run itself holds the snapshot until it ends.
  #open(): Snapshot {
    return this.dataset.snapshot({ leaseMs: 0 });
  }
}
