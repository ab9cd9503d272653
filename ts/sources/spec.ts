// What a dataset stores of its source: which column is the time, what the label is, which columns are kept.

export type ColumnType = 'f32' | 'i32' | 'category';

export type TimeUnit = 's' | 'ms' | 'us' | 'ns' | 'min' | 'h' | 'd';

/** 1 where the column is at least `atLeast`; or the classes 0 … n-1; or the names of the classes; or 0 and 1. */
export type LabelSpec = { column: string; atLeast: number } | { column: string; classes?: number | string[] | undefined };

export type DatasetSpec = {
  /** `unit`: of a column of numbers, counted from 1970-01-01 UTC. */
  time: { column: string; unit: TimeUnit };
  label: LabelSpec;
  columns: Record<string, ColumnType>;
};

/** Files of a format, as the pipeline names them. `delimiter`: of CSV, one character; default: what the header row shows. */
export type FileSource = { format: 'parquet' | 'csv'; path: readonly string[]; delimiter?: string | undefined };
