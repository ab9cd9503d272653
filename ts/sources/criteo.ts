// The binary layout of the Criteo data that NVIDIA's DLRM example reads: a folder with feature_spec.yaml, which says for
// each split which files hold which features. A part is a split; rows of all its files belong together by position.
import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { SluiceError } from '../errors.js';
import { isS3 } from '../s3/address.js';
import type { OpenFile } from '../files/file-system.js';
import { batchRowsOf, type FieldPlace, fieldValues, type NumberArray, recordsIn, type StoredType, widthOf } from './fixed-width.js';
import { type SourceFile, type SourcePlace, sourceFile } from './files.js';
import type { CriteoSource } from './spec.js';
import type { ColumnValues, Place, PlacedField, RecordBatch, SourcePart } from './types.js';

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
export async function criteoParts(folder: SourcePlace, { splits, inPlace }: CriteoSource): Promise<SourcePart[]> {
  const spec = await readSpec(folder);
  const parts = splits.map(async (split): Promise<SourcePart> => {
    const features = await featuresOf(folder, spec, split);
    const files = [...new Map(features.map(({ file }) => [file.path, file])).values()];
    const rows = rowsOf(features);
    return {
      name: `${folder.name} (${split})`,
      fingerprint: digest(files.map((file) => `${file.name} ${file.fingerprint}`)),
      contentHash: async () => digest(await Promise.all(files.map((file) => file.contentHash()))),
      rows,
      ...(isS3(folder.path) ? {} : { place: placeOf(features, files) }),
      ...(inPlace ? { inPlace } : {}),
      read: (columns, startRow) => readRows(pick(features, columns, `${folder.name}/${specName}`), startRow, rows),
    };
  });
  return await Promise.all(parts);
}

function placeOf(features: readonly Feature[], files: readonly SourceFile[]): Place {
  const strideOf = (path: string) => features.find(({ file }) => file.path === path)!.place.stride;
  const fields = features.map(({ name, file, place: { type, offset }, cardinality }): [string, PlacedField] => {
    const index = files.findIndex(({ path }) => path === file.path);
    return [name, { file: index, offset, type: type === 'bool' ? 'uint8' : type, shape: [], axes: [], elements: 1, cardinality }];
  });
  return { files: files.map(({ path }) => ({ path, skip: 0, stride: strideOf(path) })), fields: new Map(fields) };
}

const digest = (lines: string[]): string => createHash('sha256').update(lines.join('\n')).digest('hex');

async function readSpec(folder: SourcePlace): Promise<FeatureSpec> {
  const file = await sourceFile(placeIn(folder, specName), 'a folder of this format has that file');
  try {
    if (file.size > maxSpecBytes) throw new Error(`expected at most ${maxSpecBytes} bytes`);
    return featureSpec.parse(parse(await textOf(file)));
  } catch (error) {
    if (error instanceof SluiceError) throw error;
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

async function featuresOf(folder: SourcePlace, spec: FeatureSpec, split: string): Promise<Feature[]> {
  const shown = `${folder.name}/${specName}`;
  const sources = Object.hasOwn(spec.source_spec, split) ? spec.source_spec[split]! : undefined;
  if (sources === undefined)
    throw new SluiceError('E_SOURCE', `${shown}: there is no split '${split}'`, {
      hint: `its splits are ${Object.keys(spec.source_spec).join(', ')}`,
    });
  const found = sources.map(async ({ features, files: [name] }) => {
    if (leaves(name!)) throw new SluiceError('E_SOURCE', `${shown}: the file ${name} leaves its folder`);
    const file = await sourceFile(placeIn(folder, name!), `${shown} names it`);
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
  return (await Promise.all(found)).flat();
}

const placeIn = ({ name, path, files }: SourcePlace, inside: string): SourcePlace => ({
  name: `${name}/${inside}`,
  path: files.join(path, inside),
  files,
});

/** Whether a relative path climbs out of the folder that it begins in, or is none. */
function leaves(path: string): boolean {
  const normal = posix.normalize(path);
  return posix.isAbsolute(normal) || normal === '.' || normal === '..' || normal.startsWith('../');
}

async function textOf(file: SourceFile): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of file.stream()) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** E_SOURCE where files do not hold as many records as the others. */
function rowsOf(features: readonly Feature[]): number {
  let [rows, first] = [0, ''];
  for (const { file, place } of features) {
    const found = recordsIn(file.name, file.size, 0, place.stride);
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
  const readers: { path: string; stride: number; opened: OpenFile }[] = [];
  try {
    for (const [path, { file, stride }] of files) readers.push({ path, stride, opened: await file.open() });
    const most = batchRowsOf(Math.max(1, ...readers.map(({ stride }) => stride)));
    for (let first = startRow; first < rows; first += most) {
      const count = Math.min(most, rows - first);
      const read = await Promise.all(
        readers.map(async ({ path, stride, opened }) => [path, await opened.read(first * stride, count * stride)] as const),
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
    await Promise.all(readers.map(({ opened }) => opened.close()));
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
