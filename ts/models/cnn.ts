import { z } from 'zod';
import { SluiceError } from '../errors.js';
import { defineModel } from './define.js';
import { imageOf, weights } from './images.js';

const least = 16;

export const cnn = defineModel({
  id: 'cnn',
  summary: 'Four convolutions of 32 channels over an image: the Yearbook net of Wild-Time (Yao et al., 2022, arXiv 2211.14238).',
  config: z.strictObject({ weights }),
  files: (config) => (config.weights === undefined ? [] : [config.weights]),
  weights: (config) => config.weights,
  build: (_, inputs) => {
    const image = imageOf('cnn', inputs);
    if (image.height < least || image.width < least) {
      throw new SluiceError(
        'E_CONFIG',
        `model cnn halves the image four times: expected at least ${least} x ${least}, found ${image.height} x ${image.width}`,
      );
    }
    return { kind: 'cnn', image, outputs: inputs.outputs };
  },
});
