import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { columnProblems, featureProblems } from './feature-checks.js';
import type { DatasetConfig, FeaturesConfig } from './schema.js';
import { features as featuresSchema } from './schema-features.js';

const columns: DatasetConfig['columns'] = {
  x: 'f32',
  c: 'category',
  code: { category: 9 },
  photo: { image: [28, 30, 3], fit: 'cover', onError: 'fail' },
  signal: { tensor: 'f32', shape: [16] },
  words: { tokens: 128, hash: 1000 },
  raw: { bytes: 100 },
};

const parse = (given: object): FeaturesConfig => featuresSchema.parse(given);
const show = ({ path, message }: { path: (string | number)[]; message: string }) => `${path.join('.')}: ${message}`;
const ofColumns = (given: object) => columnProblems(parse(given), columns).map(show);
const ofModel = (given: object, model?: string) => featureProblems(parse(given), model).map(show);

test('images, tensors and tokens of fitting columns pass', () => {
  const photo = { column: 'photo', normalize: 'imagenet' };
  for (const image of [
    photo,
    { column: 'photo', crop: 'center', size: [28, 28], mean: 0.5, std: [0.2, 0.2, 0.3] },
    { ...photo, crop: 'random', size: [32, 34], pad: 2, flip: true },
    { ...photo, crop: 'random', pad: 4 },
    { ...photo, crop: 'random-resized', size: [224, 224] },
    { ...photo, size: [64, 64] },
  ]) {
    assert.equal([...ofColumns({ image }), ...ofModel({ image }, 'resnet')], []);
  }
  assert.equal(ofColumns({ tensor: { column: 'signal', mean: 1, std: 2 } }), []);
  assert.equal(ofColumns({ tensor: { column: 'photo' } }), []);
  assert.equal([...ofColumns({ tokens: { column: 'words' } }), ...ofModel({ tokens: { column: 'words' } }, 'bert')], []);
  assert.equal(
    ofColumns({
      categorical: [
        { column: 'x', boundaries: [1, 2] },
        { column: 'code', buckets: 9 },
      ],
    }),
    [],
  );
});

test('columns of another type or shape are named with what they are', () => {
  const image = 'features.image.column: expected a u8 or f32 tensor column [height, width, channels], but dataset.columns stores it as';
  assert.equal(ofColumns({ image: { column: 'signal' } }), [`${image} f32 [16]`]);
  assert.equal(ofColumns({ image: { column: 'x' } }), [`${image} f32`]);
  assert.equal(ofColumns({ image: { column: 'foto' } }), [
    'features.image.column: expected a column of dataset.columns; did you mean "photo"?',
  ]);
  assert.match(ofColumns({ tensor: { column: 'words' } })[0] ?? '', 'stores it as i32 [128]');
  assert.match(ofColumns({ tokens: { column: 'signal' } })[0] ?? '', 'expected an i32 tensor column [length]');
  assert.match(
    ofColumns({ dense: [{ column: 'signal' }] })[0] ?? '',
    'expected an f32 or i32 column, but dataset.columns stores it as f32 [16]',
  );
  assert.match(ofColumns({ categorical: [{ column: 'words', buckets: 5 }] })[0] ?? '', 'stores it as i32 [128]');
  assert.match(ofColumns({ dense: [{ column: 'raw' }] })[0] ?? '', 'stores it as bytes [100]');
  assert.match(ofColumns({ categorical: [{ column: 'c', boundaries: [1] }] })[0] ?? '', 'expected an f32 or i32 column');
});

test('crops and channels fit the images', () => {
  assert.equal(ofColumns({ image: { column: 'photo', crop: 'center', size: [28, 31] } }), [
    'features.image.size: expected a crop inside the images, which are 28 × 30',
  ]);
  assert.equal(ofColumns({ image: { column: 'photo', crop: 'random', size: [33, 30], pad: 2 } }), [
    'features.image.size: expected a crop inside the images, which are 28 × 30 and padded by 2',
  ]);
  assert.equal(ofColumns({ image: { column: 'photo', mean: [0.5, 0.5], std: 1 } }), [
    'features.image.mean: expected one value or 3, one for each channel of the column, found 2',
  ]);
  assert.equal(ofColumns({ tensor: { column: 'signal', normalize: 'cifar10' } }), [
    'features.tensor.normalize: expected one value or 16, one for each channel of the column, found 3',
  ]);
});

test('fields that contradict each other', () => {
  const image = { column: 'photo' };
  assert.equal(ofModel({}), ['features: expected at least one feature']);
  assert.equal(ofModel({ image, tensor: image }), ['features.tensor: expected either image or tensor']);
  assert.equal(ofModel({ image: { ...image, pad: 2 } }), ['features.image.pad: expected 0: it goes with crop: random']);
  assert.equal(ofModel({ image: { ...image, crop: 'center' } }), ['features.image.size: is missing; a crop needs its height and width']);
  assert.equal(ofModel({ image: { ...image, normalize: 'mnist', mean: 1 } }), [
    'features.image.normalize: expected either normalize, or mean and std',
  ]);
  assert.equal(ofModel({ image: { ...image, std: [0.5, 0] } }), ['features.image.std: expected numbers above 0']);
  assert.equal(ofModel({ dense: [{ column: 'x', min: 2, max: 1 }] }), ['features.dense.0.max: expected at least min, which is 2']);
  assert.equal(ofModel({ categorical: [{ column: 'x', boundaries: [1, 3, 3] }] }), [
    'features.categorical.0.boundaries.2: expected more than 3, the one before',
  ]);
});

test('a parser reads bytes and gives something that nothing else gives', () => {
  const parse = { id: './p.ts', column: 'raw', dense: 2, values: [28, 28, 1], ids: 10 };
  assert.equal([...ofColumns({ parse }), ...ofModel({ parse }, 'dlrm')], []);
  assert.equal(ofColumns({ parse: { ...parse, column: 'photo' } }), [
    'features.parse.column: expected a bytes column, but dataset.columns stores it as u8 [28, 30, 3]',
  ]);
  assert.equal(ofModel({ parse: { id: './p.ts', column: 'raw' } }), [
    'features.parse: expected at least one of dense, categorical, values and ids',
  ]);
  assert.equal(ofModel({ parse, image: { column: 'photo' }, tokens: { column: 'words' } }), [
    'features.parse.values: expected none beside an image or tensor',
    'features.parse.ids: expected none beside tokens',
  ]);
});

test('built-in models get the features that they take', () => {
  const image = { column: 'photo' };
  const dense = [{ column: 'x' }];
  assert.equal(ofModel({ dense, image }, 'dlrm'), [
    'features.image: expected none: the model dlrm takes dense and categorical features only',
  ]);
  assert.equal(ofModel({ dense, image }, 'resnet'), ['features.dense: expected none: the model resnet takes images only']);
  assert.equal(ofModel({ dense, categorical: [{ column: 'c', buckets: 5 }] }, 'mlp'), [
    'features.categorical: expected none: the model mlp takes dense features only',
  ]);
  assert.equal(ofModel({ dense, image }, './my-model.ts'), []);
  assert.equal(ofModel({ image }, 'bert'), ['features.image: expected none: the model bert takes token ids only']);
  assert.equal(ofModel({ image }, 'distilbert'), ['features.image: expected none: the model distilbert takes token ids only']);
});

test.run();
