// Triggers that wait for their training, and what becomes of those that pile up while one trains.
import type { TriggerRecord } from './results.js';

/** queue: every one is trained, in order; merge: only the newest waiting one; drop: none that fires while another waits or trains. */
export type PendingPolicy = 'queue' | 'merge' | 'drop';

export class Pending {
  readonly #policy: PendingPolicy;
  readonly #waiting: TriggerRecord[] = [];
  #training: TriggerRecord | undefined;

  constructor(policy: PendingPolicy) {
    this.#policy = policy;
  }

  /** Number of triggers that wait. */
  get length(): number {
    return this.#waiting.length;
  }

  /** Takes a trigger that just fired and returns the records to be journalled: its own, and those that it changes. */
  add(fired: TriggerRecord): TriggerRecord[] {
    const before = this.#training ?? this.#waiting[0];
    if (this.#policy === 'drop' && before !== undefined)
      return [{ ...fired, outcome: 'dropped', note: `trigger ${before.id} was being trained` }];
    const merged = this.#policy === 'merge' ? this.#waiting.splice(0) : [];
    this.#waiting.push(fired);
    return [
      ...merged.map((t): TriggerRecord => ({ ...t, outcome: 'merged', note: `trigger ${fired.id} came before its training` })),
      fired,
    ];
  }

  /** Triggers of an earlier run that are still to be trained, in order: the policy has passed them already. */
  restore(triggers: readonly TriggerRecord[]): void {
    this.#waiting.push(...triggers);
  }

  /** The next trigger to be trained; end() says that it was. */
  begin(): TriggerRecord | undefined {
    this.#training = this.#waiting.shift();
    return this.#training;
  }

  end(): void {
    this.#training = undefined;
  }
}
