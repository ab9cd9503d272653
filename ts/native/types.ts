// The plain data that crosses the border, by the names that the rest of the code uses.
import type {
  ParserHandle,
  RawBatch,
  RawCheckProgress,
  RawCheckReport,
  RawColumn,
  RawCompactProgress,
  RawCompactReport,
  RawComparison,
  RawFileBatch,
  RawFileField,
  RawFileMove,
  RawFileSpan,
  RawStoredType,
  RawDamage,
  RawEvalPlan,
  RawFeatures,
  RawInfo,
  RawLabelStatistics,
  RawMetadataColumn,
  RawMetadataValues,
  RawMetrics,
  RawModel,
  RawOptimizer,
  RawSchema,
  RawSelection,
  RawTensor,
  RawRecorded,
  RawTrainPlan,
  RawTrainProgress,
  RawTrainResult,
  RawSettledRows,
  RawWaitingAnswer,
  RawWaitingBatch,
  RawWaitingCounts,
} from './raw.js';

export type { ParserHandle };
export type Column = RawColumn;
export type CheckProgress = RawCheckProgress;
export type CheckReport = RawCheckReport;
export type Damage = RawDamage;
export type CompactProgress = RawCompactProgress;
export type CompactReport = RawCompactReport;
export type StoredType = RawStoredType;
export type FileField = RawFileField;
export type FileBatch = RawFileBatch;
export type FileMove = RawFileMove;
export type FileSpan = RawFileSpan;
/** Keys from `first` up to, without, `end`. */
export type KeyRange = { first: number; end: number };
export type Comparison = RawComparison;
/** What a search for samples asks; all must hold. Without any: all samples that were not deleted. */
export type SampleFilter = {
  keys?: readonly KeyRange[];
  /** The sample has one of these. */
  labels?: readonly number[];
  /** Comparisons of key, time (ms since 1970) and label. Labels are stored as 32-bit floats, and the value is rounded to one. */
  where?: readonly Comparison[];
};
export type FrozenSet = { id: string; size: number };
/** An entry of the audit log. */
export type Deletion = { number: number; timeMs: number; reason: string; keys: KeyRange[] };
export type LabelStatistics = RawLabelStatistics;
export type Schema = RawSchema;
export type DatasetInfo = RawInfo;
export type Batch = RawBatch;
export type Features = RawFeatures;
export type MetadataColumn = RawMetadataColumn;
export type MetadataValues = RawMetadataValues;
export type Model = RawModel;
export type Optimizer = RawOptimizer;
export type Recorded = RawRecorded;
export type TrainPlan = RawTrainPlan;
export type TrainProgress = RawTrainProgress;
export type TrainResult = RawTrainResult;
export type EvalPlan = RawEvalPlan;
export type Metrics = RawMetrics;
export type Selection = RawSelection;
export type Tensor = RawTensor;
export type WaitingBatch = RawWaitingBatch;
export type WaitingAnswer = RawWaitingAnswer;
export type SettledRows = RawSettledRows;
export type WaitingCounts = RawWaitingCounts;
