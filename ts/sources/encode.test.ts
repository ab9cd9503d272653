import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Dictionary } from './dictionary.js';
import { encode } from './encode.js';
import { failure } from './fixture.test.helper.js';
import { schemaOf } from './forms.js';
import type { DatasetSpec } from './spec.js';
import type { ColumnValues } from './types.js';

const time = { column: 't', unit: 's' } as const;
const none = () => null;

function run(values: Record<string, ColumnValues>, changes: Partial<DatasetSpec> = {}, dictionary = new Dictionary('c', none)) {
  const rows = Object.values(values)[0]!.length;
  const spec: DatasetSpec = { time, label: { column: 'y' }, columns: {}, ...changes };
  const columns = { t: new Array(rows).fill(0), y: new Array(rows).fill(0), ...values };
  return encode(
    { rows, columns },
    spec,
    { dictionaries: new Map([['c', dictionary]]), frequencies: new Map(), tokenizers: new Map() },
    { part: 'file.csv', firstRow: 1000 },
  );
}

test('times become 64-bit milliseconds, before 1970 too', () => {
  const { timestamps } = run({ t: [new Date(5), '1969-12-31T23:59:59.999Z', 1_700_000_000, -62_167_219_200n, 0] });
  assert.equal([...timestamps], [5n, -1n, 1_700_000_000_000n, -62_167_219_200_000n, 0n]);
});

test('a bad time is told with part, column, row and value', async () => {
  const error = await failure('E_SOURCE', ['file.csv', "column 't'", 'row 1002', '"yesterday"'], () => run({ t: [1, 'yesterday'] }));
  assert.match(error.hint ?? '', 'here s');
});

test('label: threshold', async () => {
  const label = { column: 'y', atLeast: 15 };
  assert.equal([...run({ y: [15, 14.9, -3n, '15.0', true] }, { label }).labels], [1, 0, 0, 1, 0]);
  for (const value of [null, '', 'late', Number.NaN])
    await failure('E_NOT_FINITE', ["column 'y'", 'row 1002'], () => run({ y: [1, value] }, { label }));
});

test('label: classes by number', async () => {
  assert.equal([...run({ y: [0, 1n, '1', false] }).labels], [0, 1, 1, 0]);
  assert.equal([...run({ y: [4] }, { label: { column: 'y', classes: 5 } }).labels], [4]);
  await failure('E_LABEL_RANGE', ['row 1001', '0 to 4', 'got 5'], () => run({ y: [5] }, { label: { column: 'y', classes: 5 } }));
  await failure('E_LABEL_RANGE', ['got 0.5'], () => run({ y: [0.5] }));
  await failure('E_NOT_FINITE', ['got nothing'], () => run({ y: [null] }));
});

test('label: classes by name', async () => {
  const label = { column: 'y', classes: ['sun', 'rain', '7'] };
  assert.equal([...run({ y: ['rain', 'sun', 7] }, { label }).labels], [1, 0, 2]);
  await failure('E_LABEL_RANGE', ['sun, rain, 7', '"fog"'], () => run({ y: ['fog'] }, { label }));
  await failure('E_LABEL_RANGE', ['got nothing'], () => run({ y: [null] }, { label }));
});

test('f32: numbers of any kind, finite ones only', async () => {
  const columns = { x: 'f32' } as const;
  assert.equal([...(run({ x: [1.5, 2n, '-3e2', ' .5 ', true] }, { columns }).columns[0] ?? [])], [1.5, 2, -300, 0.5, 1]);
  const bad: ColumnValues[number][] = [
    null,
    undefined,
    '',
    ' ',
    'x',
    '0x10',
    'Infinity',
    Number.NaN,
    1e39,
    '1e39',
    10n ** 40n,
    new Date(0),
  ];
  for (const value of bad) await failure('E_NOT_FINITE', ["column 'x'", 'row 1003'], () => run({ x: [1, 2, value] }, { columns }));
});

test('i32: integers of 32 bits only', async () => {
  const columns = { x: 'i32' } as const;
  assert.equal(
    [...(run({ x: [-(2 ** 31), 2 ** 31 - 1, '12', 3n, -0] }, { columns }).columns[0] ?? [])],
    [-(2 ** 31), 2 ** 31 - 1, 12, 3, 0],
  );
  for (const value of [1.5, 2 ** 31, -(2 ** 31) - 1, '2.5', 10n ** 12n])
    await failure('E_SOURCE', ['32 bits'], () => run({ x: [value] }, { columns }));
  for (const value of [null, 'x', Number.NaN]) await failure('E_NOT_FINITE', ['32 bits'], () => run({ x: [value] }, { columns }));
});

test('categories get codes in the order of first appearance; numbers as text, nothing as (missing)', () => {
  const dictionary = new Dictionary('c', none);
  const { columns } = run(
    { c: ['b', 'a', null, 'b', 1, '1', 1n, undefined, new Date(0), false] },
    { columns: { c: 'category' } },
    dictionary,
  );
  assert.equal([...(columns[0] ?? [])], [0, 1, 2, 0, 3, 3, 3, 2, 4, 5]);
  assert.equal(JSON.parse(dictionary.entries()['dict:c']!), ['b', 'a', '(missing)', '1', '1970-01-01T00:00:00.000Z', 'false']);
});

test('text that is too long for a category is told', async () => {
  const columns = { c: 'category' } as const;
  assert.equal([...(run({ c: ['x'.repeat(2048)] }, { columns }).columns[0] ?? [])], [0]);
  await failure('E_SOURCE', ['file.csv', "'c'", 'row 1002', '2048'], () => run({ c: ['a', 'x'.repeat(2049)] }, { columns }));
});

test('a column that the source does not deliver is told', async () => {
  await failure('E_SOURCE', ['file.csv', "column 'z'", 'no such column'], () => run({ x: [1] }, { columns: { z: 'f32' } }));
});

test('a column that is shorter than its batch is told', async () => {
  const work = () =>
    encode(
      { rows: 2, columns: { t: [1, 2], y: [0] } },
      { time, label: { column: 'y' }, columns: {} },
      { dictionaries: new Map(), frequencies: new Map(), tokenizers: new Map() },
      {
        part: 'p',
        firstRow: 0,
      },
    );
  await failure('E_SOURCE', ["column 'y'", 'expected 2 values', '1 of them'], work);
});

test('the schema follows from the spec', () => {
  const columns = { b: 'category', a: 'f32' } as const;
  const expected = {
    columns: [
      { name: 'b', type: 'category', shape: [] },
      { name: 'a', type: 'f32', shape: [] },
    ],
    label: 'class',
  };
  assert.equal(schemaOf({ time, label: { column: 'y', atLeast: 1 }, columns }), { ...expected, classes: 2 });
  assert.equal(schemaOf({ time, label: { column: 'y' }, columns }), { ...expected, classes: 2 });
  assert.equal(schemaOf({ time, label: { column: 'y', classes: 7 }, columns }), { ...expected, classes: 7 });
  assert.equal(schemaOf({ time, label: { column: 'y', classes: ['a', 'b', 'c'] }, columns }), { ...expected, classes: 3 });
});

test.run();
