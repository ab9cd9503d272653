// A source of records in column form, and what ingestion makes of them.

/** Values of one column: numbers (also bigint, Date) or strings; null where the file has none. */
export type ColumnValues = ArrayLike<number | bigint | string | Date | boolean | null | undefined>;

export type RecordBatch = { rows: number; columns: Record<string, ColumnValues> };

/** One file (or one user stream): its identity for resuming, and its rows in order, from `startRow` on. */
export type SourcePart = {
  /** Stable name, e.g. the path as the pipeline gives it. */
  name: string;
  /** Changes when the content changes (size and mtime of a file). */
  fingerprint: string;
  /** Hash of the whole content. It is asked for where the fingerprint differs: a file that was only copied is the same. */
  contentHash?(): Promise<string>;
  /** Rows if known beforehand, for the progress bar. */
  rows?: number;
  /** Only the named columns need to be delivered. Batches of some ten thousand rows. */
  read(columns: string[], startRow: number): AsyncIterable<RecordBatch>;
};

export type Source = { parts(): Promise<SourcePart[]> };
