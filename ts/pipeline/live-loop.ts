// What the two loops of production mode have in common: they end together, and sleep until there is something to do.

/** Wakes the one who waits; rung while nobody does, it says nothing: who waits looks first whether there is something to do. */
export class Bell {
  #ring = () => {};

  ring(): void {
    this.#ring();
  }

  async wait(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#ring = resolve;
    });
  }
}

/** Loops run until the signal aborts or one of them fails. */
export class Loops {
  readonly #bells: Bell[] = [];
  #failure: { error: unknown } | undefined;

  constructor(readonly signal: AbortSignal) {
    signal.addEventListener('abort', () => this.#wake(), { once: true });
  }

  get stopped(): boolean {
    return this.signal.aborted || this.#failure !== undefined;
  }

  /** A bell that also rings when the loops are to end. */
  bell(): Bell {
    const bell = new Bell();
    this.#bells.push(bell);
    return bell;
  }

  /** Resolves once all have ended. Rejects with the first error of one, after the others have ended. */
  async run(...loops: Promise<void>[]): Promise<void> {
    await Promise.all(loops.map((loop) => loop.catch((error: unknown) => this.#fail(error))));
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake();
  }

  #wake(): void {
    for (const bell of this.#bells) bell.ring();
  }
}
