// What training.device means on this machine.
import { cudaDevices } from '../native/threads.js';
import type { Model, TrainPlan } from '../native/types.js';

/** The architectures that train on a GPU too. */
const onCuda: ReadonlySet<Model['kind']> = new Set<Model['kind']>(['dlrm', 'mlp', 'resnet', 'cnn']);

/** The device of a training. The core refuses cuda, with E_DEVICE, where there is none or the model cannot use it. */
export function chooseDevice(wanted: 'cpu' | 'cuda' | 'auto', model: Model['kind']): TrainPlan['device'] {
  if (wanted !== 'auto') return wanted;
  return onCuda.has(model) && cudaDevices().length > 0 ? 'cuda' : 'cpu';
}

/** cpu, or the name of the GPU. */
export function deviceName(device: TrainPlan['device']): string {
  return device === 'cpu' ? 'cpu' : (cudaDevices()[0]?.name ?? 'cuda');
}
