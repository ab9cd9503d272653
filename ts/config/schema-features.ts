// Section `features` of the pipeline file: from stored columns to a model's inputs.
import { z } from 'zod';
import { columnName, filePath, whole } from './fields.js';

const columnDense = z.strictObject({
  column: columnName.describe('A stored f32 or i32 column.'),
  min: z.number().optional().describe('Smaller values become this one, before anything else.'),
  max: z.number().optional().describe('Larger values become this one, before anything else.'),
  log: z.boolean().default(false).describe('Take log(1 + x) first.'),
  mean: z.number().default(0).describe('Subtracted from the value.'),
  scale: z
    .number()
    .refine((scale) => scale !== 0, { error: 'expected a number other than 0' })
    .default(1)
    .meta({ not: { const: 0 } })
    .describe('Multiplies the value after `mean` was subtracted; not 0.'),
});

const timeDense = z.strictObject({
  time: z
    .enum(['sin-day', 'cos-day', 'sin-year', 'cos-year'])
    .describe('Sine or cosine of the time of day or of the day of the year (UTC).'),
});

const denseFeature = z.union([columnDense, timeDense], { error: 'expected either column or time' });

const buckets = whole(1, 2 ** 31 - 1);

const columnCategorical = z.strictObject({
  column: columnName.describe('A stored category or i32 column.'),
  buckets: buckets.describe('Rows of the embedding table; values beyond are folded into it.'),
});

const crossCategorical = z.strictObject({
  cross: z.tuple([columnName, columnName]).describe('Two stored category or i32 columns whose combination is hashed into one feature.'),
  buckets: buckets.describe('Rows of the embedding table that combinations are hashed into.'),
});

const boundaryCategorical = z.strictObject({
  column: columnName.describe('A stored f32 or i32 column.'),
  boundaries: z
    .array(z.number())
    .min(1)
    .max(1_000_000)
    .describe('Rising numbers. The index is the number of those below the value; a table has one row more (torch.bucketize).'),
});

const timeCategorical = z.strictObject({
  time: z.enum(['hour', 'weekday', 'month']).describe('Hour of the day (24), day of the week (7) or month (12), UTC.'),
});

const categoricalFeature = z.union([columnCategorical, boundaryCategorical, crossCategorical, timeCategorical], {
  error: 'expected one of column, cross and time',
});

const perChannel = (what: string) =>
  z
    .union([z.number(), z.array(z.number()).min(1).max(65_536)])
    .optional()
    .describe(`${what}, one for all channels (the last dimension) or one for each, of values in 0 to 1 where the column is u8.`);

/** Channel means and standard deviations of the training images of well-known data sets. */
export const normalizations = {
  imagenet: { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
  cifar10: { mean: [0.4914, 0.4822, 0.4465], std: [0.247, 0.2435, 0.2616] },
  mnist: { mean: [0.1307], std: [0.3081] },
} as const;

const normalized = {
  mean: perChannel('Subtracted'),
  std: perChannel('Divided by afterwards'),
  normalize: z.enum(['imagenet', 'cifar10', 'mnist']).optional().describe('Instead of mean and std: those of this data set.'),
};

const side = whole(1, 16_384);

const image = z
  .strictObject({
    column: columnName.describe('A stored u8 or f32 column [height, width, channels].'),
    crop: z
      .enum(['none', 'center', 'random', 'random-resized'])
      .default('none')
      .describe(
        'none: the whole image, resized where size says so; random: anywhere after pad; random-resized: a random area and aspect ratio, resized (torchvision). In evaluation crops take the centre.',
      ),
    size: z.tuple([side, side]).optional().describe('Height and width that the model sees. Default: those that are stored.'),
    pad: whole(0, 16_384).default(0).describe('Zeros around the image before a random crop.'),
    flip: z.boolean().default(false).describe('Mirror every other image from left to right in training.'),
    ...normalized,
  })
  .describe('Images as input of the model: u8 values are divided by 255.');

const tensor = z
  .strictObject({ column: columnName.describe('A stored u8 or f32 tensor column.'), ...normalized })
  .describe('A tensor as input of the model, as it is stored: u8 values are divided by 255.');

const tokens = z
  .strictObject({ column: columnName.describe('A stored i32 column [length] of token ids; 0 is padding.') })
  .describe('Token ids as input of a text model.');

/** The core's limit of a sample. */
const maxParsedValues = 2 ** 28;

const parse = z
  .strictObject({
    id: filePath.describe('Path of a module whose default export is a parser made with defineParser(), relative to the pipeline file.'),
    column: columnName.describe('A stored bytes column.'),
    dense: whole(0, 65_536).default(0).describe('Numbers that it gives for a sample, behind features.dense.'),
    categorical: z
      .array(buckets)
      .max(4096)
      .default([])
      .describe('Indices that it gives, behind features.categorical: the rows of the embedding table of each.'),
    values: z
      .array(whole(1, 65_536))
      .max(8)
      .refine((shape) => shape.reduce((values, side) => values * side, 1) <= maxParsedValues, {
        error: `expected a shape of at most ${maxParsedValues} values`,
      })
      .default([])
      .describe('Shape of the tensor that it gives, an image as [height, width, channels].'),
    ids: whole(0, 65_536).default(0).describe('Token ids that it gives.'),
    threads: whole(1, 64).default(1).describe('Worker threads that run it.'),
    seconds: z.number().gt(0).max(86_400).default(30).describe('Longest time that a few samples (at most 128) may take.'),
    config: z.record(z.string(), z.unknown()).default({}).describe("The parser's own fields, checked by its schema."),
  })
  .describe("A parser of the user's own, which turns raw bytes into inputs of the model.");

export const features = z
  .strictObject({
    dense: z.array(denseFeature).max(4096).default([]).describe('Numbers that enter the model as they are.'),
    categorical: z.array(categoricalFeature).max(4096).default([]).describe('Features with an embedding table each.'),
    image: image.optional(),
    tensor: tensor.optional(),
    tokens: tokens.optional(),
    parse: parse.optional(),
  })
  .describe("The model's inputs, made from stored columns and from the timestamp.");

export type FeaturesConfig = z.output<typeof features>;
export type DenseFeatureConfig = z.output<typeof denseFeature>;
export type ImageConfig = z.output<typeof image>;
export type TensorConfig = z.output<typeof tensor>;
export type CategoricalFeatureConfig = z.output<typeof categoricalFeature>;
