// Model files (safetensors).
import { native } from './call.js';
import type { Tensor } from './types.js';

/** Names, types and shapes of a model file's tensors, and its metadata; checked against the file. E_NOT_FOUND, E_CORRUPT. */
export function modelHeader(path: string): { tensors: Tensor[]; metadata: Record<string, string> } {
  return native((addon) => addon.model_header(path));
}
