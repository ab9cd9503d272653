import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SluiceError } from '../errors.js';
import { makeResult } from './fixture.test.helper.js';
import { writeReport } from './index.js';

const test = suite<{ folder: string }>('writeReport');

test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'sluice-report-'));
});
test.after.each(({ folder }) => rmSync(folder, { recursive: true, force: true }));

const names = ['freshness.svg', 'matrix.svg', 'report.html', 'result.json', 'timeline.svg'];
const read = (folder: string) => names.map((name) => readFileSync(join(folder, name), 'utf8'));

test('makes the folder and leaves the five files and nothing else', async ({ folder }) => {
  const result = makeResult({ windows: 4, models: 3 });
  const target = join(folder, 'a', 'b');
  const files = await writeReport(result, target);
  assert.equal(readdirSync(target).sort(), names);
  assert.is(files.html, join(target, 'report.html'));
  assert.equal(JSON.parse(readFileSync(files.json, 'utf8')), result);
  const html = readFileSync(files.html, 'utf8');
  for (const picture of [files.matrix, files.timeline, files.freshness]) assert.ok(html.includes(readFileSync(picture, 'utf8')));
});

test('the same result gives the same bytes, in place of what was there', async ({ folder }) => {
  await writeReport(makeResult({ windows: 4, models: 3 }), folder);
  const first = read(folder);
  await writeReport(makeResult({ windows: 5, models: 4 }), folder);
  assert.is.not(read(folder)[2], first[2]);
  await writeReport(makeResult({ windows: 4, models: 3 }), folder);
  assert.equal(read(folder), first);
});

test('a file that cannot be replaced gives an error of ours and leaves no temporary file', async ({ folder }) => {
  mkdirSync(join(folder, 'report.html'));
  writeFileSync(join(folder, 'report.html', 'kept'), '');
  const error = await writeReport(makeResult({ windows: 4, models: 3 }), folder).catch((e: unknown) => e);
  assert.instance(error, SluiceError);
  assert.is((error as SluiceError).code, 'E_IO');
  assert.equal(readdirSync(folder), ['report.html']);
});

test('a folder that cannot be made gives an error of ours', async ({ folder }) => {
  writeFileSync(join(folder, 'file'), '');
  const error = await writeReport(makeResult({ models: 0 }), join(folder, 'file')).catch((e: unknown) => e);
  assert.instance(error, SluiceError);
});

test.run();
