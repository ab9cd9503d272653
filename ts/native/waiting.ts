// Samples that wait for their labels, in a log of their own beside a dataset: native/src/waiting/waiting.h says how it works.
import { native } from './call.js';
import type { WaitingHandle } from './raw.js';
import type { Schema, SettledRows, WaitingAnswer, WaitingBatch, WaitingCounts } from './types.js';

/** Calls go one after the other; none blocks the main thread. Whoever has the dataset open for writing may open it, once. */
export class Waiting {
  readonly #handle: WaitingHandle;

  private constructor(handle: WaitingHandle) {
    this.#handle = handle;
  }

  /**
   * Opens or makes the log in `folder`. `applied`: SettledRows.through of the rows that the dataset got last, 0 without any. E_CORRUPT, also
   * where log and dataset are not of the same time; E_IO, E_NO_SPACE, E_READ_ONLY.
   */
  static async open(folder: string, schema: Schema, applied: number): Promise<Waiting> {
    return new Waiting(await native((addon) => addon.waiting_open(folder, schema, applied)));
  }

  /**
   * Decides on each request, appends what is accepted durably and resolves with an answer to each. Everything must have been taken before.
   * E_ARGUMENT, E_NOT_FINITE, E_LABEL_RANGE, E_NO_SPACE, E_IO, E_READ_ONLY: nothing counts then.
   */
  append(batch: WaitingBatch): Promise<WaitingAnswer[]> {
    return native((addon) => addon.waiting_append(this.#handle, batch));
  }

  /** Ends the wait of what arrived before `beforeMs`, or of a part of it: false when nothing was left. Samples get `label`; null drops them. */
  expire(nowMs: number, beforeMs: number, label: number | null): Promise<boolean> {
    return native((addon) => addon.waiting_expire(this.#handle, nowMs, beforeMs, label));
  }

  /** Drops waiting samples: those with a time in [fromMs, untilMs). */
  removeTimes(nowMs: number, fromMs: number, untilMs: number): Promise<void> {
    return native((addon) => addon.waiting_remove_times(this.#handle, nowMs, fromMs, untilMs));
  }

  /** Drops the waiting sample with this id, if there is one. */
  removeId(nowMs: number, id: string): Promise<void> {
    return native((addon) => addon.waiting_remove_id(this.#handle, nowMs, id));
  }

  /** What follows from the log and is not taken yet. It must be appended to the dataset, in order, with `through`. */
  take(): Promise<SettledRows> {
    return native((addon) => addon.waiting_take(this.#handle));
  }

  /** The dataset has the rows through this event. */
  applied(through: number): Promise<void> {
    return native((addon) => addon.waiting_applied(this.#handle, through));
  }

  /** Makes the next open() fast. All that was taken must be in the dataset. */
  checkpoint(): Promise<void> {
    return native((addon) => addon.waiting_checkpoint(this.#handle));
  }

  counts(): WaitingCounts {
    return native((addon) => addon.waiting_counts(this.#handle));
  }

  /** Idempotent. */
  close(): void {
    native((addon) => addon.waiting_close(this.#handle));
  }
}
