// Sources, stores and checks for the tests of this folder.
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { type ErrorCode, SluiceError } from '../errors.js';
import { localFiles } from '../files/local.js';
import type { Batch } from '../native/types.js';
import { packageRoot } from '../package.js';
import type { IngestStore } from './appender.js';
import { fileOf, type SourceFile } from './files.js';
import type { DatasetSpec } from './spec.js';
import type { ColumnValues, SourcePart } from './types.js';

const folders: string[] = [];
process.once('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A new folder that goes away with the process. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-sources-'));
  folders.push(folder);
  return folder;
}

export function writeTemporary(name: string, content: string | Uint8Array): string {
  const path = join(temporaryFolder(), name);
  writeFileSync(path, content);
  return path;
}

export function fixturePath(name: string): string {
  return join(packageRoot(), 'ts/sources/fixtures', name);
}

/** A file of a source, also one that is gone when it is read. */
export function localFile(name: string, path: string): SourceFile {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  return fileOf({ name, path, files: localFiles }, { kind: 'file', size, modifiedMs: 0, fingerprint: '' });
}

/** A file of the npm package vega-datasets. */
export const vega = (name: string) => `npm:vega-datasets/data/${name}`;

/** All values from a row on, column by column. */
export async function collect(part: SourcePart, columns: string[], startRow = 0): Promise<Record<string, ColumnValues[number][]>> {
  const all: Record<string, ColumnValues[number][]> = Object.fromEntries(columns.map((column) => [column, []]));
  for await (const batch of part.read(columns, startRow)) {
    for (const column of columns) {
      const values = batch.columns[column]!;
      assert.is(values.length, batch.rows);
      for (let i = 0; i < batch.rows; i++) all[column]!.push(values[i]);
    }
  }
  return all;
}

/** Runs `work`, which must fail with a SluiceError of that code whose message contains all texts; returns it. */
export async function failure(code: ErrorCode, texts: readonly string[], work: () => unknown): Promise<SluiceError> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    assert.is(error.code, code, error.message);
    for (const text of texts) assert.ok(error.message.includes(text), `"${error.message}" should contain "${text}"`);
    return error;
  }
  return assert.unreachable(`expected ${code}`) as never;
}

/** Keeps what is appended in memory, all or nothing, as the native dataset does. */
export class MemoryStore implements IngestStore {
  readonly entries = new Map<string, string>();
  readonly batchRows: number[] = [];
  timestamps: number[] = [];
  labels: number[] = [];
  columns: number[][] = [];
  /** Number of the append that fails, from 0, and whether its rows are in all the same: the process died just after. */
  crash: { at: number; committed: boolean } | undefined;

  size(): number {
    return this.labels.length;
  }

  state(key: string): string | null {
    return this.entries.get(key) ?? null;
  }

  async append(batch: Batch): Promise<number> {
    const first = this.size();
    const crash = this.crash?.at === this.batchRows.length ? this.crash : undefined;
    await new Promise(setImmediate);
    if (crash && !crash.committed) throw new Error('killed');
    for (const t of batch.timestamps) this.timestamps.push(Number(t));
    for (const label of batch.labels) this.labels.push(label);
    for (const [c, column] of batch.columns.entries()) {
      this.columns[c] ??= [];
      for (const value of column) this.columns[c].push(value);
    }
    for (const [key, value] of Object.entries(batch.state)) this.entries.set(key, value);
    this.batchRows.push(batch.labels.length);
    if (crash) throw new Error('killed');
    return first;
  }
}

export const generatedSpec: DatasetSpec = {
  time: { column: 't', unit: 's' },
  label: { column: 'y' },
  columns: { x: 'f32', n: 'i32', c: 'category' },
};

/** A part of generated rows: `time(i)` seconds; x tells part and row apart. `name` is the fingerprint, too. */
export function generatedPart(name: string, rows: number, time: (i: number) => number, changes: Partial<SourcePart> = {}): SourcePart {
  const id = [...name].reduce((sum, letter) => sum + letter.charCodeAt(0), 0);
  const make: Record<string, (i: number) => number | string | null> = {
    t: time,
    y: (i) => i % 2,
    x: (i) => id + i / 1024,
    n: (i) => i,
    c: (i) => (i % 5 === 0 ? null : `${name} ${i % 1000}`),
  };
  async function* read(columns: string[], startRow: number) {
    for (let at = startRow; at < rows; at += 10_000) {
      const count = Math.min(10_000, rows - at);
      yield {
        rows: count,
        columns: Object.fromEntries(columns.map((column) => [column, Array.from({ length: count }, (_, i) => make[column]!(at + i))])),
      };
    }
  }
  return { name, fingerprint: name, read, ...changes };
}
