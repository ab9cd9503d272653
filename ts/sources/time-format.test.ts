import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { timeFormatError, timeOfFormat } from './time-format.js';

const at = (format: string, value: unknown) => {
  const ms = timeOfFormat(format)(value);
  return Number.isNaN(ms) ? undefined : new Date(ms).toISOString();
};

test("Avazu's hours, as text and as numbers", () => {
  assert.is(at('YYMMDDHH', '14102123'), '2014-10-21T23:00:00.000Z');
  assert.is(at('YYMMDDHH', 14102100), '2014-10-21T00:00:00.000Z');
  assert.is(at('YYMMDDHH', 9010203), '2009-01-02T03:00:00.000Z');
  assert.is(at('YYMMDDHH', 14102100n), '2014-10-21T00:00:00.000Z');
});

test('other ways to write a time', () => {
  assert.is(at('MM/DD/YYYY HH:mm', ' 05/26/2018 17:03 '), '2018-05-26T17:03:00.000Z');
  assert.is(at('YYYYMMDDTHHmmssZ', '20240229T235959Z'), '2024-02-29T23:59:59.000Z');
  assert.is(at('DD.MM.YYYY', '01.02.2003'), '2003-02-01T00:00:00.000Z');
  assert.is(at('YYYY', 1999), '1999-01-01T00:00:00.000Z');
  assert.is(at('YY', '68'), '2068-01-01T00:00:00.000Z');
  assert.is(at('YY', '69'), '1969-01-01T00:00:00.000Z');
  assert.is(at('YYYY', new Date(5)), '1970-01-01T00:00:00.005Z');
});

test('what is not of the format is no time', () => {
  for (const value of [
    '',
    '1410210',
    '141021000',
    '14132100',
    '14023000',
    '14102124',
    'x14102100',
    '14102100x',
    null,
    undefined,
    [],
    -14102100,
    1.5,
  ])
    assert.is(at('YYMMDDHH', value), undefined, String(value));
  assert.is(at('MM/DD/YYYY', '05-26-2018'), undefined);
  assert.is(at('DD.MM.YYYY', '01x02x2003'), undefined);
});

test('a value behind one that is no time is read on its own', () => {
  const read = timeOfFormat('YYYY');
  assert.ok(Number.isNaN(read('x')));
  assert.ok(Number.isNaN(read('x')));
  assert.is(read('1970'), 0);
  assert.is(read('1970'), 0);
});

test('formats that cannot be read are told', () => {
  for (const format of ['YYMMDDHH', 'YYYY', 'MM/DD/YYYY HH:mm:ss', 'YYYY-MM-DDTHH:mmZ'])
    assert.is(timeFormatError(format), undefined, format);
  assert.match(timeFormatError('MM-DD') ?? '', 'a year');
  assert.match(timeFormatError('YYYY YY') ?? '', 'once');
  assert.match(timeFormatError('YYYY MM MM') ?? '', 'once');
  for (const format of ['yyyy-mm-dd', '%Y-%m-%d', 'YYYY-hh', 'YYY', 'YYYY1'])
    assert.match(timeFormatError(format) ?? '', 'YYYY or YY', format);
});

test.run();
