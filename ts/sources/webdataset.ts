// WebDataset's shards: tar archives whose members follow each other sample by sample, as 0001.jpg, 0001.cls, 0001.json.
// https://github.com/webdataset/webdataset#the-webdataset-format
import { isUtf8 } from 'node:buffer';
import { SluiceError } from '../errors.js';
import { batchRowsFor } from './batch-size.js';
import { bytesOf } from './bytes.js';
import { Collector } from './collector.js';
import { identityOf, type SourceFile } from './files.js';
import { columnValue, type FieldPath, fieldOf, fieldPath, isObject, type Json, kindOf } from './json-values.js';
import { type TarMember, tarMembers } from './tar.js';
import type { ColumnValue, RecordBatch, SourcePart } from './types.js';

/** Of the members that are read. */
const batchBytes = 2 ** 25;
/** Members of a sample. */
const maxMembers = 1000;
const pictures = ['jpg', 'jpeg', 'png', 'webp'];
const texts = new Set(['txt', 'text', 'transcript', 'cls', 'cls2', 'class', 'count', 'index', 'inx', 'id']);
const isJson = (extension: string) => extension === 'json' || extension.endsWith('.json');

/** Where a column comes from: members with one of these endings, and what of them if they are JSON. */
type ColumnPlace = { extensions: readonly string[]; field?: FieldPath };

/**
 * The part that a shard is: .tar, also compressed. Columns are the endings of names (`jpg`, `cls`, `txt`), paths into JSON members
 * (`json.user.name`), `image`, which is whichever picture a sample has, and `key`, the name without its ending. Members are
 * bytes; txt and cls are text. A sample that lacks a member has null there. read() throws E_SOURCE with file and member.
 */
export function webdatasetPart(file: SourceFile): SourcePart {
  return {
    ...identityOf(file),
    read: (columns, startRow) => readRows(file, columns, startRow),
  };
}

async function* readRows(file: SourceFile, columns: string[], startRow: number): AsyncGenerator<RecordBatch> {
  const places = columns.map(placeOf);
  const collector = new Collector(file.name, columns, startRow === 0);
  const wanted = new Set(places.flatMap(({ extensions }) => extensions));
  const batchRows = batchRowsFor(columns.length);
  let known: string[] | undefined;
  let bytes = 0;
  let row = 0;
  for await (const sample of samples(file, (extension) => row >= startRow && wanted.has(extension))) {
    if (row++ < startRow) continue;
    known ??= ['key', ...sample.extensions];
    collector.add((c) => valueAt(file, sample, columns[c]!, places[c]!));
    bytes += sample.bytes;
    if (collector.rows < batchRows && bytes < batchBytes) continue;
    yield collector.batch(known);
    bytes = 0;
  }
  if (known !== undefined) yield collector.batch(known, true);
}

function placeOf(column: string): ColumnPlace {
  if (column === 'image') return { extensions: pictures };
  const steps = column.split('.');
  const json = steps.indexOf('json');
  if (json < 0 || json === steps.length - 1) return { extensions: [column] };
  return { extensions: [steps.slice(0, json + 1).join('.')], field: fieldPath(steps.slice(json + 1).join('.')) };
}

/** `members`: those that are wanted, by ending; `extensions`: of all members. */
type Sample = { key: string; members: Map<string, { name: string; content: Buffer; json?: Json }>; extensions: Set<string>; bytes: number };

async function* samples(file: SourceFile, wanted: (extension: string) => boolean): AsyncGenerator<Sample> {
  let sample: Sample | undefined;
  for await (const member of membersOf(file)) {
    const split = splitName(member.name);
    if (split === undefined) continue;
    const { key, extension } = split;
    if (sample !== undefined && sample.key !== key) {
      yield sample;
      sample = undefined;
    }
    sample ??= { key, members: new Map(), extensions: new Set(), bytes: 0 };
    if (sample.extensions.has(extension)) throw wrong(file, member.name, 'is there twice');
    if (sample.extensions.size === maxMembers) throw wrong(file, member.name, `is one of more than ${maxMembers} of its sample`);
    sample.extensions.add(extension);
    if (!wanted(extension)) continue;
    sample.members.set(extension, { name: member.name, content: await reading(file, member) });
    sample.bytes += member.size;
  }
  if (sample !== undefined) yield sample;
}

/** Up to the first dot of the last step: a/0001.seg.png is sample a/0001, ending seg.png. Undefined for names without, or hidden ones. */
function splitName(name: string): { key: string; extension: string } | undefined {
  const dot = name.indexOf('.', name.lastIndexOf('/') + 1);
  if (dot <= name.lastIndexOf('/') + 1 || dot === name.length - 1) return undefined;
  return { key: name.slice(0, dot), extension: name.slice(dot + 1).toLowerCase() };
}

async function* membersOf(file: SourceFile): AsyncGenerator<TarMember> {
  const chunks = bytesOf(file);
  try {
    yield* tarMembers(chunks);
  } catch (error) {
    throw damaged(file, error);
  } finally {
    await chunks.return(undefined);
  }
}

async function reading(file: SourceFile, member: TarMember): Promise<Buffer> {
  try {
    return await member.content();
  } catch (error) {
    throw damaged(file, error);
  }
}

function damaged(file: SourceFile, error: unknown): SluiceError {
  if (error instanceof SluiceError) return error;
  return new SluiceError('E_SOURCE', `${file.name}: ${(error as Error).message}`, {
    hint: 'the file may be damaged or incomplete, or no tar archive of plain files: fetch or write it again',
    cause: error,
  });
}

function wrong(file: SourceFile, member: string, what: string, hint = 'correct the member, or write the shard again'): SluiceError {
  const shown = JSON.stringify(member.length > 200 ? `${member.slice(0, 200)}…` : member);
  return new SluiceError('E_SOURCE', `${file.name}: member ${shown} ${what}`, { hint });
}

function valueAt(file: SourceFile, sample: Sample, column: string, { extensions, field }: ColumnPlace): ColumnValue {
  if (column === 'key') return sample.key;
  const extension = extensions.find((name) => sample.members.has(name));
  if (extension === undefined) return undefined;
  const member = sample.members.get(extension)!;
  if (field !== undefined) {
    const fail = (got: string): never => {
      throw wrong(file, member.name, `has in column '${column}' ${got}, expected a text, a number or a list of numbers`);
    };
    member.json ??= parseJson(file, member);
    return columnValue(fieldOf(member.json, field), fail);
  }
  if (!texts.has(extension) && !isJson(extension)) return member.content;
  const text = utf8(file, member);
  return extension === 'txt' || extension === 'text' || extension === 'transcript' ? text : text.trim();
}

function parseJson(file: SourceFile, member: { name: string; content: Buffer }): Json {
  let value: unknown;
  try {
    value = JSON.parse(utf8(file, member));
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    throw wrong(file, member.name, `is not JSON: ${(error as Error).message}`);
  }
  if (isObject(value)) return value;
  throw wrong(file, member.name, `is ${kindOf(value)}, expected a JSON object`);
}

function utf8(file: SourceFile, { name, content }: { name: string; content: Buffer }): string {
  if (isUtf8(content)) return content.toString();
  throw wrong(file, name, 'is not UTF-8 text');
}
