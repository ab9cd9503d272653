// Checks of section `features` against the stored columns, against itself and against the model.
import { didYouMean } from '../base/nearest.js';
import { storedColumn } from '../sources/forms.js';
import type { DatasetConfig, FeaturesConfig } from './schema.js';
import { type ImageConfig, normalizations, type TensorConfig } from './schema-features.js';

/** A rule between fields that does not hold. `path` leads to the field to change. */
export type CrossProblem = { path: (string | number)[]; message: string };

type Path = CrossProblem['path'];
type Columns = DatasetConfig['columns'];

/** What is stored of a column: its type, and the shape of one sample ([] for a single value). */
type StoredColumn = ReturnType<typeof storedColumn>;

const shown = ({ type, shape }: StoredColumn): string => (shape.length === 0 ? type : `${type} [${shape.join(', ')}]`);

/** Problems of features that name columns. */
export function columnProblems(features: FeaturesConfig, columns: Columns): CrossProblem[] {
  const problems: CrossProblem[] = [];
  const check = (name: string, path: Path, advice: string, fits: (column: StoredColumn) => boolean): StoredColumn | undefined => {
    const stored = Object.keys(columns);
    const column = Object.hasOwn(columns, name) ? storedColumn(name, columns[name]!) : undefined;
    if (column === undefined) {
      const known = didYouMean(name, stored) || `, which holds ${stored.slice(0, 20).join(', ')}`;
      problems.push({ path, message: `expected a column of dataset.columns${known}` });
    } else if (!fits(column)) {
      problems.push({ path, message: `expected ${advice}, but dataset.columns stores it as ${shown(column)}` });
    } else {
      return column;
    }
    return undefined;
  };
  const number = (c: StoredColumn) => c.shape.length === 0 && c.type !== 'category';
  const code = (c: StoredColumn) => c.shape.length === 0 && c.type !== 'f32';
  features.dense.forEach((feature, i) => {
    if ('column' in feature) check(feature.column, ['features', 'dense', i, 'column'], 'an f32 or i32 column', number);
  });
  features.categorical.forEach((feature, i) => {
    const path = ['features', 'categorical', i];
    if ('boundaries' in feature) check(feature.column, [...path, 'column'], 'an f32 or i32 column', number);
    else if ('column' in feature) check(feature.column, [...path, 'column'], 'a category or i32 column', code);
    if ('cross' in feature)
      for (const [j, name] of feature.cross.entries()) check(name, [...path, 'cross', j], 'a category or i32 column', code);
  });
  const { image, tensor, tokens } = features;
  const values = (c: StoredColumn) => c.type === 'u8' || c.type === 'f32';
  if (image) {
    const is = (c: StoredColumn) => values(c) && c.shape.length === 3;
    const column = check(image.column, ['features', 'image', 'column'], 'a u8 or f32 tensor column [height, width, channels]', is);
    if (column) problems.push(...imageProblems(image, column), ...channelProblems('image', image, column));
  }
  if (tensor) {
    const is = (c: StoredColumn) => values(c) && c.shape.length > 0;
    const column = check(tensor.column, ['features', 'tensor', 'column'], 'a u8 or f32 tensor column', is);
    if (column) problems.push(...channelProblems('tensor', tensor, column));
  }
  if (tokens) {
    const is = (c: StoredColumn) => c.type === 'i32' && c.shape.length === 1;
    check(tokens.column, ['features', 'tokens', 'column'], 'an i32 tensor column [length]', is);
  }
  if (features.parse) check(features.parse.column, ['features', 'parse', 'column'], 'a bytes column', (c) => c.type === 'bytes');
  return problems;
}

function imageProblems({ crop, size, pad }: ImageConfig, { shape }: StoredColumn): CrossProblem[] {
  if (size === undefined || crop === 'none' || crop === 'random-resized') return [];
  const [height = 0, width = 0] = shape;
  const around = crop === 'random' ? 2 * pad : 0;
  if (size[0] <= height + around && size[1] <= width + around) return [];
  const stored = `${height} × ${width}${around > 0 ? ` and padded by ${pad}` : ''}`;
  return [{ path: ['features', 'image', 'size'], message: `expected a crop inside the images, which are ${stored}` }];
}

function channelProblems(name: 'image' | 'tensor', feature: ImageConfig | TensorConfig, { shape }: StoredColumn): CrossProblem[] {
  const channels = shape.at(-1) ?? 1;
  const given = feature.normalize ? { normalize: normalizations[feature.normalize].mean } : { mean: feature.mean, std: feature.std };
  return Object.entries(given).flatMap(([field, list]) => {
    if (!Array.isArray(list) || list.length === 1 || list.length === channels) return [];
    const message = `expected ${channels === 1 ? 'one value' : `one value or ${channels}`}, one for each channel of the column, found ${list.length}`;
    return [{ path: ['features', name, field], message }];
  });
}

/** Problems of features between themselves and with a built-in model. */
export function featureProblems(features: FeaturesConfig, model: string | undefined): CrossProblem[] {
  const { dense, categorical, image, tensor, tokens } = features;
  if (dense.length + categorical.length === 0 && !image && !tensor && !tokens && !features.parse)
    return [{ path: ['features'], message: 'expected at least one feature' }];
  return [...repeatProblems(features), ...rangeProblems(features), ...parseProblems(features), ...modelProblems(features, model)];
}

function parseProblems({ parse, image, tensor, tokens }: FeaturesConfig): CrossProblem[] {
  if (!parse) return [];
  const path = (field: string) => ['features', 'parse', field];
  const { dense, categorical, values, ids } = parse;
  if (dense + categorical.length + values.length + ids === 0)
    return [{ path: ['features', 'parse'], message: 'expected at least one of dense, categorical, values and ids' }];
  const beside = [];
  if (values.length > 0 && (image || tensor)) beside.push({ path: path('values'), message: 'expected none beside an image or tensor' });
  if (ids > 0 && tokens) beside.push({ path: path('ids'), message: 'expected none beside tokens' });
  return beside;
}

const takes: Record<string, { all: (keyof FeaturesConfig)[]; words: string }> = {
  dlrm: { all: ['dense', 'categorical'], words: 'dense and categorical features' },
  mlp: { all: ['dense'], words: 'dense features' },
  resnet: { all: ['image'], words: 'images' },
  cnn: { all: ['image'], words: 'images' },
  bert: { all: ['tokens'], words: 'token ids' },
  distilbert: { all: ['tokens'], words: 'token ids' },
};

function modelProblems(features: FeaturesConfig, model: string | undefined): CrossProblem[] {
  const known = model !== undefined && Object.hasOwn(takes, model) ? takes[model] : undefined;
  if (known === undefined) return [];
  const given = (Object.keys(features) as (keyof FeaturesConfig)[]).filter((kind) => {
    const list = features[kind];
    return list !== undefined && !(Array.isArray(list) && list.length === 0);
  });
  const message = `expected none: the model ${model} takes ${known.words} only`;
  return given.filter((kind) => kind !== 'parse' && !known.all.includes(kind)).map((kind) => ({ path: ['features', kind], message }));
}

/** Rules within one feature that a JSON Schema does not express. */
function rangeProblems({ dense, categorical, image, tensor }: FeaturesConfig): CrossProblem[] {
  const problems: CrossProblem[] = [];
  const add = (path: Path, message: string) => problems.push({ path: ['features', ...path], message });
  dense.forEach((feature, i) => {
    if (!('column' in feature) || feature.min === undefined || feature.max === undefined) return;
    if (feature.min > feature.max) add(['dense', i, 'max'], `expected at least min, which is ${feature.min}`);
  });
  categorical.forEach((feature, i) => {
    if (!('boundaries' in feature)) return;
    const at = feature.boundaries.findIndex((b, j) => j > 0 && b <= (feature.boundaries[j - 1] as number));
    if (at > 0) add(['categorical', i, 'boundaries', at], `expected more than ${feature.boundaries[at - 1]}, the one before`);
  });
  if (image && tensor) add(['tensor'], 'expected either image or tensor');
  for (const [name, feature] of [['image', image] as const, ['tensor', tensor] as const]) {
    if (!feature) continue;
    const { mean, std, normalize } = feature;
    if (normalize && (mean !== undefined || std !== undefined)) add([name, 'normalize'], 'expected either normalize, or mean and std');
    if ([std ?? 1].flat().some((value) => value <= 0)) add([name, 'std'], 'expected numbers above 0');
  }
  if (image && image.pad > 0 && image.crop !== 'random') add(['image', 'pad'], 'expected 0: it goes with crop: random');
  if (image && image.crop === 'center' && !image.size) add(['image', 'size'], 'is missing; a crop needs its height and width');
  return problems;
}

function repeatProblems(features: FeaturesConfig): CrossProblem[] {
  const problems: CrossProblem[] = [];
  for (const list of ['dense', 'categorical'] as const) {
    for (const i of repeated<object>(features[list], (feature) => JSON.stringify(feature))) {
      problems.push({ path: ['features', list, i], message: 'expected every feature once; an earlier one is the same' });
    }
  }
  features.categorical.forEach((feature, i) => {
    if ('cross' in feature && feature.cross[0] === feature.cross[1]) {
      problems.push({ path: ['features', 'categorical', i, 'cross', 1], message: 'expected two different columns' });
    }
  });
  return problems;
}

/** Positions of the items whose key occurred before. */
export function repeated<T>(items: readonly T[], key: (item: T) => string): number[] {
  const seen = new Set<string>();
  return items.flatMap((item, i) => {
    const k = key(item);
    if (seen.has(k)) return [i];
    seen.add(k);
    return [];
  });
}
