// The forms in which a dataset stores its columns.
import { z } from 'zod';
import { filePath, whole } from './fields.js';

/** The core's limit of a record. */
const maxBytes = 64 * 1024 * 1024;
const side = whole(1, maxBytes);
const product = (shape: readonly number[]) => shape.reduce((elements, d) => elements * d, 1);

const tensor = z
  .strictObject({
    tensor: z.enum(['u8', 'f32', 'i32']).describe('A tensor for each sample, with values of this type.'),
    shape: z.array(side).min(1).max(8).describe('Its dimensions, e.g. [32, 32, 3]; values are stored row-major.'),
  })
  .refine(({ tensor: type, shape }) => product(shape) * (type === 'u8' ? 1 : 4) <= maxBytes, {
    error: 'expected a tensor of at most 64 MiB',
    path: ['shape'],
  });

const pixels = whole(1, 16_384);

const image = z
  .strictObject({
    image: z
      .tuple([pixels, pixels, z.union([z.literal(1), z.literal(3), z.literal(4)], { error: 'expected 1, 3 or 4 channels' })])
      .describe('A picture (JPEG, PNG or WebP) as u8 [height, width, channels]: 1 grey, 3 RGB, 4 with alpha.'),
    fit: z
      .enum(['cover', 'contain', 'stretch'])
      .default('cover')
      .describe('How another format is brought to that size: cut off at the sides, with black margins, or distorted.'),
    onError: z
      .enum(['fail', 'skip'])
      .default('fail')
      .describe('A picture that cannot be decoded ends ingestion, or its sample is left out and counted.'),
  })
  .refine(({ image: shape }) => product(shape) <= maxBytes, { error: 'expected a picture of at most 64 MiB', path: ['image'] });

const length = whole(1, 1_000_000).describe('Token ids of a text: a longer one is cut, a shorter one filled up with 0.');

const tokenized = z.strictObject({
  tokens: length,
  tokenizer: filePath.describe('A Hugging Face tokenizer.json, relative to the pipeline file.'),
});

const hashed = z.strictObject({
  tokens: length,
  hash: whole(3, 2 ** 31 - 1).describe('Size of the vocabulary that words are hashed to; 0 is padding, 1 the start of a text.'),
});

const bytes = z.strictObject({
  bytes: whole(1, maxBytes - 4).describe('Bytes, or text as UTF-8, of at most so many bytes.'),
});

const codes = z.strictObject({
  category: whole(1, 2 ** 31 - 1).describe('Codes from 0 to this minus 1, as the source holds them.'),
});

const hashedCategory = z.strictObject({
  hash: whole(1, 2 ** 31 - 1).describe('Values are hashed to codes from 0 to this minus 1: MurmurHash3 of 32 bits, modulo this.'),
});

const frequent = z
  .strictObject({
    category: z.null().optional().describe('Codes in order of appearance, as category.'),
    atLeast: whole(2, 65_535).describe(
      'A value gets a code of its own when it is seen for the n-th time; until then it has code 0, (rare).',
    ),
  })
  .transform(({ atLeast }) => ({ atLeast }));

export const columnForm = z
  .union([z.enum(['f32', 'i32', 'category']), tensor, image, tokenized, hashed, bytes, codes, hashedCategory, frequent], {
    error:
      'expected f32, i32, category, or a map with tensor, image, tokens (and tokenizer or hash), bytes, category (and atLeast) or hash',
  })
  .describe('How a column is stored. category: text or numbers with few different values, as codes in order of appearance.');
