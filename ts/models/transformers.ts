// BERT and DistilBERT: one architecture with different names and defaults.
import { z } from 'zod';
import { SluiceError } from '../errors.js';
import type { Model } from '../native/types.js';
import { defineModel, type ModelInputs } from './define.js';
import { weights } from './images.js';

const size = z.int().min(1).max(65_536);
const share = z.number().min(0).max(0.99);

/** Fields of the config. Defaults are those of Hugging Face's configurations. */
const config = (layers: number, classifierDropout: number) =>
  z.strictObject({
    layers: z.int().min(1).max(100).default(layers).describe('Encoder layers.'),
    width: size.default(768).describe('Width of an embedding; the heads must divide it.'),
    heads: size.default(12).describe('Attention heads.'),
    hidden: size.default(3072).describe('Width of the hidden layer of a feed-forward part.'),
    vocabulary: z
      .int()
      .min(1)
      .max(2 ** 31 - 1)
      .default(30_522)
      .describe('Number of token ids; 0 is padding.'),
    positions: size.default(512).describe('Longest text that the model has positions for.'),
    dropout: share.default(0.1).describe('Dropout of embeddings, attention and layers in training.'),
    classifierDropout: share.default(classifierDropout).describe('Dropout before the last layer in training.'),
    weights,
  });

type Config = z.output<ReturnType<typeof config>>;

function build(architecture: 'bert' | 'distilbert', { weights: _, ...config }: Config, inputs: ModelInputs): Model {
  const fail = (what: string) => new SluiceError('E_CONFIG', `model ${architecture} ${what}`);
  const { dense, tables, values, ids: length, outputs } = inputs;
  if (length === 0) throw fail('takes token ids as features.tokens, but the pipeline has none');
  if (dense > 0 || tables.length > 0 || values.length > 0) throw fail('takes features.tokens only: leave out the other features');
  if (length > config.positions)
    throw fail(`has ${config.positions} positions, but the texts have ${length} token ids: set model.positions`);
  if (config.width % config.heads !== 0)
    throw fail(`needs a width that its heads divide, found width ${config.width} and ${config.heads} heads`);
  return { kind: 'transformer', architecture, length, outputs, ...config };
}

const files = (given: Config) => (given.weights === undefined ? [] : [given.weights]);

export const bert = defineModel({
  id: 'bert',
  summary: 'BERT text classifier over token ids (Devlin et al., 2019, arXiv 1810.04805), with the parameters of Hugging Face.',
  config: config(12, 0.1),
  files,
  weights: (given) => given.weights,
  build: (given, inputs) => build('bert', given, inputs),
});

export const distilbert = defineModel({
  id: 'distilbert',
  summary: 'DistilBERT text classifier over token ids (Sanh et al., 2019, arXiv 1910.01108), with the parameters of Hugging Face.',
  config: config(6, 0.2),
  files,
  weights: (given) => given.weights,
  build: (given, inputs) => build('distilbert', given, inputs),
});
