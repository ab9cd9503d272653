// The process's compute threads, and what the addon was built with.
import { native } from './call.js';

/** Threads that trainings and evaluations compute on, for the whole process; 0: as many as cores are available. */
export function setComputeThreads(threads: number): void {
  native((addon) => addon.set_compute_threads(threads));
}

export function computeThreads(): number {
  return native((addon) => addon.compute_threads());
}

/** Versions of LibTorch, LMDB and this package; `cuda`: LibTorch has CUDA. */
export function buildInfo(): { torch: string; cuda: boolean; lmdb: string; version: string } {
  return native((addon) => addon.build_info());
}
