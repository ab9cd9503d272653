// Parquet files (hyparquet), row group by row group, only the columns that are asked for.
import { type AsyncBuffer, asyncBufferFromFile, type FileMetaData, parquetMetadataAsync, parquetRead } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { SluiceError } from '../errors.js';
import type { SourceFile } from './paths.js';
import type { ColumnValues, RecordBatch, SourcePart } from './types.js';

const maxFooterBytes = 256 * 1024 * 1024;
/** A row costs at least some bits in a file; a footer that claims more rows than this per byte is not believed. */
const maxRowsPerByte = 100_000;
const batchRows = 65_536;

/** Times as milliseconds, so that no Date is made for each row. */
const parsers = {
  timestampFromMilliseconds: (value: bigint) => Number(value),
  timestampFromMicroseconds: (value: bigint) => Number(value) / 1000,
  timestampFromNanoseconds: (value: bigint) => Number(value) / 1e6,
  dateFromDays: (days: number) => days * 86_400_000,
};

type Opened = { buffer: AsyncBuffer; metadata: FileMetaData; groups: { first: number; rows: number }[] };

/** The part that a Parquet file is. E_SOURCE when it is truncated, corrupt or compressed in an unknown way. */
export async function parquetPart(file: SourceFile): Promise<SourcePart> {
  const opened = await openFile(file);
  const rows = opened.groups.reduce((sum, group) => sum + group.rows, 0);
  return {
    name: file.name,
    fingerprint: file.fingerprint,
    rows,
    timesAreMs: (column) => isTime(opened.metadata, column),
    read: (columns, startRow) => readRows(file, opened, columns, startRow),
  };
}

async function openFile(file: SourceFile): Promise<Opened> {
  try {
    const buffer = await asyncBufferFromFile(file.path);
    await checkEnds(buffer);
    const metadata = await parquetMetadataAsync(buffer);
    let first = 0;
    const groups = metadata.row_groups.map((group) => {
      const rows = Number(group.num_rows);
      if (!Number.isSafeInteger(rows) || rows < 0 || rows > file.bytes * maxRowsPerByte) throw new Error(`impossible row count ${group.num_rows}`);
      const at = { first, rows };
      first += rows;
      return at;
    });
    return { buffer, metadata, groups };
  } catch (error) {
    throw damaged(file, 'cannot be read as Parquet', error);
  }
}

/** hyparquet trusts the footer's length; a hostile one would have it read anything. */
async function checkEnds(buffer: AsyncBuffer): Promise<void> {
  const size = buffer.byteLength;
  if (size < 12) throw new Error(`it has only ${size} bytes`);
  const head = Buffer.from(await buffer.slice(0, 4)).toString('latin1');
  const tail = Buffer.from(await buffer.slice(size - 8, size));
  if (head !== 'PAR1') throw new Error('it does not begin with PAR1');
  if (tail.toString('latin1', 4) !== 'PAR1') throw new Error('it does not end with PAR1; it may be cut off');
  const footer = tail.readUInt32LE(0);
  if (footer > size - 12 || footer > maxFooterBytes) throw new Error(`its footer claims ${footer} bytes in a file of ${size}`);
}

function columnElement(metadata: FileMetaData, column: string) {
  return metadata.schema.slice(1).find((element) => element.name === column);
}

function isTime(metadata: FileMetaData, column: string): boolean {
  const element = columnElement(metadata, column);
  const logical = element?.logical_type?.type;
  return logical === 'TIMESTAMP' || logical === 'DATE' || element?.type === 'INT96' || /^(TIMESTAMP|DATE)/.test(element?.converted_type ?? '');
}

function checkColumns(file: SourceFile, metadata: FileMetaData, columns: string[]): void {
  const there = metadata.schema.slice(1).map((element) => element.name);
  for (const column of columns) {
    const element = columnElement(metadata, column);
    if (element === undefined) throw new SluiceError('E_SOURCE', `${file.name}: there is no column '${column}'; it has ${there.join(', ')}`);
    if (element.num_children || element.repetition_type === 'REPEATED') throw new SluiceError('E_SOURCE', `${file.name}: column '${column}' is nested; only flat columns can be read`);
  }
}

async function* readRows(file: SourceFile, opened: Opened, columns: string[], startRow: number): AsyncGenerator<RecordBatch> {
  checkColumns(file, opened.metadata, columns);
  for (const [index, group] of opened.groups.entries()) {
    const skip = Math.max(0, startRow - group.first);
    if (skip >= group.rows) continue;
    const values = await readGroup(file, opened, columns, index);
    for (let at = skip; at < group.rows; at += batchRows) {
      const end = Math.min(group.rows, at + batchRows);
      const batch: Record<string, ColumnValues> = {};
      for (const [name, column] of values) batch[name] = column.slice(at, end);
      yield { rows: end - at, columns: batch };
    }
  }
}

async function readGroup(file: SourceFile, opened: Opened, columns: string[], index: number): Promise<Map<string, Column>> {
  const group = opened.groups[index] as { first: number; rows: number };
  const pieces = new Map<string, Column[]>(columns.map((column) => [column, []]));
  try {
    await parquetRead({
      file: opened.buffer,
      metadata: opened.metadata,
      columns,
      rowStart: group.first,
      rowEnd: group.first + group.rows,
      compressors,
      parsers,
      onChunk: ({ columnName, columnData }) => pieces.get(columnName)?.push(columnData as Column),
    });
    return new Map([...pieces].map(([name, parts]) => [name, joined(name, parts, group.rows)]));
  } catch (error) {
    throw damaged(file, `row group ${index} (rows ${group.first} to ${group.first + group.rows - 1}) cannot be read`, error);
  }
}

type Column = { length: number; slice(start: number, end: number): ColumnValues };

function joined(name: string, parts: Column[], rows: number): Column {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  if (length !== rows) throw new Error(`column '${name}' has ${length} values instead of ${rows}`);
  return parts.length === 1 ? (parts[0] as Column) : parts.flatMap((part) => Array.from(part as unknown as ArrayLike<number>));
}

function damaged(file: SourceFile, what: string, error: unknown): SluiceError {
  if (error instanceof SluiceError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new SluiceError('E_SOURCE', `${file.name}: ${what}: ${reason}`, { hint: 'the file may be damaged or incomplete; fetch it again', cause: error });
}
