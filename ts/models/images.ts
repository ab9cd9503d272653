// What the models of images share.
import { z } from 'zod';
import { SluiceError } from '../errors.js';
import type { ModelInputs } from './define.js';

/** A checkpoint to start from, as a field of the model's config. */
export const weights = z
  .string()
  .min(1)
  .max(4096)
  .optional()
  .describe('A safetensors file with the weights that a training starts from which has no model before it, relative to the pipeline file.');

/** The image that the pipeline's tensor feature gives; E_CONFIG where it gives something else. */
export function imageOf(id: string, { dense, tables, values, ids }: ModelInputs): { height: number; width: number; channels: number } {
  const [height, width, channels] = values;
  if (values.length !== 3 || height === undefined || width === undefined || channels === undefined) {
    const found = values.length === 0 ? 'the pipeline has none' : `its tensor has the shape [${values.join(', ')}]`;
    throw new SluiceError(
      'E_CONFIG',
      `model ${id} takes an image of height, width and channels as features.image or features.tensor, but ${found}`,
    );
  }
  if (dense > 0 || tables.length > 0 || ids > 0) {
    throw new SluiceError('E_CONFIG', `model ${id} takes an image only: leave out the other features`);
  }
  return { height, width, channels };
}
