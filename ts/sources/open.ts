// From `dataset.source` of a pipeline to a source.
import { SluiceError } from '../errors.js';
import { binaryPart, checkFields } from './binary.js';
import { criteoParts } from './criteo.js';
import { criteoTsvParts } from './criteo-tsv.js';
import { csvPart } from './csv.js';
import type { SourceFile } from './files.js';
import { imagesPart } from './image-folder.js';
import { jsonlPart } from './jsonl.js';
import { parquetPart } from './parquet.js';
import { resolveFiles, resolveFolders } from './paths.js';
import type { DatasetSpec, FileSource, SourceSpec } from './spec.js';
import { webdatasetPart } from './webdataset.js';
import type { Source, SourcePart } from './types.js';

/** The source that a pipeline in `folder` names. E_NOT_FOUND, E_SOURCE, E_ARGUMENT, E_IO for its paths. */
export async function openSource(config: DatasetSpec & { id: string; source?: SourceSpec }, folder: string): Promise<Source> {
  const { source } = config;
  if (source === undefined) throw new SluiceError('E_ARGUMENT', `dataset ${config.id} names no source`);
  if (source.format === 'push') return { parts: async () => [] };
  if (source.format === 'images') {
    const folders = resolveFolders(source.path, folder);
    return { parts: async () => await Promise.all(folders.map((place) => imagesPart(place, source, config))) };
  }
  if (source.format === 'criteo') {
    const folders = resolveFolders(source.path, folder);
    return { parts: async () => (await Promise.all(folders.map((place) => criteoParts(place, source.splits)))).flat() };
  }
  const files = resolveFiles(source.path, folder);
  if (source.format === 'binary') {
    checkFields(source, config.columns);
    return { parts: async () => files.map((file) => binaryPart(file, source)) };
  }
  if (source.format === 'criteo-tsv') return { parts: async () => criteoTsvParts(files, source) };
  return { parts: async () => files.map((file) => filePart(file, source)) };
}

function filePart(file: SourceFile, { format, delimiter }: FileSource): SourcePart {
  if (format === 'parquet') return parquetPart(file);
  if (format === 'webdataset') return webdatasetPart(file);
  return format === 'jsonl' ? jsonlPart(file) : csvPart(file, delimiter);
}
