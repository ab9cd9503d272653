// The binary layout of the Criteo data that NVIDIA's DLRM example reads: a folder with feature_spec.yaml, which says for
// each split which files hold which features. A part is a split; rows of all its files belong together by position.
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join, resolve, sep } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { SluiceError } from '../errors.js';
import {
  batchRowsOf,
  type FieldPlace,
  fieldValues,
  type NumberArray,
  openRanges,
  type RangeReader,
  recordsIn,
  type StoredType,
  widthOf,
} from './fixed-width.js';
import { contentHash, type SourceFile, sourceFile } from './files.js';
import type { SourceFolder } from './paths.js';
import type { ColumnValues, RecordBatch, SourcePart } from './types.js';

const specName = 'feature_spec.yaml';
const maxSpecBytes = 2 ** 24;
const dtypes = Object.keys(widthOf) as [StoredType, ...StoredType[]];
const names = z.array(z.string().min(1));

const featureSpec = z.object({
  channel_spec: z.record(z.string(), names),
  feature_spec: z.record(z.string(), z.object({ dtype: z.enum(dtypes), cardinality: z.int().min(1).optional() })),
  source_spec: z.record(z.string(), z.array(z.object({ features: names.min(1), files: names.length(1), type: z.literal('split_binary') }))),
});

type FeatureSpec = z.output<typeof featureSpec>;
type Feature = { name: string; file: SourceFile; place: FieldPlace; cardinality: number | undefined };

/** The parts that the splits of a folder are. E_NOT_FOUND, E_SOURCE where files are missing or sizes do not agree. */
export async function criteoParts(folder: SourceFolder, splits: readonly string[]): Promise<SourcePart[]> {
  const spec = readSpec(folder);
  return splits.map((split) => {
    const features = featuresOf(folder, spec, split);
    const files = [...new Map(features.map(({ file }) => [file.path, file])).values()];
    const rows = rowsOf(features);
    return {
      name: `${folder.name} (${split})`,
      fingerprint: digest(files.map((file) => `${file.name} ${file.fingerprint}`)),
      contentHash: async () => digest(await Promise.all(files.map(contentHash))),
      rows,
      read: (columns, startRow) => readRows(pick(features, columns, `${folder.name}/${specName}`), startRow, rows),
    };
  });
}

const digest = (lines: string[]): string => createHash('sha256').update(lines.join('\n')).digest('hex');

function readSpec(folder: SourceFolder): FeatureSpec {
  const file = sourceFile(`${folder.name}/${specName}`, join(folder.path, specName), 'a folder of this format has that file');
  try {
    if (statSync(file.path).size > maxSpecBytes) throw new Error(`expected at most ${maxSpecBytes} bytes`);
    return featureSpec.parse(parse(readFileSync(file.path, 'utf8')));
  } catch (error) {
    const reason =
      error instanceof z.ZodError
        ? error.issues
            .slice(0, 3)
            .map((issue) => `${issue.path.join('.')}: ${issue.message}`)
            .join('; ')
        : (error as Error).message;
    throw new SluiceError('E_SOURCE', `${file.name} cannot be used: ${reason}`, { cause: error });
  }
}

function featuresOf(folder: SourceFolder, spec: FeatureSpec, split: string): Feature[] {
  const shown = `${folder.name}/${specName}`;
  const sources = Object.hasOwn(spec.source_spec, split) ? spec.source_spec[split]! : undefined;
  if (sources === undefined)
    throw new SluiceError('E_SOURCE', `${shown}: there is no split '${split}'`, {
      hint: `its splits are ${Object.keys(spec.source_spec).join(', ')}`,
    });
  return sources.flatMap(({ features, files: [name] }) => {
    const path = resolve(folder.path, name!);
    if (!path.startsWith(folder.path + sep)) throw new SluiceError('E_SOURCE', `${shown}: the file ${name} leaves its folder`);
    const file = sourceFile(`${folder.name}/${name}`, path, `${shown} names it`);
    const types = features.map((feature) => {
      const found = Object.hasOwn(spec.feature_spec, feature) ? spec.feature_spec[feature] : undefined;
      if (found === undefined)
        throw new SluiceError('E_SOURCE', `${shown}: feature_spec does not have the feature '${feature}' of ${name}`);
      return found;
    });
    const stride = types.reduce((sum, { dtype }) => sum + widthOf[dtype], 0);
    let offset = 0;
    return features.map((feature, i): Feature => {
      const { dtype, cardinality } = types[i]!;
      const place = { type: dtype, stride, offset, elements: 1 };
      offset += widthOf[dtype];
      return { name: feature, file, place, cardinality };
    });
  });
}

/** E_SOURCE where files do not hold as many records as the others. */
function rowsOf(features: readonly Feature[]): number {
  let [rows, first] = [0, ''];
  for (const { file, place } of features) {
    const found = recordsIn(file.name, statSync(file.path).size, 0, place.stride);
    if (first !== '' && found !== rows) {
      const hint = 'the files of a split hold a record for each sample: one may be cut off';
      throw new SluiceError('E_SOURCE', `${file.name} holds ${found} records, ${first} ${rows}`, { hint });
    }
    [rows, first] = [found, file.name];
  }
  return rows;
}

function pick(features: readonly Feature[], columns: string[], shown: string): Feature[] {
  return columns.map((column) => {
    const found = features.find(({ name }) => name === column);
    if (found) return found;
    const known = features.slice(0, 50).map(({ name }) => name);
    throw new SluiceError('E_SOURCE', `${shown}: there is no feature '${column}'`, { hint: `its features are ${known.join(', ')}` });
  });
}

async function* readRows(features: Feature[], startRow: number, rows: number): AsyncGenerator<RecordBatch> {
  const files = new Map(features.map(({ file, place }) => [file.path, { file, stride: place.stride }]));
  const readers: { path: string; stride: number; ranges: RangeReader }[] = [];
  try {
    for (const [path, { file, stride }] of files) readers.push({ path, stride, ranges: await openRanges(file.name, path) });
    const most = batchRowsOf(Math.max(1, ...readers.map(({ stride }) => stride)));
    for (let first = startRow; first < rows; first += most) {
      const count = Math.min(most, rows - first);
      const read = await Promise.all(
        readers.map(async ({ path, stride, ranges }) => [path, await ranges.read(first * stride, count * stride)] as const),
      );
      const bytes = new Map(read);
      const values = features.map((feature) => {
        const column = fieldValues(bytes.get(feature.file.path)!, count, feature.place);
        checkCodes(feature, column, first);
        return [feature.name, column as ColumnValues] as const;
      });
      yield { rows: count, columns: Object.fromEntries(values) };
    }
  } finally {
    await Promise.all(readers.map(({ ranges }) => ranges.close()));
  }
}

/** E_SOURCE where a code is not below the feature's cardinality. */
function checkCodes({ name, file, cardinality }: Feature, codes: NumberArray, firstRow: number): void {
  if (cardinality === undefined) return;
  const bad = codes.findIndex((code: number | bigint) => !(code >= 0 && code < cardinality));
  if (bad < 0) return;
  const at = `${file.name}: record ${firstRow + bad + 1}`;
  throw new SluiceError('E_SOURCE', `${at}: expected a code of feature '${name}' from 0 to ${cardinality - 1}, got ${codes[bad]}`, {
    hint: `the cardinality stands in ${specName} (records are counted from 1)`,
  });
}
