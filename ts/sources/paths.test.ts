import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SluiceError } from '../errors.js';
import { resolveFiles } from './paths.js';

const test = suite('paths');
const folder = mkdtempSync(join(tmpdir(), 'sluice-paths-'));

test.before(() => {
  for (const name of ['b.csv', 'a.csv', 'a+(1).csv', 'axcsv']) writeFileSync(join(folder, name), name);
  mkdirSync(join(folder, 'sub.csv'));
  mkdirSync(join(folder, 'node_modules', '@scope', 'data', 'in'), { recursive: true });
  writeFileSync(join(folder, 'node_modules', '@scope', 'data', 'package.json'), '{"exports": {}}');
  writeFileSync(join(folder, 'node_modules', '@scope', 'data', 'in', 'x.csv'), 'x');
  symlinkSync('b.csv', join(folder, 'link.csv'));
});
test.after(() => rmSync(folder, { recursive: true }));

async function failure(...paths: string[]): Promise<SluiceError> {
  try {
    await resolveFiles(paths, folder);
  } catch (error) {
    assert.instance(error, SluiceError);
    return error as SluiceError;
  }
  return assert.unreachable() as never;
}

test('relative paths keep their order and start at the pipeline file', async () => {
  const files = await resolveFiles(['b.csv', './a.csv', join(folder, 'link.csv')], folder);
  assert.equal(
    files.map((file) => [file.name, file.path]),
    [
      ['b.csv', join(folder, 'b.csv')],
      ['./a.csv', join(folder, 'a.csv')],
      [join(folder, 'link.csv'), join(folder, 'link.csv')],
    ],
  );
});

test('a fingerprint stays while the file stays and changes with it', async () => {
  const path = join(folder, 'changing');
  writeFileSync(path, '12');
  const print = async () => (await resolveFiles(['changing'], folder))[0]?.fingerprint;
  const before = await print();
  assert.is(await print(), before);
  writeFileSync(path, '123');
  assert.is.not(await print(), before);
});

test('* stands for any characters of file names only, sorted by name', async () => {
  assert.equal(
    (await resolveFiles(['a*.csv'], folder)).map((file) => file.name),
    ['a+(1).csv', 'a.csv'],
  );
  assert.equal(
    (await resolveFiles(['*+(1)*'], folder)).map((file) => file.name),
    ['a+(1).csv'],
  );
  assert.equal(
    (await resolveFiles(['npm:@scope/data/in/*'], folder)).map((file) => file.name),
    ['npm:@scope/data/in/x.csv'],
  );
});

test('folders that match * are passed over', async () => {
  assert.equal(
    (await resolveFiles(['*.csv'], folder)).map((file) => file.name),
    ['a+(1).csv', 'a.csv', 'b.csv', 'link.csv'],
  );
});

test('npm: finds a package above the pipeline file, whatever it exports', async () => {
  assert.is(
    (await resolveFiles(['npm:@scope/data/in/x.csv'], join(folder, 'sub.csv')))[0]?.path,
    join(folder, 'node_modules/@scope/data/in/x.csv'),
  );
});

test("npm: finds a package of Sluice's own, and keeps the name as given", async () => {
  const [file] = await resolveFiles(['npm:vega-datasets/data/flights-3m.parquet'], folder);
  assert.is(file?.name, 'npm:vega-datasets/data/flights-3m.parquet');
  assert.match(file?.path ?? '', /node_modules.vega-datasets.data.flights-3m\.parquet$/);
});

test('a missing package says how to install it', async () => {
  const error = await failure('npm:no-such-package-here/x.csv');
  assert.is(error.code, 'E_NOT_FOUND');
  assert.match(error.message, 'no-such-package-here');
  assert.is(error.hint, 'npm install no-such-package-here');
});

for (const path of [
  'npm:vega-datasets/../../secret',
  'npm:@scope/data/..',
  'npm:../package.json',
  'npm:./x',
  'npm:@scope/../x',
  'npm:@../x/y',
]) {
  test(`${path} does not leave the package`, async () => {
    assert.is((await failure(path)).code, 'E_ARGUMENT');
  });
}

for (const path of ['npm:vega-datasets', 'npm:', 'npm:/x']) {
  test(`${path} names no file of a package`, async () => {
    assert.is((await failure(path)).code, 'E_ARGUMENT');
  });
}

test('what is missing or no file is told with its full path', async () => {
  const cases = {
    'none.csv': 'E_NOT_FOUND',
    'none/*.csv': 'E_NOT_FOUND',
    '*.tsv': 'E_NOT_FOUND',
    'a.csv/x': 'E_NOT_FOUND',
    'npm:@scope/data/y': 'E_NOT_FOUND',
    'sub.csv': 'E_SOURCE',
    'x\0y': 'E_IO',
  };
  for (const [path, code] of Object.entries(cases)) {
    const error = await failure('a.csv', path);
    assert.is(error.code, code, path);
    if (code !== 'E_IO') assert.match(error.message, folder);
  }
});

test.run();
