// Section `features` of the pipeline file: from stored columns to a model's inputs.
import { z } from 'zod';
import { columnName, whole } from './fields.js';

const columnDense = z.strictObject({
  column: columnName.describe('A stored f32 or i32 column.'),
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

const timeCategorical = z.strictObject({
  time: z.enum(['hour', 'weekday', 'month']).describe('Hour of the day (24), day of the week (7) or month (12), UTC.'),
});

const categoricalFeature = z.union([columnCategorical, crossCategorical, timeCategorical], {
  error: 'expected one of column, cross and time',
});

export const features = z
  .strictObject({
    dense: z.array(denseFeature).max(4096).default([]).describe('Numbers that enter the model as they are.'),
    categorical: z.array(categoricalFeature).max(4096).default([]).describe('Features with an embedding table each.'),
  })
  .describe("The model's inputs, made from stored columns and from the timestamp.");

export type FeaturesConfig = z.output<typeof features>;
export type DenseFeatureConfig = z.output<typeof denseFeature>;
export type CategoricalFeatureConfig = z.output<typeof categoricalFeature>;
