// A Parquet file's footer: schema, row groups and where each column's bytes lie. Nothing in it is trusted.
import { type CompressionCodec, type ColumnMetaData, type FileMetaData, parquetMetadata, type SchemaElement } from 'hyparquet';
import { SluiceError } from '../../errors.js';
import type { OpenFile } from '../../files/file-system.js';
import { codecNames, isSupported } from './codecs.js';
import { damaged } from './damage.js';
import { checkStruct } from './thrift.js';

const maxFooterBytes = 2 ** 27;
const maxGroupRows = 2 ** 31 - 1;
/** A page of a row group holds at most as many values; see column.ts. */
export const maxPageValues = 2 ** 25;
const leastPageBytes = 8;

export type Group = { index: number; firstRow: number; rows: number };

/** A flat column: `element` is its type, `chunk` its index in each row group. */
export type Column = { name: string; element: SchemaElement; chunk: number };

/** The bytes of one column in one row group. */
export type Chunk = { column: Column; start: number; end: number; rows: number; codec: CompressionCodec };

export class Footer {
  readonly groups: Group[];
  readonly rows: number;
  readonly #columns: Map<string, Column | 'nested'>;

  constructor(
    readonly file: string,
    private readonly metadata: FileMetaData,
    private readonly dataEnd: number,
  ) {
    this.#columns = topLevel(metadata.schema);
    this.groups = [];
    let firstRow = 0;
    for (const [index, group] of metadata.row_groups.entries()) {
      const rows = whole(group.num_rows, maxGroupRows, `row group ${index}: number of rows`);
      if (rows > (dataEnd / leastPageBytes) * maxPageValues)
        throw new Error(`row group ${index} claims ${rows} rows in a file of ${dataEnd} bytes`);
      this.groups.push({ index, firstRow, rows });
      firstRow += rows;
    }
    this.rows = whole(metadata.num_rows, Number.MAX_SAFE_INTEGER, 'number of rows');
    if (this.rows !== firstRow) throw new Error(`it claims ${this.rows} rows, but its row groups have ${firstRow}`);
  }

  /** The flat column of that name. E_SOURCE where there is none, or one that cannot be read. */
  column(name: string): Column {
    const column = this.#columns.get(name);
    const names = [...this.#columns.keys()];
    if (column === undefined) {
      const shown = names.slice(0, 30).join(', ') + (names.length > 30 ? ', …' : '');
      throw new SluiceError('E_SOURCE', `${this.file}: there is no column '${name}'`, { hint: `the file has the columns ${shown}` });
    }
    const hint = 'write the column as numbers, text or timestamps, or leave it out';
    if (column === 'nested')
      throw new SluiceError('E_SOURCE', `${this.file}: column '${name}' is nested; only flat columns can be read`, { hint });
    const problem = unsupported(column.element);
    if (problem) throw new SluiceError('E_SOURCE', `${this.file}: column '${name}' holds ${problem}, which cannot be read`, { hint });
    return column;
  }

  /** Where the column's bytes of a row group lie. Throws what is wrong with them. */
  chunk(group: Group, column: Column): Chunk {
    const stored = this.metadata.row_groups[group.index]!.columns[column.chunk];
    if (stored?.file_path) throw new Error('its data lies in another file, which is not supported');
    const meta = stored?.meta_data;
    if (meta === undefined) throw new Error('it is encrypted or damaged: the footer does not describe it');
    if (meta.path_in_schema.length !== 1 || meta.path_in_schema[0] !== column.name)
      throw new Error('the footer has its columns in another order than its schema');
    if (!isSupported(meta.codec)) {
      const hint = `write the file with another compression, one of ${codecNames.join(', ')}`;
      throw damaged(
        this.file,
        `column '${column.name}', row group ${group.index}`,
        new Error(`compression ${meta.codec ?? 'unknown'} is not supported`),
        hint,
      );
    }
    const { start, end } = this.#range(meta);
    if (whole(meta.num_values, maxGroupRows, 'number of values') !== group.rows)
      throw new Error(`it claims ${meta.num_values} values, but the row group has ${group.rows} rows`);
    return { column, start, end, rows: group.rows, codec: meta.codec };
  }

  #range(meta: ColumnMetaData): { start: number; end: number } {
    const first = meta.dictionary_page_offset || meta.data_page_offset;
    const start = whole(first, this.dataEnd, 'offset');
    const end = start + whole(meta.total_compressed_size, this.dataEnd, 'size');
    if (start < 4 || end > this.dataEnd)
      throw new Error(`its bytes ${start} to ${end} lie outside the file's data, which ends at ${this.dataEnd}`);
    return { start, end };
  }
}

/** Reads and checks the footer of a file. E_SOURCE. */
export async function readFooter(file: OpenFile, name: string): Promise<Footer> {
  const { size } = file;
  try {
    if (size < 12) throw new Error(`it has only ${size} bytes`);
    const head = (await file.read(0, 4)).toString('latin1');
    const tail = await file.read(size - 8, 8);
    const magic = tail.toString('latin1', 4);
    if (head === 'PARE' || magic === 'PARE') throw new Error('its footer is encrypted, which is not supported');
    if (head !== 'PAR1') throw new Error('it does not begin with PAR1');
    if (magic !== 'PAR1') throw new Error('it does not end with PAR1; it may be cut off');
    const length = tail.readUInt32LE(0);
    if (length > size - 12 || length > maxFooterBytes) throw new Error(`its footer claims ${length} bytes in a file of ${size}`);
    const bytes = await file.read(size - 8 - length, length + 8);
    checkStruct(bytes.subarray(0, length));
    return new Footer(name, parquetMetadata(bytes, { geoparquet: false }), size - 8 - length);
  } catch (error) {
    throw damaged(name, 'it cannot be read as a Parquet file', error);
  }
}

function whole(value: unknown, most: number, what: string): number {
  const number = typeof value === 'bigint' ? Number(value) : Number.NaN;
  if (!(number >= 0 && number <= most)) throw new Error(`its ${what} is ${String(value)}, expected 0 to ${most}`);
  return number;
}

/** The root's children; leaves of nested ones are counted, as each leaf has a chunk in a row group. */
function topLevel(schema: SchemaElement[]): Map<string, Column | 'nested'> {
  const columns = new Map<string, Column | 'nested'>();
  let chunk = 0;
  for (let i = 1; i < schema.length; i++) {
    const element = schema[i]!;
    const flat = !element.num_children && element.repetition_type !== 'REPEATED';
    if (!columns.has(element.name))
      columns.set(element.name, flat ? { name: element.name, element: normalized(element), chunk } : 'nested');
    let open = element.num_children ?? 0;
    if (open === 0) chunk++;
    while (open > 0) {
      const inner = schema[++i];
      if (inner === undefined) throw new Error('its schema is incomplete');
      const children = inner.num_children ?? 0;
      open += children - 1;
      if (children === 0) chunk++;
    }
  }
  return columns;
}

/** hyparquet knows decimals and dates by the older annotation only, which new writers may leave out. */
function normalized(element: SchemaElement): SchemaElement {
  const logical = element.logical_type;
  if (logical?.type === 'DECIMAL') return { ...element, converted_type: 'DECIMAL', scale: logical.scale ?? element.scale ?? 0 };
  if (logical?.type === 'DATE') return { ...element, converted_type: 'DATE' };
  return element;
}

function unsupported(element: SchemaElement): string | undefined {
  const logical = element.logical_type?.type;
  const converted = element.converted_type;
  if (element.type === undefined) return 'values of an unknown type';
  if (logical === 'GEOMETRY' || logical === 'GEOGRAPHY' || logical === 'VARIANT') return `values of type ${logical}`;
  if (converted === 'BSON' || converted === 'INTERVAL') return `values of type ${converted}`;
  if (element.type === 'FIXED_LEN_BYTE_ARRAY' && converted !== 'DECIMAL' && logical !== 'UUID' && logical !== 'FLOAT16') return 'bytes';
  return undefined;
}
