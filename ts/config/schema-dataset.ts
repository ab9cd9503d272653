// Section `dataset` of the pipeline file: where samples come from and what is stored of them.
import { z } from 'zod';
import { duration } from '../base/durations.js';
import { timeFormatError } from '../sources/time-format.js';
import { timePatternError } from '../sources/time-pattern.js';
import { delayColumns, fieldTypes } from '../sources/spec.js';
import { timeMs } from '../sources/times.js';
import { columnName, filePath, id, whole } from './fields.js';
import { columnForm } from './schema-columns.js';

const paths = (what: string) =>
  z
    .union([filePath, z.array(filePath).min(1).max(100_000)])
    .transform((path) => (typeof path === 'string' ? [path] : path))
    .describe(
      `${what}, or a list in the order of arrival. Relative to the pipeline file; \`npm:<package>/<path>\` lies in an installed package, \`s3://<bucket>/<key>\` in an object store.`,
    );

const files = z
  .strictObject({
    format: z
      .enum(['parquet', 'csv', 'jsonl', 'webdataset'])
      .describe('Format of the files; jsonl: a JSON object on each line; webdataset: tar archives whose members are named by sample.'),
    path: paths('A file'),
    delimiter: z
      .string()
      .regex(/^[^"\r\n]$/, { error: 'expected one character, neither a quote nor a line end' })
      .optional()
      .describe('Between the fields of a CSV file. Default: the one of comma, semicolon and tab that the header row shows.'),
  })
  .refine((source) => source.delimiter === undefined || source.format === 'csv', {
    error: 'expected none: it belongs to csv',
    path: ['delimiter'],
  });

const origin = z.enum(['exif', 'mtime']);

const images = z
  .strictObject({
    format: z.literal('images').describe('Folders of pictures; columns image, path, label and time.'),
    path: paths('A folder'),
    labels: filePath
      .optional()
      .describe(
        'A CSV file in each folder with a column path, and label and time as you like. Default: the label is the name of the folder that a picture lies in.',
      ),
    timePattern: z
      .string()
      .min(1)
      .max(256)
      .refine((pattern) => timePatternError(pattern) === undefined, {
        error: (issue) => `expected ${timePatternError(issue.input as string)}`,
      })
      .optional()
      .describe('Time in the path, e.g. IMG_{YYYY}{MM}{DD}_{hh}{mm}{ss}. Default: the time of `labels`, else that of the file.'),
    timeFrom: z
      .union([origin, z.tuple([z.literal('exif'), z.literal('mtime')])], { error: 'expected exif, mtime or [exif, mtime]' })
      .transform((from) => (typeof from === 'string' ? [from] : from))
      .optional()
      .describe('Time of a picture: that of its EXIF data (DateTimeOriginal), that of its file, or the second where the first is missing.'),
  })
  .refine((source) => source.timeFrom === undefined || source.timePattern === undefined, {
    error: 'expected either timeFrom or timePattern',
    path: ['timePattern'],
  });

const maxFieldValues = 2 ** 26;

const field = z
  .strictObject({
    name: columnName.describe('Name of the column.'),
    type: z.enum(fieldTypes).describe('Type of its values, little-endian.'),
    shape: z.array(whole(1, maxFieldValues)).max(8).default([]).describe('Dimensions of a tensor; none for a single value.'),
    permute: z.array(whole(0, 7)).max(8).optional().describe('Order in which its axes are stored, e.g. [1, 2, 0] for channels first.'),
  })
  .refine(({ shape, permute }) => permute === undefined || [...permute].sort().join() === shape.map((_, i) => i).join(), {
    error: 'expected every axis of shape once',
    path: ['permute'],
  })
  .refine(({ shape }) => shape.reduce((values, side) => values * side, 1) <= maxFieldValues, {
    error: `expected at most ${maxFieldValues} values`,
    path: ['shape'],
  });

const inPlace = z
  .boolean()
  .default(false)
  .describe('Records are not copied but read from the files whenever they are needed: the files must stay as they are.');

const binary = z.strictObject({
  format: z.literal('binary').describe('Records of fixed width.'),
  path: paths('A file'),
  fields: z
    .array(field)
    .min(1)
    .max(4096)
    .refine((fields) => new Set(fields.map(({ name }) => name)).size === fields.length, { error: 'expected every name once' })
    .describe('The fields of a record, in their order.'),
  skip: whole(0, 2 ** 31 - 1)
    .default(0)
    .describe('Bytes before the first record.'),
  inPlace,
});

const criteo = z.strictObject({
  format: z.literal('criteo').describe('Binary Criteo data as in DLRM of NVIDIA, with a feature_spec.yaml.'),
  path: paths('A folder'),
  splits: z
    .array(z.string().min(1).max(256))
    .min(1)
    .max(100)
    .default(['train'])
    .describe('Splits of source_spec, in the order of arrival.'),
  inPlace,
});

const moment = z
  .string()
  .refine((text) => !Number.isNaN(timeMs(text, 'ms')), { error: 'expected a date such as 2024-01-01 or 2024-01-01T12:00:00Z' })
  .transform((text) => timeMs(text, 'ms'));

const criteoTsv = z.strictObject({
  format: z
    .literal('criteo-tsv')
    .describe(
      "Criteo's logs as they are published, tab-separated; columns label, I1 to I13, C1 to C26, and time, spread over the day of the file.",
    ),
  path: paths('A file, of the day that the number behind day_ in its name tells, or else its place in the list'),
  start: moment.prefault('1970-01-01').describe('The day 0.'),
  days: whole(1, 36_600).default(1).describe('Days that a file covers: 7 for the train.txt of 2014.'),
  missing: z.number().default(0).describe('What a number that is missing becomes.'),
});

const push = z.strictObject({
  format: z.literal('push').describe('Nothing is read: samples are pushed to sluice serve.'),
});

const source = z.discriminatedUnion('format', [files, images, binary, criteo, criteoTsv, push]).describe('What holds the samples.');

const columnTime = z.strictObject({
  column: columnName.describe('Column with the time at which a sample arrived.'),
  unit: z
    .enum(['s', 'ms', 'us', 'ns', 'min', 'h', 'd'])
    .default('ms')
    .describe('Unit of a column of numbers, counted from 1970-01-01 UTC. Dates and ISO 8601 text need none.'),
});

const formatTime = z.strictObject({
  column: columnName.describe('Column with the time at which a sample arrived.'),
  format: z
    .string()
    .min(1)
    .max(64)
    .refine((format) => timeFormatError(format) === undefined, { error: (issue) => `expected ${timeFormatError(issue.input as string)}` })
    .describe('How the time is written: YYYY or YY, MM, DD, HH, mm, ss, e.g. YYMMDDHH or MM/DD/YYYY HH:mm (UTC).'),
});

const madeTime = z.strictObject({
  start: moment.describe('Time of the first sample, where the data has none.'),
  step: z
    .union(
      [
        duration,
        z
          .string()
          .regex(/^[1-9][0-9]{0,11}ms$/)
          .transform((text) => Number.parseInt(text, 10)),
      ],
      {
        error: 'expected a duration such as 10ms, 1s or 5m',
      },
    )
    .describe('Time from one sample to the next, e.g. 1s or 10ms.'),
});

const labelTime = z
  .union([columnTime, formatTime], { error: 'expected column, with unit or format' })
  .describe('When the label became known: samples arrive in this order.');

const time = z
  .union([columnTime, formatTime, madeTime], { error: 'expected either column, with unit or format, or start and step' })
  .describe('Timestamps of the samples (UTC).');

const labelColumn = columnName.describe('Column with the label.');

const late = z
  .strictObject({
    id: columnName
      .optional()
      .describe('Column with the id by which a label finds its sample. Default: the number that the push of the sample answered.'),
    within: duration.describe('How long a sample waits for its label, and a label for its sample, from its arrival on.'),
    missing: z
      .union([z.number(), z.string().min(1).max(256)], { error: 'expected drop, or the label that such samples get' })
      .default('drop')
      .describe('What becomes of a sample that got no label: drop, or the label that it is given, such as 0.'),
  })
  .describe('Samples may be pushed without their label, which comes later.');

const labelled = { column: labelColumn, late: late.optional(), time: labelTime.optional() };

const thresholdLabel = z.strictObject({
  ...labelled,
  atLeast: z.number().describe('The label is 1 where the column is at least this, else 0.'),
});

const classLabel = z.strictObject({
  ...labelled,
  classes: z
    .union([whole(2, 100_000), z.array(z.string().min(1).max(256)).min(2).max(100_000)])
    .optional()
    .describe('Number of classes of an integer column (0 to n-1), or the names of the classes in order. Default: labels 0 and 1.'),
});

const realLabel = z.strictObject({
  ...labelled,
  real: z.literal(true).describe('The label is the number itself: a regression.'),
});

const label = z
  .union([thresholdLabel, classLabel, realLabel], { error: 'expected one of atLeast, classes and real, not several' })
  .describe('What the model learns to predict.');

const columns = z
  .record(columnName, columnForm)
  .refine((map) => Object.keys(map).length >= 1, { error: 'expected at least one column' })
  .refine((map) => Object.keys(map).length <= 4096, { error: 'expected at most 4096 columns' })
  .meta({ minProperties: 1, maxProperties: 4096 })
  .describe('Columns that are stored, with the forms in which they are.');

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

type Given = z.output<typeof fromFiles> | z.output<typeof fromModule>;

const isPushed = (given: Given) => 'source' in given && given.source.format === 'push';

/** With labels that come later, the times that passed until then are columns. */
function withDelays<T extends Given>(given: T): T {
  const delays = delayColumns(given.label);
  return delays.length === 0
    ? given
    : { ...given, columns: { ...given.columns, ...Object.fromEntries(delays.map((name) => [name, 'f32'])) } };
}

export const dataset = z
  .union([fromFiles, fromModule], { error: 'expected either source or module' })
  .refine(({ label }) => label.late === undefined || label.time === undefined, {
    error: 'expected either late, for samples that are pushed, or time, for files',
    path: ['label', 'time'],
  })
  .refine((given) => given.label.late === undefined || isPushed(given), {
    error: 'expected none, because the samples are not pushed (source: { format: push }); files have label.time',
    path: ['label', 'late'],
  })
  .refine((given) => given.label.time === undefined || (!isPushed(given) && 'column' in given.time), {
    error: 'expected none: it belongs to files whose samples have a time of their own',
    path: ['label', 'time'],
  })
  .refine(({ label, columns }) => delayColumns(label).every((name) => !Object.hasOwn(columns, name)), {
    error: 'expected other names than arrived and labelled, which hold the delays',
    path: ['columns'],
  })
  .transform(withDelays)
  .describe('The data: where samples come from and what is stored of them.');

export type DatasetConfig = z.output<typeof dataset>;
export type SourceConfig = z.output<typeof source>;
export type LabelConfig = z.output<typeof label>;
export type TimeConfig = z.output<typeof time>;
export type ColumnType = DatasetConfig['columns'][string];
