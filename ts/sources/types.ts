// A source of records in column form, and what ingestion makes of them.
import type { FileField } from '../native/types.js';

/** `Uint8Array`: bytes, such as those of a picture's file; lists of numbers are tensors. */
export type ColumnValue = number | bigint | string | Date | boolean | ArrayLike<number> | null | undefined;

/**
 * Values of one column: numbers (also bigint, Date), strings, bytes or lists of numbers; null where the file has none. A
 * typed array may hold the tensors of all rows, one after the other.
 */
export type ColumnValues = ArrayLike<ColumnValue>;

/** `dropped`: 1 for rows whose pictures could not be decoded; only ingestion sets it. */
export type RecordBatch = { rows: number; columns: Record<string, ColumnValues>; dropped?: Uint8Array };

/** A field of the records of file number `file`; `shape` as in the file, `axes`: see BinaryField.permute; `cardinality`: its codes are below it. */
export type PlacedField = FileField & { elements: number; cardinality?: number | undefined };
export type Place = { files: { path: string; skip: number; stride: number }[]; fields: ReadonlyMap<string, PlacedField> };

/** One file (or one user stream): its identity for resuming, and its rows in order, from `startRow` on. */
export type SourcePart = {
  /** Stable name, e.g. the path as the pipeline gives it. */
  name: string;
  /** Changes when the content changes (size and mtime of a file). */
  fingerprint: string;
  /** Hash of the whole content. It is asked for where the fingerprint differs: a file that was only copied is the same. */
  contentHash?(): Promise<string>;
  /** Rows if known beforehand: they need not be counted where times are made. */
  rows?: number;
  /** Absolute path of the folder that the paths of pictures are relative to, and must not leave. Without it pictures are bytes. */
  folder?: string;
  /** Where the values lie, in files of records of fixed width. */
  place?: Place;
  /** The rows are to stay in those files. */
  inPlace?: boolean;
  /** Only the named columns need to be delivered. Batches of some ten thousand rows. */
  read(columns: string[], startRow: number): AsyncIterable<RecordBatch>;
};

export type Source = { parts(): Promise<SourcePart[]> };
