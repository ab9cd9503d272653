// A broker that is tried again until production stops.
import type { SluiceError } from '../errors.js';
import { delay } from '../pipeline/delay.js';

export type Retrying = {
  /** First pause before the broker is tried again, ms; it doubles up to 30 s. */
  retryMs: number;
  signal: AbortSignal;
  onProblem(error: SluiceError): void;
};

const maxRetryMs = 30_000;

/** Runs `attempt` until the signal aborts. What fails is told once, until `attempt` calls `onProgress`, and tried again. */
export async function retried(
  { retryMs, signal, onProblem }: Retrying,
  attempt: (onProgress: () => void) => Promise<void>,
  asProblem: (error: unknown) => SluiceError,
): Promise<void> {
  let told = '';
  for (let pause = retryMs; !signal.aborted; pause = Math.min(maxRetryMs, 2 * pause)) {
    try {
      await attempt(() => {
        told = '';
        pause = retryMs;
      });
    } catch (error) {
      if (signal.aborted) return;
      const problem = asProblem(error);
      if (problem.message !== told) onProblem(problem);
      told = problem.message;
    }
    await delay(pause, signal);
  }
}
