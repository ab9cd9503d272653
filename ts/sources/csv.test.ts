import { closeSync, mkdtempSync, openSync, readdirSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SluiceError } from '../errors.js';
import { csvPart } from './csv.js';
import { localFile } from './fixture.test.helper.js';
import { resolveFiles } from './paths.js';

const test = suite('csv');
const folder = mkdtempSync(join(tmpdir(), 'sluice-csv-'));
test.after(() => rmSync(folder, { recursive: true }));

function partOf(content: string | Buffer, name = 'x.csv') {
  writeFileSync(join(folder, name), content);
  return csvPart(localFile(name, join(folder, name)));
}

async function read(part: ReturnType<typeof csvPart>, columns: string[], startRow = 0) {
  const batches = [];
  for await (const batch of part.read(columns, startRow)) {
    for (const column of columns) assert.is(batch.columns[column]?.length, batch.rows);
    batches.push(batch);
  }
  const rows = batches.flatMap((batch) =>
    Array.from({ length: batch.rows }, (_, i) => columns.map((column) => batch.columns[column]?.[i])),
  );
  return { rows, sizes: batches.map((batch) => batch.rows) };
}

async function failure(content: string | Buffer, columns = ['a', 'b'], name = 'x.csv'): Promise<SluiceError> {
  const part = partOf(content, name);
  try {
    await read(part, columns);
  } catch (error) {
    assert.instance(error, SluiceError);
    assert.is((error as SluiceError).code, 'E_SOURCE');
    assert.match((error as SluiceError).message, name);
    return error as SluiceError;
  }
  return assert.unreachable() as never;
}

test('reads weather.csv of vega-datasets', async () => {
  const part = csvPart((await resolveFiles(['npm:vega-datasets/data/weather.csv'], folder))[0]!);
  const { rows, sizes } = await read(part, ['weather', 'date', 'temp_max']);
  assert.equal(sizes, [2922]);
  assert.equal(rows[0], ['drizzle', '2012-01-01', '12.8']);
  assert.equal(rows[2921], ['rain', '2015-12-31', '11.1']);
  assert.equal(new Set(rows.map((row) => row[0])), new Set(['drizzle', 'rain', 'sun', 'snow', 'fog']));
});

test('reads birdstrikes.csv of vega-datasets: names with spaces, quoted commas', async () => {
  const part = csvPart((await resolveFiles(['npm:vega-datasets/data/birdstrikes.csv'], folder))[0]!);
  const { rows } = await read(part, ['Flight Date', 'Cost Total $', 'Airport Name']);
  assert.is(rows.length, 10_000);
  assert.equal(rows[0], ['1990-01-08', '0', 'BARKSDALE AIR FORCE BASE ARPT']);
  assert.ok(rows.every((row) => /^\d{4}-\d\d-\d\d$/.test(String(row[0]))));
});

test('quotes hold delimiters, line ends and quotes', async () => {
  const { rows } = await read(partOf('a,"b, c"\n"1,2","x\ny"\n"say ""hi""",\n'), ['a', 'b, c']);
  assert.equal(rows, [
    ['1,2', 'x\ny'],
    ['say "hi"', null],
  ]);
});

test('a quoted header does not mislead the search for the delimiter', async () => {
  const { rows } = await read(partOf('"a,b,c,d";e\n1;2\n'), ['a,b,c,d', 'e']);
  assert.equal(rows, [['1', '2']]);
});

for (const [what, content] of Object.entries({
  comma: 'a,b\n1,é\n,4\n',
  semicolon: 'a;b\n1;é\n;4\n',
  tab: 'a\tb\n1\té\n\t4\n',
  'byte order mark': '\ufeffa,b\n1,é\n,4\n',
  'CR LF': 'a,b\r\n1,é\r\n,4\r\n',
  'byte order mark, semicolon, CR LF': '\ufeffa;b\r\n1;é\r\n;4\r\n',
  'no line end at the end': 'a,b\n1,é\n,4',
  'empty lines': '\n\na,b\n\n1,é\n\n,4\n\n',
})) {
  for (const name of ['x.csv', 'x.csv.gz']) {
    test(`${what} in ${name}`, async () => {
      const { rows } = await read(partOf(name.endsWith('.gz') ? gzipSync(content) : content, name), ['b', 'a']);
      assert.equal(rows, [
        ['é', '1'],
        ['4', null],
      ]);
    });
  }
}

test('a header alone has no rows', async () => {
  assert.equal((await read(partOf('a,b\n'), ['a'])).rows, []);
  assert.equal((await read(partOf('a,b'), ['b'])).rows, []);
});

test('an empty file lacks its header', async () => {
  assert.match((await failure('')).message, /empty/);
  assert.match((await failure(gzipSync(''), ['a'], 'x.csv.gz')).message, /empty/);
});

test('a missing column lists those that there are', async () => {
  const error = await failure('x,y z\n1,2\n', ['x', 'b']);
  assert.match(error.message, "no column 'b'");
  assert.match(error.hint ?? '', 'x, y z');
});

test('a column that is there twice is refused when it is asked for', async () => {
  assert.match((await failure('a,b,a\n1,2,3\n', ['a'])).message, /two columns are named 'a'/);
  assert.equal((await read(partOf('a,b,a\n1,2,3\n'), ['b'])).rows, [['2']]);
});

test('a row with too few or too many values is told with its line', async () => {
  assert.match((await failure('a,b\n1,2\n3\n4,5\n')).message, /x\.csv:3: .*line 3/);
  assert.match((await failure('a,b\n1,2\n"x\ny",2\n4,5,6\n')).message, /x\.csv:5: /);
});

test('quotes that do not close, or close too early, are told', async () => {
  assert.match((await failure('a,b\n1,"2\n3,4\n')).message, /x\.csv:\d: .*[Qq]uot/);
  assert.match((await failure('a,b\n1,"2"3\n')).message, /x\.csv:2: .*[Qq]uot/);
});

test('bytes that are not UTF-8 are refused, wherever they are', async () => {
  const inMiddle = Buffer.concat([Buffer.from('a,b\n1,'), Buffer.from([0xe9]), Buffer.from('\n3,4\n')]);
  assert.match((await failure(inMiddle)).message, /UTF-8/);
  assert.match((await failure(Buffer.from('a,b\n1,é', 'utf8').subarray(0, -1))).message, /UTF-8/);
  assert.match((await failure(Buffer.from('\ufeffa,b\n1,2', 'utf16le'))).message, /UTF-8/);
});

test('a character on the border of two chunks is one character', async () => {
  const line = 'é€😀'.repeat(1000);
  const { rows } = await read(partOf(`a,b\n${`x,${line}\n`.repeat(300)}`), ['b']);
  assert.is(rows.length, 300);
  assert.ok(rows.every((row) => row[0] === line));
});

test('gzip that is cut off or damaged is told; the content tells it, not the name', async () => {
  const whole = gzipSync(`a,b\n${Array.from({ length: 5000 }, (_, i) => `${i},${(i * 7919) % 10007}\n`).join('')}`);
  for (const end of [0.999, 0.5, 0.01]) await failure(whole.subarray(0, Math.ceil(whole.length * end)), undefined, 'cut.csv.gz');
  const flipped = Buffer.from(whole);
  flipped[flipped.length >> 1]! ^= 0xff;
  await failure(flipped, undefined, 'flipped.csv.gz');
  assert.is((await read(partOf('a,b\n1,2\n', 'none.csv.gz'), ['a'])).rows.length, 1);
});

test('a file that disappears is told', async () => {
  const part = partOf('a,b\n1,2\n', 'gone.csv');
  rmSync(join(folder, 'gone.csv'));
  let thrown: unknown;
  await read(part, ['a']).catch((error) => (thrown = error));
  assert.is((thrown as SluiceError).code, 'E_SOURCE');
  assert.match((thrown as SluiceError).message, /gone\.csv/);
});

function manyRows(rows: number): string {
  const path = join(folder, 'many.csv');
  const file = openSync(path, 'w');
  for (let at = 0; at < rows; at += 10_000) {
    writeSync(
      file,
      (at === 0 ? 'n,c\n' : '') + Array.from({ length: Math.min(10_000, rows - at) }, (_, i) => `${at + i},k${(at + i) % 3}\n`).join(''),
    );
  }
  closeSync(file);
  return path;
}

test('batches of a large file follow each other, from any row on', async () => {
  const rows = 140_000;
  const part = csvPart(localFile('many.csv', manyRows(rows)));
  const all = await read(part, ['n']);
  assert.is(
    all.sizes.reduce((sum, n) => sum + n, 0),
    rows,
  );
  assert.ok(all.rows.every((row, i) => row[0] === String(i)));
  for (const start of [1, 65_535, 65_536, rows - 1, rows, rows + 5]) {
    const rest = await read(part, ['c', 'n'], start);
    assert.is(rest.rows.length, Math.max(0, rows - start), `from ${start}`);
    if (start < rows) assert.equal(rest.rows[0], [`k${start % 3}`, String(start)]);
  }
});

/** More than one chunk of plain lines, with a byte order mark, blank lines and text beyond ASCII. */
const plainRows = 30_000;
const plainLine = (i: number) => `${i},${i % 7 === 0 ? '' : `täxt ${i}`},x${'\n'.repeat(i % 1000 === 0 ? 2 : 1)}`;
const plainText = () => `\ufeffa,b,c\n${Array.from({ length: plainRows }, (_, i) => plainLine(i)).join('')}`;

test('plain lines and quoted ones behind them are one file', async () => {
  for (const tail of [
    '"1","say ""hi""\n,",x\n2,,x\n',
    '1,"say ""hi""\n,",x\n2,,x',
    '1,"say ""hi""\n,",x\r\n2,,x\r\n',
    '1,"say ""hi""\n,","x"',
  ]) {
    const { rows } = await read(partOf(plainText() + tail), ['b', 'a']);
    assert.equal(rows.slice(0, 3), [
      [null, '0'],
      ['täxt 1', '1'],
      ['täxt 2', '2'],
    ]);
    assert.equal(rows[plainRows - 1], [`täxt ${plainRows - 1}`, String(plainRows - 1)]);
    assert.equal(rows[plainRows], ['say "hi"\n,', '1']);
    assert.ok(rows.slice(0, plainRows).every((row, i) => row[1] === String(i)));
    for (const start of [plainRows - 1, plainRows, 100]) {
      const rest = await read(partOf(plainText() + tail), ['b', 'a'], start);
      assert.equal(rest.rows, rows.slice(start));
    }
  }
});

test('errors behind plain lines name the line of the file', async () => {
  const before = plainText();
  const line = before.split('\n').length;
  assert.match((await failure(`${before}1,2\n`)).message, `x.csv:${line}: Invalid Record Length: expect 3, got 2 on line ${line}`);
  assert.match((await failure(`${before}1,2`)).message, `x.csv:${line}: `);
  assert.match((await failure(`${before}1,"2"\n`)).message, `x.csv:${line}: Invalid Record Length: expect 3, got 2 on line ${line}`);
  assert.match((await failure(`${before}1,"2"3,4\n`)).message, `x.csv:${line}: `);
  assert.match((await failure(`${before}1,2,3\n1,2,3,4\n`)).message, `x.csv:${line + 1}: `);
});

test('plain or quoted, the same values', async () => {
  let state = 7;
  const random = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) % below;
  };
  const texts = ['', 'a', '1.5', 'é', '日本', ' b ', 'x'.repeat(3000)];
  const records = Array.from({ length: 2000 }, () => ['a', 'b', 'c'].map(() => texts[random(texts.length)]!));
  const written = (quoted: boolean) =>
    ['a;b;c', ...records.map((record) => record.map((text) => (quoted ? `"${text}"` : text)).join(';'))].join('\n');
  const wanted = records.map((record) => record.map((text) => (text === '' ? null : text)));
  for (const quoted of [false, true]) assert.equal((await read(partOf(written(quoted)), ['a', 'b', 'c'])).rows, wanted);
});

test('leaving early closes the file', async () => {
  const part = csvPart(localFile('many.csv', manyRows(140_000)));
  const open = () => readdirSync('/proc/self/fd').length;
  const before = open();
  for (let i = 0; i < 5; i++) for await (const _ of part.read(['n'], 0)) break;
  await new Promise((done) => setImmediate(done));
  assert.ok(open() <= before + 1, `${before} files were open, ${open()} are`);
});

test.run();
