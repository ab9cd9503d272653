// From `dataset.source` of a pipeline to a source.
import { SluiceError } from '../errors.js';
import { Stores } from '../files/stores.js';
import { isS3 } from '../s3/address.js';
import { binaryPart, checkFields } from './binary.js';
import { criteoParts } from './criteo.js';
import { criteoTsvParts } from './criteo-tsv.js';
import { csvPart } from './csv.js';
import type { SourceFile } from './files.js';
import { checkPlaceable } from './in-place.js';
import { imagesPart } from './image-folder.js';
import { jsonlPart } from './jsonl.js';
import { parquetPart } from './parquet.js';
import { type Choose, resolveFiles, resolveFolders } from './paths.js';
import type { DatasetSpec, FileSource, ImagesSource, SourceSpec } from './spec.js';
import { webdatasetPart } from './webdataset.js';
import type { Source, SourcePart } from './types.js';

/** The source that a pipeline in `folder` names. E_NOT_FOUND, E_SOURCE, E_ARGUMENT, E_IO for its paths; E_ACCESS, E_UNREACHABLE for those in an object store. `choose` leaves out what is not complete yet. */
export async function openSource(
  config: DatasetSpec & { id: string; source?: SourceSpec },
  folder: string,
  stores = new Stores(),
  choose?: Choose,
): Promise<Source> {
  const { source } = config;
  if (source !== undefined && 'inPlace' in source && source.inPlace) checkPlaceable(config, source.path);
  if (source === undefined) throw new SluiceError('E_ARGUMENT', `dataset ${config.id} names no source`);
  if (source.format === 'push') return { parts: async () => [] };
  if (source.format === 'images') {
    refuseObjects(source);
    const folders = await resolveFolders(source.path, folder, stores, choose);
    return { parts: async () => await Promise.all(folders.map((place) => imagesPart(place, source, config))) };
  }
  if (source.format === 'criteo') {
    const folders = await resolveFolders(source.path, folder, stores, choose);
    return { parts: async () => (await Promise.all(folders.map((place) => criteoParts(place, source)))).flat() };
  }
  const files = await resolveFiles(source.path, folder, stores, choose);
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

/** A request for each picture would take longer than all else. */
function refuseObjects({ path }: ImagesSource): void {
  const object = path.find(isS3);
  if (object === undefined) return;
  const hint = 'pack pictures into tar archives and use format: webdataset, or have their bytes in a Parquet file';
  throw new SluiceError('E_ARGUMENT', `${object}: folders of pictures are read from the local file system only`, { hint });
}
