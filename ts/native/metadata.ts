// Values of samples that a pipeline keeps beside a dataset: what its trainings record, or a user's own.
import { native } from './call.js';
import type { MetadataColumn, MetadataValues } from './types.js';

/**
 * The columns in a folder (docs/design.md says where those of pipelines lie). All work runs off the main thread; several
 * processes may read and write. A sample without a value has NaN, or 255 in a u8 column. E_NOT_FOUND when the folder
 * holds no columns, E_ARGUMENT for a column that is not there, E_CORRUPT, E_READ_ONLY, E_NO_SPACE.
 */
export class Metadata {
  constructor(readonly folder: string) {}

  columns(): Promise<MetadataColumn[]> {
    return native((addon) => addon.metadata_columns(this.folder));
  }

  /** Adds those of the columns that are missing, and makes the folder. */
  define(columns: readonly { name: string; type?: 'f32' | 'u8'; length?: number }[]): Promise<void> {
    const all = columns.map(({ name, type = 'f32', length = 1 }) => ({ name, type, length }));
    return native((addon) => addon.metadata_define(this.folder, all));
  }

  /** Replaces the values of the keys durably: [keys, length] each. After a kill a sample has its old values or its new ones. */
  update(keys: BigUint64Array, columns: MetadataValues[]): Promise<void> {
    return native((addon) => addon.metadata_update(this.folder, keys, columns));
  }

  /** Values in the order of the keys. */
  read(column: string, keys: BigUint64Array): Promise<Float32Array | Uint8Array> {
    return native((addon) => addon.metadata_read(this.folder, column, keys));
  }

  /** Values of the keys [first, end). */
  readRange(column: string, first: number, end: number): Promise<Float32Array | Uint8Array> {
    return native((addon) => addon.metadata_read_range(this.folder, column, first, end));
  }
}
