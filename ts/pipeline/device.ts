// What training.device means on this machine.
import { cudaDevices } from '../native/threads.js';
import type { TrainPlan } from '../native/types.js';

/** The device of a training. The core refuses cuda, with E_DEVICE, where there is none. */
export function chooseDevice(wanted: 'cpu' | 'cuda' | 'auto'): TrainPlan['device'] {
  if (wanted !== 'auto') return wanted;
  return cudaDevices().length > 0 ? 'cuda' : 'cpu';
}

/** cpu, or the name of the GPU. */
export function deviceName(device: TrainPlan['device']): string {
  return device === 'cpu' ? 'cpu' : (cudaDevices()[0]?.name ?? 'cuda');
}
