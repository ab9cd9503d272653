// What a dataset stores of its source: which column is the time, what the label is, which columns are kept.

/** A tensor for each sample: a value of the source is a list of numbers, or text that lists them. */
export type TensorForm = { tensor: 'u8' | 'f32' | 'i32'; shape: readonly number[] };

/** A picture as u8 [height, width, channels]: a value is a path, or the bytes of a JPEG, PNG or WebP file. */
export type ImageForm = {
  image: readonly [height: number, width: number, channels: 1 | 3 | 4];
  fit: 'cover' | 'contain' | 'stretch';
  onError: 'fail' | 'skip';
};

/** A text as `tokens` ids, by a Hugging Face tokenizer.json or by hashing words to `hash` ids. */
export type TokensForm = { tokens: number; tokenizer: string } | { tokens: number; hash: number };

/** Bytes or UTF-8 text of at most so many bytes. */
export type BytesForm = { bytes: number };

/** Codes 0 … category-1 that the source holds itself: no dictionary is kept. */
export type CodesForm = { category: number };

/** Codes 0 … hash-1 by a hash of the value: for more different values than a dictionary can hold. */
export type HashForm = { hash: number };

/** As category, but a value gets a code when it is seen for the n-th time; until then it is one of the rare ones, code 0. */
export type FrequentForm = { atLeast: number };

export type ColumnType = 'f32' | 'i32' | 'category' | TensorForm | ImageForm | TokensForm | BytesForm | CodesForm | HashForm | FrequentForm;

export type TimeUnit = 's' | 'ms' | 'us' | 'ns' | 'min' | 'h' | 'd';

/** 1 where the column is at least `atLeast`; or the number itself; or the classes 0 … n-1; or the names of the classes; or 0 and 1. */
export type LabelSpec = LabelTiming & LabelValue;
type LabelValue =
  | { column: string; atLeast: number }
  | { column: string; real: true }
  | { column: string; classes?: number | string[] | undefined };

/** `time`: when the label became known, in the rows of a source. */
type LabelTiming = { late?: LateLabels | undefined; time?: ColumnTime | undefined };

/** Samples wait for their labels, which find them by the column `id` or by number, for `within` ms; `missing`: `drop`, or a label as rows have it. */
export type LateLabels = { id?: string | undefined; within: number; missing: number | string };

/** `unit`: of a column of numbers, counted from 1970-01-01 UTC. `format`: as timeOfFormat() takes it. */
export type ColumnTime = { column: string; unit: TimeUnit } | { column: string; format: string };

/** Columns that are made: seconds from a sample's time to its arrival, and to its label. */
export function delayColumns({ late, time }: LabelTiming): string[] {
  return late !== undefined ? ['arrived', 'labelled'] : time !== undefined ? ['labelled'] : [];
}

/**
 * `start` and `step`, milliseconds: samples without a time
 * of their own get one each, in the order of the source.
 */
export type TimeSpec = ColumnTime | { start: number; step: number };

export type DatasetSpec = {
  time: TimeSpec;
  label: LabelSpec;
  columns: Record<string, ColumnType>;
};

/** Files of a format, as the pipeline names them. `delimiter`: of CSV, one character; default: what the header row shows. */
export type FileSource = { format: 'parquet' | 'csv' | 'jsonl' | 'webdataset'; path: readonly string[]; delimiter?: string | undefined };

/** Folders of pictures. Columns: image, path, label and time, and those of the file `labels` in each folder. */
export type ImagesSource = {
  format: 'images';
  path: readonly string[];
  labels?: string | undefined;
  timePattern?: string | undefined;
  /** Instead of both: the EXIF data of pictures, the times of files, or these where those are missing. */
  timeFrom?: readonly ('exif' | 'mtime')[] | undefined;
};

export const fieldTypes = ['int8', 'uint8', 'int16', 'int32', 'float16', 'float32', 'float64'] as const;
export type FieldType = (typeof fieldTypes)[number];

/** `permute`: the order in which the axes of `shape` are stored in the dataset. */
export type BinaryField = { name: string; type: FieldType; shape: readonly number[]; permute?: readonly number[] | undefined };

/** `inPlace`: records are not copied but read from the files whenever they are needed. */
type Placed = { inPlace?: boolean | undefined };

/** Files of records of fixed width, little-endian, after `skip` bytes. */
export type BinarySource = { format: 'binary'; path: readonly string[]; fields: readonly BinaryField[]; skip: number } & Placed;

/** Folders with a feature_spec.yaml; its splits are read in the given order. */
export type CriteoSource = { format: 'criteo'; path: readonly string[]; splits: readonly string[] } & Placed;

/**
 * Criteo's published logs, see criteo-tsv.ts. `start`: of day 0, milliseconds; `days`: that a file covers; `missing`: what
 * a missing number becomes.
 */
export type CriteoTsvSource = { format: 'criteo-tsv'; path: readonly string[]; start: number; days: number; missing: number };

/** Samples that are pushed in production mode. */
export type PushSource = { format: 'push' };

export type SourceSpec = FileSource | ImagesSource | BinarySource | CriteoSource | CriteoTsvSource | PushSource;
