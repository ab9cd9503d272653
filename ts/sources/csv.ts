// CSV files (csv-parse), streaming; a header row, delimiter comma, semicolon or tab, gzip by the name's end.
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { Transform } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { CsvError, type Options, parse } from 'csv-parse';
import { SluiceError } from '../errors.js';
import type { SourceFile } from './paths.js';
import type { RecordBatch, SourcePart } from './types.js';

const batchRows = 65_536;
const maxRecordBytes = 16 * 1024 * 1024;

/** The part that a CSV file is. What is wrong in it is told when it is read: E_SOURCE with the line. */
export function csvPart(file: SourceFile): SourcePart {
  return { name: file.name, fingerprint: file.fingerprint, read: (columns, startRow) => readRows(file, columns, startRow) };
}

async function* readRows(file: SourceFile, columns: string[], startRow: number): AsyncGenerator<RecordBatch> {
  const delimiter = await detectDelimiter(file);
  const positions: number[] = [];
  let values: (string | null)[][] = columns.map(() => []);
  let row = -1; // of the header
  try {
    for await (const record of records(file, delimiter) as AsyncIterable<string[]>) {
      if (row++ === -1) {
        positions.push(...findColumns(file, record, columns));
        continue;
      }
      if (row <= startRow) continue;
      for (const [i, position] of positions.entries()) {
        const text = record[position] as string;
        (values[i] as (string | null)[]).push(text === '' ? null : text);
      }
      if ((values[0] as unknown[]).length === batchRows) {
        yield toBatch(columns, values);
        values = columns.map(() => []);
      }
    }
  } catch (error) {
    throw unreadable(file, error);
  }
  if (row === -1) throw new SluiceError('E_SOURCE', `${file.name}: the file is empty; a header row is needed`);
  if ((values[0] as unknown[]).length > 0) yield toBatch(columns, values);
}

function records(file: SourceFile, delimiter: string): AsyncIterable<unknown> {
  const options: Options = { delimiter, bom: true, max_record_size: maxRecordBytes, skip_empty_lines: true, relax_quotes: false };
  const raw = createReadStream(file.path, { highWaterMark: 1 << 20 });
  const parser = parse(options);
  const stages: NodeJS.ReadWriteStream[] = [raw as unknown as NodeJS.ReadWriteStream, ...(file.path.endsWith('.gz') ? [createGunzip()] : []), utf8Check()];
  // An error anywhere ends the parser, whose iterator then throws it.
  for (const [i, stage] of stages.entries()) {
    stage.on('error', (error: Error) => parser.destroy(error));
    stage.pipe((stages[i + 1] ?? parser) as NodeJS.WritableStream);
  }
  parser.on('close', () => raw.destroy());
  return parser;
}

/** Passes bytes through and fails on what is not UTF-8. */
function utf8Check(): Transform {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  return new Transform({
    transform(chunk: Buffer, _, done) {
      try {
        decoder.decode(chunk, { stream: true });
        done(null, chunk);
      } catch {
        done(new Error('it is not UTF-8 text'));
      }
    },
    flush(done) {
      try {
        decoder.decode();
        done();
      } catch {
        done(new Error('it is not UTF-8 text'));
      }
    },
  });
}

/** The one of comma, semicolon and tab that the header line holds most of. */
async function detectDelimiter(file: SourceFile): Promise<string> {
  const handle = await open(file.path);
  try {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(65_536), 0, 65_536, 0);
    let head: Buffer = buffer.subarray(0, bytesRead);
    if (file.path.endsWith('.gz')) head = await firstBytes(file);
    const line = head.toString('utf8').split(/\r?\n/, 1)[0] ?? '';
    const counts = [',', ';', '\t'].map((d) => [d, line.split(d).length] as const);
    return (counts.sort((a, b) => b[1] - a[1])[0] as readonly [string, number])[0];
  } finally {
    await handle.close();
  }
}

async function firstBytes(file: SourceFile): Promise<Buffer> {
  const unzip = createReadStream(file.path).pipe(createGunzip());
  try {
    for await (const chunk of unzip) return chunk as Buffer;
  } catch (error) {
    throw unreadable(file, error);
  }
  return Buffer.alloc(0);
}

function findColumns(file: SourceFile, header: string[], columns: string[]): number[] {
  return columns.map((column) => {
    const position = header.indexOf(column);
    if (position < 0) throw new SluiceError('E_SOURCE', `${file.name}: there is no column '${column}'; it has ${header.join(', ')}`);
    return position;
  });
}

function toBatch(columns: string[], values: (string | null)[][]): RecordBatch {
  return { rows: (values[0] as unknown[]).length, columns: Object.fromEntries(columns.map((column, i) => [column, values[i] as (string | null)[]])) };
}

function unreadable(file: SourceFile, error: unknown): unknown {
  if (error instanceof SluiceError) return error;
  const line = error instanceof CsvError && typeof error['lines'] === 'number' ? `:${error['lines']}` : '';
  return new SluiceError('E_SOURCE', `${file.name}${line}: ${(error as Error).message}`, { hint: 'the file may be damaged or incomplete', cause: error });
}
