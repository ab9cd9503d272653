// The plain data that crosses the border, by the names that the rest of the code uses.
import type {
  ParserHandle,
  RawBatch,
  RawCheckProgress,
  RawCheckReport,
  RawColumn,
  RawCompactProgress,
  RawCompactReport,
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
} from './raw.js';

export type { ParserHandle };
export type Column = RawColumn;
export type CheckProgress = RawCheckProgress;
export type CheckReport = RawCheckReport;
export type Damage = RawDamage;
export type CompactProgress = RawCompactProgress;
export type CompactReport = RawCompactReport;
/** Keys from `first` up to, without, `end`. */
export type KeyRange = { first: number; end: number };
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
