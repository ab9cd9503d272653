// The process's compute threads, and what the addon was built with.
import { native } from './call.js';

/** Threads that trainings and evaluations compute on, for the whole process; 0: as many as cores are available. */
export function setComputeThreads(threads: number): void {
  native((addon) => addon.set_compute_threads(threads));
}

export function computeThreads(): number {
  return native((addon) => addon.compute_threads());
}

/** A GPU that trainings can use; `memory` in bytes. */
export type CudaDevice = { name: string; memory: number; capability: string };

/** The GPUs that this build and the machine's driver can use; none where either is missing. */
export function cudaDevices(): CudaDevice[] {
  return native((addon) => addon.cuda_devices());
}

/** Throws E_DEVICE, which says what is missing, unless there is a GPU to train on. */
export function requireCuda(): void {
  native((addon) => addon.require_cuda());
}

/** Versions of LibTorch, LMDB and this package; `cuda`: built with the CUDA part. */
export function buildInfo(): { torch: string; cuda: boolean; lmdb: string; version: string } {
  return native((addon) => addon.build_info());
}
