// Every call into the addon goes through native(), which gives errors their class; long ones through stoppable() too.
import { type ErrorCode, errorCodes, SluiceError } from '../errors.js';
import { loadAddon } from './addon.js';
import type { Addon, StopHandle } from './raw.js';

/** Runs `call`; an Error with one of our codes, thrown or rejected, becomes a SluiceError with the native detail as cause. */
export function native<T>(call: (addon: Addon) => T): T {
  const addon = loadAddon();
  try {
    const result = call(addon);
    return result instanceof Promise ? (settled(result) as T) : result;
  } catch (error) {
    throw toSluiceError(error);
  }
}

async function settled<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    throw toSluiceError(error);
  }
}

function toSluiceError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof SluiceError) return error;
  const code = (error as { code?: unknown }).code;
  if (typeof code !== 'string' || !Object.hasOwn(errorCodes, code)) return error;
  return new SluiceError(code as ErrorCode, error.message, { cause: error.cause });
}

/**
 * Runs a long call that stops when `signal` aborts: it then rejects with E_ABORTED, whose cause is the signal's reason.
 * The listener is gone once the call has settled.
 */
export async function stoppable<T>(signal: AbortSignal | undefined, call: (addon: Addon, stop: StopHandle) => Promise<T>): Promise<T> {
  if (signal?.aborted) throw aborted(signal);
  const stop = native((addon) => addon.stop_create());
  const onAbort = () => native((addon) => addon.stop_request(stop));
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    return await native((addon) => call(addon, stop));
  } catch (error) {
    if (signal?.aborted && error instanceof SluiceError && error.code === 'E_ABORTED') throw aborted(signal);
    throw error;
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}

function aborted(signal: AbortSignal): SluiceError {
  return new SluiceError('E_ABORTED', 'stopped on request', { cause: signal.reason });
}
