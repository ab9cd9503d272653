import { z } from 'zod';
import { defineModel } from './define.js';
import { imageOf, weights } from './images.js';

const depths = [18, 34, 50, 101, 152] as const;

export const resnet = defineModel({
  id: 'resnet',
  summary: 'ResNet over an image (He et al., 2016, arXiv 1512.03385), with the parameters of torchvision.',
  config: z.strictObject({
    depth: z.literal(depths).default(18).describe('Layers: 18 or 34 in basic blocks, 50, 101 or 152 in bottlenecks.'),
    stem: z
      .enum(['imagenet', 'cifar'])
      .default('imagenet')
      .describe(
        'imagenet: a 7 x 7 convolution of stride 2 and pooling come first; cifar: a 3 x 3 convolution, for images of about 32 x 32.',
      ),
    weights,
  }),
  files: (config) => (config.weights === undefined ? [] : [config.weights]),
  weights: (config) => config.weights,
  build: ({ depth, stem }, inputs) => ({
    kind: 'resnet',
    depth,
    smallStem: stem === 'cifar',
    image: imageOf('resnet', inputs),
    outputs: inputs.outputs,
  }),
});
