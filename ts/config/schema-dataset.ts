// Section `dataset` of the pipeline file: where samples come from and what is stored of them.
import { z } from 'zod';
import { columnName, filePath, id, whole } from './fields.js';

const source = z
  .strictObject({
    format: z.enum(['parquet', 'csv']).describe('Format of the files.'),
    path: z
      .union([filePath, z.array(filePath).min(1).max(100_000)])
      .transform((path) => (typeof path === 'string' ? [path] : path))
      .describe(
        'A file, or a list of files in the order of arrival. Relative to the pipeline file; `npm:<package>/<path>` is a file of an installed package.',
      ),
    delimiter: z
      .string()
      .regex(/^[^"\r\n]$/, { error: 'expected one character, neither a quote nor a line end' })
      .optional()
      .describe('Between the fields of a CSV file. Default: the one of comma, semicolon and tab that the header row shows.'),
  })
  .refine((source) => source.delimiter === undefined || source.format === 'csv', {
    error: 'expected none: it belongs to csv',
    path: ['delimiter'],
  })
  .describe('The files that hold the samples.');

const time = z
  .strictObject({
    column: columnName.describe('Column with the time at which a sample arrived.'),
    unit: z
      .enum(['s', 'ms', 'us', 'ns', 'min', 'h', 'd'])
      .default('ms')
      .describe('Unit of a column of numbers, counted from 1970-01-01 UTC. Dates and ISO 8601 text need none.'),
  })
  .describe('Timestamps of the samples (UTC).');

const thresholdLabel = z.strictObject({
  column: columnName.describe('Column with the label.'),
  atLeast: z.number().describe('The label is 1 where the column is at least this, else 0.'),
});

const classLabel = z.strictObject({
  column: columnName.describe('Column with the label.'),
  classes: z
    .union([whole(2, 100_000), z.array(z.string().min(1).max(256)).min(2).max(100_000)])
    .optional()
    .describe('Number of classes of an integer column (0 to n-1), or the names of the classes in order. Default: labels 0 and 1.'),
});

const realLabel = z.strictObject({
  column: columnName.describe('Column with the label.'),
  real: z.literal(true).describe('The label is the number itself: a regression.'),
});

const label = z
  .union([thresholdLabel, classLabel, realLabel], { error: 'expected one of atLeast, classes and real, not several' })
  .describe('What the model learns to predict.');

const columns = z
  .record(columnName, z.enum(['f32', 'i32', 'category']))
  .refine((map) => Object.keys(map).length >= 1, { error: 'expected at least one column' })
  .refine((map) => Object.keys(map).length <= 4096, { error: 'expected at most 4096 columns' })
  .meta({ minProperties: 1, maxProperties: 4096 })
  .describe('Columns that are stored, with their types: f32, i32 or category (text or numbers with few different values).');

const common = {
  id: id.describe('Name of the dataset under the data folder. Pipelines that name the same dataset share its samples.'),
  time,
  label,
  columns,
};

const fromFiles = z.strictObject({ ...common, source });

const fromModule = z.strictObject({
  ...common,
  module: filePath.describe('Path of a module whose default export is a source made with defineSource().'),
});

export const dataset = z
  .union([fromFiles, fromModule], { error: 'expected either source or module' })
  .describe('The data: where samples come from and what is stored of them.');

export type DatasetConfig = z.output<typeof dataset>;
export type SourceConfig = z.output<typeof source>;
export type LabelConfig = z.output<typeof label>;
export type TimeConfig = z.output<typeof time>;
export type ColumnType = DatasetConfig['columns'][string];
