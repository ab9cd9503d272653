// Files of records of fixed width, such as CIFAR's: each record is a row, each field a column.
import { SluiceError } from '../errors.js';
import { isS3 } from '../s3/address.js';
import { batchRowsOf, type FieldPlace, fieldValues, permutationOf, recordsIn, widthOf } from './fixed-width.js';
import { identityOf, type SourceFile } from './files.js';
import { isTensor } from './forms.js';
import type { BinaryField, BinarySource, ColumnType } from './spec.js';
import type { ColumnValues, PlacedField, RecordBatch, SourcePart } from './types.js';

/** The part that a file is. E_SOURCE where its size does not fit; read() gives typed arrays. */
export function binaryPart(file: SourceFile, { fields, skip, inPlace }: BinarySource): SourcePart {
  const { places, recordBytes } = placesOf(fields);
  const rows = recordsIn(file.name, file.size, skip, recordBytes);
  return {
    ...identityOf(file),
    rows,
    ...(isS3(file.path)
      ? {}
      : { place: { files: [{ path: file.path, skip, stride: recordBytes }], fields: placedFields(fields, places) } }),
    ...(inPlace ? { inPlace } : {}),
    read: (columns, startRow) => readRows(file, columns, startRow, { places, recordBytes, skip, rows }),
  };
}

/** E_ARGUMENT where a column's tensor has another shape than the field that it comes from. */
export function checkFields({ fields }: BinarySource, columns: Record<string, ColumnType>): void {
  for (const { name, shape, permute } of fields) {
    const form = Object.hasOwn(columns, name) ? columns[name] : undefined;
    if (form === undefined || (shape.length === 0 && !(typeof form === 'object' && isTensor(form)))) continue;
    const stored = permute?.map((axis) => shape[axis]!) ?? shape;
    if (typeof form === 'object' && isTensor(form) && form.shape.join() === stored.join()) continue;
    const message = `dataset.columns: expected ${name} as { tensor: …, shape: [${stored.join(', ')}] }, as field ${name} of dataset.source has it`;
    throw new SluiceError('E_ARGUMENT', message, {
      hint: 'permute changes the order of axes, e.g. permute: [1, 2, 0] for pictures with channels first',
    });
  }
}

type Layout = { places: Map<string, FieldPlace>; recordBytes: number; skip: number; rows: number };

function placesOf(fields: readonly BinaryField[]): Pick<Layout, 'places' | 'recordBytes'> {
  let offset = 0;
  const found = fields.map(({ name, type, shape, permute }) => {
    const elements = shape.reduce((product, side) => product * side, 1);
    const place = { name, type, offset, elements, permutation: permute && permutationOf(shape, permute) };
    offset += widthOf[type] * elements;
    return place;
  });
  return { places: new Map(found.map(({ name, ...place }) => [name, { ...place, stride: offset }])), recordBytes: offset };
}

function placedFields(fields: readonly BinaryField[], places: ReadonlyMap<string, FieldPlace>): Map<string, PlacedField> {
  const axesOf = ({ shape, permute }: BinaryField) =>
    permute === undefined ? { shape: [], axes: [] } : { shape: [...shape], axes: [...permute] };
  return new Map(
    fields.map((field) => {
      const { offset, elements } = places.get(field.name)!;
      return [field.name, { file: 0, offset, elements, type: field.type, ...axesOf(field) }];
    }),
  );
}

async function* readRows(file: SourceFile, columns: string[], startRow: number, layout: Layout): AsyncGenerator<RecordBatch> {
  const { places, recordBytes, skip, rows } = layout;
  const fields = columns.map((name): [string, FieldPlace] => {
    const place = places.get(name);
    if (place) return [name, place];
    throw new SluiceError('E_SOURCE', `${file.name}: there is no column '${name}'`, {
      hint: `its fields are ${[...places.keys()].join(', ')}`,
    });
  });
  const opened = await file.open();
  try {
    const most = batchRowsOf(recordBytes);
    for (let first = startRow; first < rows; first += most) {
      const count = Math.min(most, rows - first);
      const bytes = await opened.read(skip + first * recordBytes, count * recordBytes);
      const values = fields.map(([name, place]) => [name, fieldValues(bytes, count, place) as ColumnValues] as const);
      yield { rows: count, columns: Object.fromEntries(values) };
    }
  } finally {
    await opened.close();
  }
}
