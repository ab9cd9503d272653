// The addon's functions, one to one with bindings/*.cpp. Nothing but ts/native imports this.
// Scalars that are keys or counts are numbers (< 2^53); arrays of keys are BigUint64Array.
// Every function may throw, and every promise may reject with, an Error that has a `code` from ts/errors.ts.

declare const tag: unique symbol;
/** Opaque handles; a handle of another kind is refused with E_ARGUMENT, a closed one with E_CLOSED. */
export type DatasetHandle = { readonly [tag]: 'dataset' };
export type SnapshotHandle = { readonly [tag]: 'snapshot' };
/** A queue of samples that a user's own code parses; worker threads find it by its number. */
export type ParserHandle = { readonly [tag]: 'parser' };
/** Samples that wait for their labels. */
export type WaitingHandle = { readonly [tag]: 'waiting' };
/** Passed to long calls; stop_request(handle) makes them reject with E_ABORTED. */
export type StopHandle = { readonly [tag]: 'stop' };

/** `shape`: of one sample's tensor (f32, i32, u8), row-major, or [capacity] of bytes; [] for a single value. */
export type RawColumn = { name: string; type: 'f32' | 'i32' | 'category' | 'u8' | 'bytes'; shape: number[] };
export type RawSchema = { columns: RawColumn[]; label: 'class' | 'real'; classes: number };
/** size: of the keys, those of `deleted` samples included. */
export type RawInfo = { schema: RawSchema; size: number; deleted: number; sorted: boolean; path: string };

/** Keys [first, end) are concerned, none where they are equal. native/src/storage/fsck.h says the rest. */
export type RawDamage = {
  part: 'index' | 'segments' | 'files' | 'state log' | 'metadata';
  file: string;
  what: string;
  first: number;
  end: number;
  remedy: 'none' | 'from-segments' | 'from-index';
  repaired: boolean;
};
export type RawCheckReport = { samples: number; bytes: number; damages: RawDamage[] };
export type RawCheckProgress = { bytes: number; totalBytes: number };

/** ranges: pairs of first and end. */
export type RawDeletion = { number: number; timeMs: number; reason: string; ranges: BigUint64Array };
export type RawCompactProgress = { segments: number; totalSegments: number };
/**
 * samples: deleted ones that were in the bytes still; segments: that were written anew; inFiles: deleted ones whose records lie
 * in files that are not ours; valuesInUse: pipelines whose recorded values were not written anew.
 */
export type RawCompactReport = {
  samples: number;
  segments: number;
  inFiles: number;
  bytesBefore: number;
  bytesAfter: number;
  valuesInUse: string[];
};
/** Of the samples that were not deleted; classes: samples of each, [] where the label is a number. */
export type RawLabelStatistics = { samples: number; mean: number; deviation: number; least: number; greatest: number; classes: number[] };

/** A value of `time` is in ms. */
export type RawComparison = { field: 'key' | 'time' | 'label'; operator: '<' | '<=' | '>' | '>=' | '=' | '!='; value: number };
/** All must hold. keys: pairs of first and end; labels: one of them. */
export type RawSampleFilter = { keys: BigUint64Array | null; labels: Float32Array | null; where: readonly RawComparison[] };

export type RawBatch = {
  timestamps: BigInt64Array; // ms
  labels: Float32Array;
  /** rows * elements values; a bytes column: for each row its length (u32, little-endian) and capacity bytes, filled up to a multiple of 4. */
  columns: (Float32Array | Int32Array | Uint8Array)[];
  state: Record<string, string>;
};

export type RawStoredType = 'int8' | 'uint8' | 'int16' | 'int32' | 'int64' | 'float16' | 'float32' | 'float64';
/** A column's values in a record of file number `file`; axes: native/src/storage/dataset.h (FileField), [] for as they are. */
export type RawFileField = { file: number; offset: number; type: RawStoredType; shape: number[]; axes: number[] };
/** Rows [row, row + rows) of files as samples: native/src/storage/dataset.h (FileBatch). */
export type RawFileBatch = {
  part: string;
  files: { path: string; skip: number; stride: number }[];
  fields: RawFileField[];
  row: number;
  rows: number;
  label: { name: string; field: RawFileField; atLeast: number | null };
  /** ms: value * times / by of a field, or start + step * (row - the first). */
  time: { name: string; field: RawFileField | null; times: number; by: number; start: number; step: number };
  codes: number[];
  state: Record<string, string>;
};
/** The rows called `part` lie in the files `paths` now, in the order that their span has, and are called `name`. */
export type RawFileMove = { part: string; name: string; paths: string[] };
/** bytes: that its rows take in the file. */
export type RawFileSpan = { part: string; first: number; rows: number; files: { path: string; bytes: number }[] };

export type RawFeatures = {
  dense: RawDenseFeature[];
  categorical: RawCategoricalFeature[];
  tensor: RawTensorFeature | null;
  tokens: { column: number } | null;
  parse: { column: number; parser: ParserHandle } | null;
};
export type RawDenseFeature = {
  op: 'value' | 'log1p' | 'sin-day' | 'cos-day' | 'sin-year' | 'cos-year';
  column: number;
  mean: number;
  scale: number;
  low?: number;
  high?: number;
};
export type RawCategoricalFeature = {
  op: 'column' | 'cross' | 'hour' | 'weekday' | 'month' | 'boundaries';
  column: number;
  other: number;
  buckets: number;
  boundaries?: number[];
};
/** native/src/train/features.h says what each means; height and width 0: as stored. */
export type RawTensorFeature = {
  column: number;
  crop: 'none' | 'center' | 'random' | 'random-resized';
  height: number;
  width: number;
  pad: number;
  flip: boolean;
  mean: number[];
  deviation: number[];
};
export type RawImage = { height: number; width: number; channels: number };
export type RawModel =
  | { kind: 'dlrm'; dense: number; tables: number[]; embedding: number; bottom: number[]; top: number[] }
  | { kind: 'mlp'; inputs: number; layers: number[] }
  | { kind: 'resnet'; depth: number; smallStem: boolean; image: RawImage; outputs: number }
  | { kind: 'cnn'; image: RawImage; outputs: number }
  | {
      kind: 'transformer';
      architecture: 'distilbert' | 'bert';
      vocabulary: number;
      length: number;
      positions: number;
      width: number;
      layers: number;
      heads: number;
      hidden: number;
      dropout: number;
      classifierDropout: number;
      outputs: number;
    }
  | { kind: 'torchscript'; file: string; dense: number; tables: number; values: number[]; ids: number; outputs: number; seconds: number };
export type RawOptimizer = {
  kind: 'sgd' | 'adagrad' | 'rowwise-adagrad' | 'adam' | 'adamw';
  lr: number;
  eps: number;
  beta1: number;
  beta2: number;
  momentum: number;
  dampening: number;
  nesterov: boolean;
  weightDecay: number;
};
export type RawCriterion = { kind: 'bce' | 'cross-entropy' | 'mse' | 'l1' | 'huber'; labelSmoothing: number; delta: number };
/** native/src/train/schedule.h says what each means; lengths are optimizer steps, or epochs with perEpoch. 0 as length: to the end. */
export type RawSchedule = {
  kind: 'constant' | 'step' | 'cosine' | 'polynomial' | 'one-cycle';
  perEpoch: boolean;
  warmup: number;
  warmupFrom: number;
  hold: number;
  length: number;
  every: number;
  gamma: number;
  end: number;
  power: number;
  rise: number;
  initialDivision: number;
  finalDivision: number;
};

/** What a training can tell of its samples: native/src/train/recorder.h. */
export type RawRecorded = 'loss' | 'gradient-norm' | 'confidence' | 'margin' | 'entropy';

export type RawTrainPlan = {
  trainsetFolder: string;
  trainset: string;
  features: RawFeatures;
  model: RawModel;
  criterion: RawCriterion;
  precision: 'fp32' | 'bf16' | 'fp16';
  device: 'cpu' | 'cuda';
  deterministic: boolean;
  denseOptimizer: RawOptimizer;
  embeddingOptimizer: RawOptimizer;
  /** Exceptions: the first whose pattern (* for any characters) fits a parameter's name counts. */
  groups: { parameters: string; optimizer: RawOptimizer }[];
  seed: number;
  batchSize: number;
  epochs: number;
  maxSteps: number; // 0 = no limit
  accumulate: number;
  clipNorm: number; // 0 = not clipped
  schedule: RawSchedule;
  earlyStop: { heldOut: number; patience: number; leastGain: number }; // heldOut 0 = none
  /** keep 1 = no selection; native/src/train/in_training.h. */
  inTraining: {
    keep: number;
    score: 'uniform' | 'loss' | 'gradient-norm' | 'margin' | 'entropy'; // margin: 1 - margin
    choice: 'sampled' | 'greatest';
    mode: 'batch-then-sample' | 'sample-then-batch';
    every: number;
  };
  record: { folder: string; values: RawRecorded[] }; // none: nothing is recorded
  checkpoints: { path: string; everySteps: number; everySeconds: number }; // path '' = none; 0 = not so
  shuffle: 'global' | 'block' | 'none';
  shuffleBlock: number;
  loader: { threads: number; memory: number }; // threads 0 = by the features; bytes
  parent: string; // '' = initial weights
  weights: string; // a checkpoint of another program to start from where there is no parent; '' = random weights
  output: string;
  metadata: Record<string, string>;
};
export type RawTrainProgress = { steps: number; totalSteps: number; samples: number; loss: number };
export type RawTrainResult = {
  steps: number;
  samples: number;
  loss: number;
  validationLoss: number | null; // with early stop only
  untouched: string[]; // parameters that `weights` did not fill
  resumedAt: number; // steps that a checkpoint spared
  startSeconds: number; // call to first batch
  seconds: number; // first step to last step
  finishSeconds: number; // last step to the model on disk
  samplesPerSecond: number;
};

export type RawEvalPlan = {
  features: RawFeatures;
  model: RawModel;
  criterion: RawCriterion;
  device: 'cpu' | 'cuda';
  deterministic: boolean;
  batchSize: number;
  modelFile: string;
  windows: { first: number; end: number }[];
};
/** accuracy: classes only; auc: two classes only, and only where both occur; rmse: regression only. */
export type RawMetrics = { samples: number; loss: number; accuracy: number | null; auc: number | null; rmse: number | null };

/** length > 1: vectors. A sample without a value has NaN, or 255 in a u8 column. */
export type RawMetadataColumn = { name: string; type: 'f32' | 'u8'; length: number };
/** keys * length values. */
export type RawMetadataValues = { name: string; values: Float32Array | Uint8Array };

/** Ids are UTF-8, one after the other, with the end of each; without ids labels name samples by number. labels: NaN where there is none. */
export type RawWaitingBatch = {
  arrivedMs: number;
  withIds: boolean;
  timestamps: BigInt64Array;
  labels: Float32Array;
  columns: RawBatch['columns'];
  sampleIdBytes: Uint8Array;
  sampleIdEnds: Int32Array;
  labelTimes: BigInt64Array;
  labelValues: Float32Array;
  labelNumbers: BigUint64Array;
  labelIdBytes: Uint8Array;
  labelIdEnds: Int32Array;
  requests: { samples: number; labels: number; notes: string }[];
};
/** native/src/waiting/waiting.h says what each means. */
export type RawWaitingAnswer = {
  first: number;
  samples: number;
  joined: number;
  early: number;
  known: number;
  late: number;
  refusal: 'duplicate' | 'conflict' | 'unknown' | null;
  row: number;
  earlier: number;
  notes: string;
};
export type RawSettledRows = {
  timestamps: BigInt64Array;
  labels: Float32Array;
  labelledMs: BigInt64Array;
  columns: RawBatch['columns'];
  through: number;
  more: boolean;
  answers: RawWaitingAnswer[];
};
export type RawWaitingCounts = {
  waiting: number;
  early: number;
  joined: number;
  expired: number;
  unmatched: number;
  removed: number;
  events: number;
  parts: number;
};

export type RawSelection = { first: number; end: number } | { keys: BigUint64Array; weights: Float32Array | null };

export type RawTensor = { name: string; dtype: string; shape: number[] };

export type RawCudaDevice = { name: string; memory: number; capability: string };

/** Of one sample; categorical: rows of each table, values: the shape of the tensor, [] without one. */
export type RawParsedShape = { dense: number; categorical: number[]; values: number[]; ids: number };
/** Sample i has the bytes offsets[i] to offsets[i + 1]. epoch and seed: of a training. */
export type RawParseChunk = {
  chunk: number;
  keys: BigUint64Array;
  timestamps: BigInt64Array;
  bytes: Uint8Array;
  offsets: Int32Array;
  training: boolean;
  epoch: number;
  seed: number;
};
/** Of all samples of a chunk, row-major. */
export type RawParsed = { dense: Float32Array; categorical: Int32Array; values: Float32Array; ids: Int32Array };

export interface Addon {
  build_info(): { torch: string; cuda: boolean; lmdb: string; version: string };
  set_compute_threads(threads: number): void;
  compute_threads(): number;
  /** Empty where there is none. */
  cuda_devices(): RawCudaDevice[];
  /** Throws E_DEVICE with the reason unless there is one. */
  require_cuda(): void;

  crc32c(bytes: Uint8Array): number;

  stop_create(): StopHandle;
  stop_request(stop: StopHandle): void;

  dataset_create(path: string, schema: RawSchema): DatasetHandle;
  dataset_open(path: string, readOnly: boolean): DatasetHandle;
  dataset_info(dataset: DatasetHandle): RawInfo;
  /** Resolves with the first key. The arrays are copied before it returns. */
  dataset_append(dataset: DatasetHandle, batch: RawBatch): Promise<number>;
  dataset_append_files(dataset: DatasetHandle, batch: RawFileBatch, stop: StopHandle): Promise<number>;
  /** Resolves with the number of the first move whose bytes are others, or -1. */
  dataset_move_files(dataset: DatasetHandle, moves: RawFileMove[], whole: boolean, stop: StopHandle): Promise<number>;
  dataset_file_spans(dataset: DatasetHandle): RawFileSpan[];
  dataset_state(dataset: DatasetHandle, key: string): string | null;
  dataset_set_state(dataset: DatasetHandle, key: string, value: string): void;
  /** Closes snapshots (detaching their views) first. Idempotent. */
  dataset_close(dataset: DatasetHandle): void;

  dataset_check(path: string, repair: boolean, stop: StopHandle, progress: (p: RawCheckProgress) => void): Promise<RawCheckReport>;
  copy_environment(folder: string, to: string): Promise<void>;

  /** Resolves with how many samples were there. */
  dataset_remove(dataset: DatasetHandle, ranges: BigUint64Array, reason: string, timeMs: number): Promise<number>;
  dataset_deletions(dataset: DatasetHandle): Promise<RawDeletion[]>;
  dataset_deletion_count(dataset: DatasetHandle): number;
  dataset_compact(path: string, copy: boolean, stop: StopHandle, progress: (p: RawCompactProgress) => void): Promise<RawCompactReport>;
  dataset_compact_open(dataset: DatasetHandle, stop: StopHandle, progress: (p: RawCompactProgress) => void): Promise<RawCompactReport>;
  dataset_label_statistics(dataset: DatasetHandle, stop: StopHandle): Promise<RawLabelStatistics>;

  snapshot_open(dataset: DatasetHandle): SnapshotHandle;
  snapshot_size(snapshot: SnapshotHandle): number;
  /** Deleted samples of [first, end). */
  snapshot_deleted(snapshot: SnapshotHandle, first: number, end: number): number;
  /** The others, as ranges. */
  snapshot_living(snapshot: SnapshotHandle, first: number, end: number): BigUint64Array;
  /** Zero-copy over a private copy-on-write mapping when [first, first + rows) lies in one chunk of 65,536, else a copy. */
  snapshot_timestamps(snapshot: SnapshotHandle, first: number, rows: number): BigInt64Array;
  snapshot_labels(snapshot: SnapshotHandle, first: number, rows: number): Float32Array;
  /** First key whose timestamp (ms) >= t in [first, end), or end. */
  snapshot_lower_bound_time(snapshot: SnapshotHandle, t: number, first: number, end: number): number;
  /** Of the living samples that fit: how many, their keys in order, or runs of keys (pairs of first and end). */
  snapshot_count(snapshot: SnapshotHandle, filter: RawSampleFilter, stop: StopHandle): Promise<number>;
  snapshot_find(snapshot: SnapshotHandle, filter: RawSampleFilter, stop: StopHandle): Promise<BigUint64Array>;
  snapshot_find_ranges(snapshot: SnapshotHandle, filter: RawSampleFilter, stop: StopHandle): Promise<BigUint64Array>;
  /** Detaches every view: a read then throws a TypeError. Idempotent. */
  snapshot_close(snapshot: SnapshotHandle): void;

  /** Adds the columns that are missing; makes the folder. */
  metadata_define(folder: string, columns: RawMetadataColumn[]): Promise<void>;
  metadata_columns(folder: string): Promise<RawMetadataColumn[]>;
  /** The arrays are copied before it returns. */
  metadata_update(folder: string, keys: BigUint64Array, columns: RawMetadataValues[]): Promise<void>;
  metadata_read(folder: string, column: string, keys: BigUint64Array): Promise<Float32Array | Uint8Array>;
  metadata_read_range(folder: string, column: string, first: number, end: number): Promise<Float32Array | Uint8Array>;

  waiting_open(folder: string, schema: RawSchema, applied: number): Promise<WaitingHandle>;
  /** The arrays are copied before it returns. */
  waiting_append(waiting: WaitingHandle, batch: RawWaitingBatch): Promise<RawWaitingAnswer[]>;
  waiting_expire(waiting: WaitingHandle, nowMs: number, beforeMs: number, label: number | null): Promise<boolean>;
  waiting_remove_times(waiting: WaitingHandle, nowMs: number, fromMs: number, untilMs: number): Promise<void>;
  waiting_remove_id(waiting: WaitingHandle, nowMs: number, id: string): Promise<void>;
  waiting_take(waiting: WaitingHandle): Promise<RawSettledRows>;
  waiting_applied(waiting: WaitingHandle, through: number): Promise<void>;
  waiting_checkpoint(waiting: WaitingHandle): Promise<void>;
  /** After the last call that ended. */
  waiting_counts(waiting: WaitingHandle): RawWaitingCounts;
  /** Idempotent. */
  waiting_close(waiting: WaitingHandle): void;

  select_uniform(first: number, end: number, count: number, seed: number): Promise<BigUint64Array>;
  select_freshness(
    snapshot: SnapshotHandle,
    first: number,
    end: number,
    now: number,
    halfLifeMs: number,
    count: number,
    seed: number,
  ): Promise<BigUint64Array>;

  /** Resolves with the set's id (32 hex digits) and size: without samples that are deleted; null where none is left. */
  trainset_freeze(folder: string, selection: RawSelection, snapshot: SnapshotHandle): Promise<{ id: string; size: number } | null>;
  /** Reads all of it: rejects with E_CORRUPT, or resolves with its size. */
  trainset_check(folder: string, id: string): Promise<number>;
  /** Entries whose keys lie in the ranges. */
  trainset_count(folder: string, id: string, ranges: BigUint64Array): Promise<number>;
  trainset_read(folder: string, id: string): Promise<{ keys: BigUint64Array; weights: Float32Array }>;

  train(dataset: DatasetHandle, plan: RawTrainPlan, stop: StopHandle, progress: (p: RawTrainProgress) => void): Promise<RawTrainResult>;
  evaluate(dataset: DatasetHandle, plan: RawEvalPlan, stop: StopHandle, progress: (windowsDone: number) => void): Promise<RawMetrics[]>;
  /** Exact ROC AUC; null when only one class occurs. */
  roc_auc(scores: Float32Array, labels: Float32Array): number | null;

  parser_create(name: string, shape: RawParsedShape, seconds: number): ParserHandle;
  parser_number(parser: ParserHandle): number;
  /** Whoever waits for results, now or later, gets E_PARSER with this message. */
  parser_fail(parser: ParserHandle, message: string): void;
  /** Idempotent. */
  parser_close(parser: ParserHandle): void;
  /** Of worker threads: waits at most so long for samples. E_CLOSED. */
  parser_take(parser: number, waitMs: number): RawParseChunk | null;
  parser_give(parser: number, chunk: number, rows: number, results: RawParsed): void;
  /** The user's code failed on sample `row` of the chunk. */
  parser_reject(parser: number, chunk: number, row: number, message: string): void;

  model_header(path: string): { tensors: RawTensor[]; metadata: Record<string, string> };
}
