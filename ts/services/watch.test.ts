// What production takes from a bucket, and with manifests: see ts/s3/server.test.helper.ts for the server.
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Dataset } from '../native/dataset.js';
import { inWorkplace, type Workplace } from '../pipeline/fixture.test.helper.js';
import { foldersOf } from '../pipeline/folders.js';
import { inEnvironment, type TestServer, withServer } from '../s3/server.test.helper.js';
import { arrivedAt, csvRows, type Serving, serving } from './fixture.test.helper.js';

const test = suite('watch');

/** Sections of the pipeline file; `where`: what the source's path begins with. */
const watched = (where: string, watch: string) => ({
  'selection: { id: new-data }\n': `selection: { id: new-data }\nserve: { watch: { ${watch} } }\n`,
  'path: d.csv': `path: "${where}*.csv"`,
});

const withBucket = (work: (place: Workplace, server: TestServer) => Promise<void>) =>
  withServer((server) => inEnvironment(server.env, () => inWorkplace((place) => work(place, server))));

function times({ data }: Workplace): number[] {
  using dataset = Dataset.open(foldersOf(data).dataset('tiny'), { readOnly: true });
  using snapshot = dataset.snapshot();
  return [...snapshot.timestamps()].map(Number);
}

const expectedTimes = (...ranges: [first: number, end: number][]) =>
  ranges.flatMap(([first, end]) =>
    csvRows(first, end)
      .trimEnd()
      .split('\n')
      .slice(1)
      .map((line) => Date.parse(line.split(',')[0]!)),
  );

const problem = (text: string) => (event: Serving['events'][number]) => event.type === 'problem' && event.message.includes(text);

test('objects of a prefix are taken, each once, over a stop', () =>
  withBucket(async (place, { s3, bucket }) => {
    const put = (name: string, text: string) => s3.put(bucket, `in/${name}`, Buffer.from(text));
    const pipeline = watched(`s3://${bucket}/in/`, 'every: 1s');
    await put('a.csv', csvRows(0, 300));
    let serve = await serving(place, pipeline);
    await serve.until(arrivedAt(300));
    await put('b.csv', csvRows(300, 500));
    await put('c.csv.tmp', csvRows(500, 600));
    await serve.until(arrivedAt(500));
    await serve.stop();
    await put('c.csv', csvRows(500, 700));
    await s3.remove(bucket, 'in/a.csv');
    serve = await serving(place, pipeline);
    await serve.until(arrivedAt(700));
    await put('d.csv', 'nonsense\n1\n');
    await serve.until(problem('/in/d.csv'));
    await put('d.csv', csvRows(700, 710));
    await serve.until(arrivedAt(710));
    await serve.stop();
    assert.equal(times(place), expectedTimes([0, 710]));
  }));

test('a bucket that is missing is told, and its objects are taken once it is there', () =>
  withBucket(async (place, { s3, bucket }) => {
    const other = `${bucket}-later`;
    const serve = await serving(place, watched(`s3://${other}/`, 'every: 1s'));
    await serve.until(problem('no such bucket'));
    await s3.call({ method: 'PUT', bucket: other, key: '' }, async (answer) => void answer.resume());
    await s3.put(other, 'a.csv', Buffer.from(csvRows(0, 300)));
    await serve.until(arrivedAt(300));
    await serve.stop();
  }));

test('with manifests files appear together, in the order of the lines, from a bucket', () =>
  withBucket(async (place, { s3, bucket }) => {
    const put = (name: string, text: string) => s3.put(bucket, name, Buffer.from(text));
    await put('b.csv', csvRows(0, 300));
    await put('first.manifest', 'b.csv\na.csv\n');
    const serve = await serving(place, watched(`s3://${bucket}/`, 'every: 1s, manifest: true'));
    await serve.until(problem('first.manifest:2: there is no a.csv'));
    await put('unnamed.csv', csvRows(300, 400));
    await put('a.csv', csvRows(400, 500));
    await serve.until(arrivedAt(400));
    await serve.stop();
    assert.equal(times(place), expectedTimes([0, 300], [400, 500]));
  }));

test('with manifests in a folder: paths that leave it, files that are gone, names of their own', () =>
  inWorkplace(async (place) => {
    const folder = join(place.folder, 'in');
    mkdirSync(folder);
    const drop = (name: string, text: string) => {
      writeFileSync(join(folder, `${name}.tmp`), text);
      renameSync(join(folder, `${name}.tmp`), join(folder, name));
    };
    drop('a.csv', csvRows(0, 300));
    drop('b.csv', csvRows(300, 400));
    drop('bad-done.txt', 'a.csv\n../d.csv\n');
    const pipeline = watched('in/', 'every: 1s, manifest: "*-done.txt"');
    let serve = await serving(place, pipeline);
    await serve.until(problem('in/bad-done.txt:2: "../d.csv" leaves the folder'));
    drop('one-done.txt', './a.csv\r\n\r\n');
    await serve.until(arrivedAt(300));
    await serve.stop();
    rmSync(join(folder, 'a.csv'));
    rmSync(join(folder, 'bad-done.txt'));
    drop('two-done.txt', 'b.csv');
    serve = await serving(place, pipeline);
    await serve.until(arrivedAt(400));
    assert.not(serve.events.some((e) => e.type === 'problem'));
    await serve.stop();
    assert.equal(times(place), expectedTimes([0, 400]));
  }));

test.run();
