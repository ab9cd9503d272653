// Parquet files: row group by row group, page by page, only the columns that are asked for.
import { ColumnReader } from './parquet/column.js';
import { damaged } from './parquet/damage.js';
import { type Column, type Footer, type Group, readFooter } from './parquet/footer.js';
import { identityOf, localFolderOf, type SourceFile } from './files.js';
import type { ColumnValues, RecordBatch, SourcePart } from './types.js';

const batchRows = 65_536;

/**
 * The part that a Parquet file is. read() throws E_SOURCE with file, column and row group where the file is truncated,
 * damaged or of a kind that is not supported; nothing that the file claims makes it allocate more than the file can hold.
 */
export function parquetPart(file: SourceFile): SourcePart {
  return {
    ...identityOf(file),
    ...localFolderOf(file),
    read: (columns, startRow) => readRows(file, columns, startRow),
  };
}

async function* readRows(file: SourceFile, names: string[], startRow: number): AsyncGenerator<RecordBatch> {
  const opened = await file.open();
  try {
    const footer = await readFooter(opened, file.name);
    const columns = names.map((name) => footer.column(name));
    for (const group of footer.groups) {
      const skip = Math.max(0, startRow - group.firstRow);
      if (skip >= group.rows) continue;
      const queues = columns.map((column) => new PageQueue(footer, group, column, (chunk) => new ColumnReader(opened, chunk), skip));
      for (let at = skip; at < group.rows; at += batchRows) {
        const rows = Math.min(batchRows, group.rows - at);
        const values = await Promise.all(queues.map(async (queue) => [queue.name, await queue.take(rows)] as const));
        yield { rows, columns: Object.fromEntries(values) };
      }
    }
  } finally {
    await opened.close();
  }
}

type Sliceable = { slice(start: number, end: number): ColumnValues } & ColumnValues;

/** Cuts a column's pages, which end where they like, into batches. */
class PageQueue {
  readonly name: string;
  readonly #reader: ColumnReader;
  readonly #fail: (error: unknown) => Error;
  #page: Sliceable = [];
  #at = 0;
  #skip: number;

  constructor(footer: Footer, group: Group, column: Column, read: (chunk: ReturnType<Footer['chunk']>) => ColumnReader, skip: number) {
    const place = `column '${column.name}', row group ${group.index} (rows ${group.firstRow} to ${group.firstRow + group.rows - 1})`;
    this.name = column.name;
    this.#fail = (error) => damaged(footer.file, place, error);
    this.#skip = skip;
    try {
      this.#reader = read(footer.chunk(group, column));
    } catch (error) {
      throw this.#fail(error);
    }
  }

  async take(rows: number): Promise<ColumnValues> {
    const pieces: ColumnValues[] = [];
    for (let missing = rows; missing > 0; ) {
      if (this.#at === this.#page.length) await this.#turn();
      const end = Math.min(this.#page.length, this.#at + missing);
      pieces.push(this.#at === 0 && end === this.#page.length ? this.#page : this.#page.slice(this.#at, end));
      missing -= end - this.#at;
      this.#at = end;
    }
    return pieces.length === 1 ? pieces[0]! : joined(pieces, rows);
  }

  async #turn(): Promise<void> {
    try {
      const { skipped, values } = await this.#reader.next(this.#skip);
      this.#page = values as Sliceable;
      this.#at = this.#skip - skipped;
      this.#skip = 0;
    } catch (error) {
      throw this.#fail(error);
    }
  }
}

function joined(pieces: ColumnValues[], rows: number): ColumnValues {
  const result: ColumnValues[number][] | Float64Array = pieces.every((piece) => piece instanceof Float64Array)
    ? new Float64Array(rows)
    : new Array(rows);
  let at = 0;
  for (const piece of pieces) for (let i = 0; i < piece.length; i++) result[at++] = piece[i]!;
  return result;
}
