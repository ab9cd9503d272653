// Backups and what comes back of them: see ts/s3/server.test.helper.ts for the server.
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { loadPipeline } from '../config/parse.js';
import { Dataset } from '../native/dataset.js';
import { changed, inWorkplace, type Workplace } from '../pipeline/fixture.test.helper.js';
import { type Folders, foldersOf } from '../pipeline/folders.js';
import { runExperiment } from '../pipeline/run.js';
import { inEnvironment, quick, type TestServer, withServer } from '../s3/server.test.helper.js';
import { uploadFile, type UploadNote } from '../s3/upload.js';
import { failure, temporaryFolder } from '../sources/fixture.test.helper.js';
import { jsonRows, push, pushing, serving, urlOf } from '../services/fixture.test.helper.js';
import { backup } from './backup.js';
import { restore } from './restore.js';

const test = suite('backup');

const withBucket = (work: (place: Workplace, server: TestServer) => Promise<void>) =>
  withServer((server) => inEnvironment(server.env, () => inWorkplace((place) => work(place, server))));

/** The small pipeline, run. */
async function ran(place: Workplace): Promise<Folders> {
  await runExperiment(await loadPipeline(place.write('p.yaml', changed({}))), { dataFolder: place.data });
  return foldersOf(place.data);
}

const contentOf = (folder: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => statSync(join(folder, name)).isFile())
      .sort()
      .map((name) => [name, readFileSync(join(folder, name)).toString('latin1')]),
  );

const modelsOf = (folders: Folders) => contentOf(folders.models('tiny'));

function rowsOf(folders: Folders): number {
  using dataset = Dataset.open(folders.dataset('tiny'), { readOnly: true });
  return dataset.size();
}

async function sound(folders: Folders): Promise<void> {
  const report = await Dataset.check(folders.dataset('tiny'));
  assert.equal(report.damages, []);
}

for (const where of ['bucket', 'folder'] as const) {
  test(`everything comes back from a ${where}, and the run goes on with it`, () =>
    withBucket(async (place, { bucket }) => {
      const folders = await ran(place);
      const target = where === 'bucket' ? `s3://${bucket}/backups/1` : join(place.folder, 'backups');
      const result = await backup(folders, { target, patience: quick });
      assert.ok(result.files > 5 && !result.resumed);
      await failure('E_EXISTS', [target, 'already'], () => backup(folders, { target, patience: quick }));
      assert.not(existsSync(join(place.data, 'backups', 'progress.json')));
      const other = foldersOf(join(place.folder, 'other'));
      const back = await restore(other, { source: target, patience: quick });
      assert.is(back.files, result.files);
      await sound(other);
      assert.is(rowsOf(other), rowsOf(folders));
      assert.equal(modelsOf(other), modelsOf(folders));
      const again = await runExperiment(await loadPipeline(place.write('p.yaml', changed({}))), { dataFolder: other.root });
      assert.ok(again.triggers.length > 0);
      assert.equal(modelsOf(other), modelsOf(folders));
      await failure('E_EXISTS', ['is there already'], () => restore(other, { source: target, patience: quick }));
    }));
}

test('one dataset, while production writes to it', () =>
  withBucket(async (place, { bucket }) => {
    const serve = await serving(place, pushing());
    const url = await urlOf(serve);
    await push(url, jsonRows(0, 1000));
    const folders = foldersOf(place.data);
    let pushed = 1000;
    const pushes = (async () => {
      for (; pushed < 3000; pushed += 100) await push(url, jsonRows(pushed, pushed + 100));
    })();
    const targets = [1, 2, 3].map((n) => `s3://${bucket}/tiny/${n}`);
    for (const target of targets) await backup(folders, { dataset: 'tiny', target, patience: quick });
    await pushes;
    await serve.stop();
    for (const [i, target] of targets.entries()) {
      const other = foldersOf(join(place.folder, `other${i}`));
      assert.is((await restore(other, { source: target, patience: quick })).dataset, 'tiny');
      const found = rowsOf(other);
      assert.ok(found >= 1000 && found <= 3000, `${found} rows`);
      await sound(other);
    }
  }));

test('what is missing, unfinished, damaged or no backup is told, and nothing is left behind', () =>
  withBucket(async (place, { bucket, s3 }) => {
    const folders = await ran(place);
    const target = `s3://${bucket}/b`;
    const other = foldersOf(join(place.folder, 'other'));
    const bring = () => restore(other, { source: target, patience: quick });
    await failure('E_NOT_FOUND', [target, 'no backup'], bring);
    const empty = foldersOf(join(place.folder, 'empty'));
    await failure('E_NOT_FOUND', ['nothing to back up'], () => backup(empty, { target, patience: quick }));
    assert.not(existsSync(join(empty.root, 'backups')));
    await backup(folders, { target, patience: quick });
    const described = JSON.parse(await textOf(s3, bucket, 'b/backup.json')) as { files: { path: string; bytes: number }[] };
    const { path, bytes } = described.files.find((file) => file.path.endsWith('.safetensors'))!;
    await s3.put(bucket, `b/${path}`, Buffer.alloc(bytes));
    await failure('E_CORRUPT', [path, 'damaged'], bring);
    assert.not(existsSync(other.root));
    await s3.remove(bucket, `b/${path}`);
    await failure('E_NOT_FOUND', [path, 'missing'], bring);
    for (const bad of ['../x', '/etc/x', 'models/../../x', 'sluice.yaml', 'models//x', '']) {
      const files = [{ path: bad, bytes: 0, sha256: '0'.repeat(64) }];
      await s3.put(bucket, 'b/backup.json', Buffer.from(JSON.stringify({ sluice: 1, dataset: null, createdMs: 0, files })));
      await failure('E_CORRUPT', ['backup.json'], bring);
    }
    await s3.put(bucket, 'b/backup.json', Buffer.from('{'));
    await failure('E_CORRUPT', ['describes no backup'], bring);
  }));

async function textOf(s3: TestServer['s3'], bucket: string, key: string): Promise<string> {
  const object = (await s3.head(bucket, key))!;
  const bytes = Buffer.alloc(object.size);
  await s3.read(bucket, object, 0, bytes);
  return bytes.toString();
}

test('a backup and a restore that are stopped go on where they were', () =>
  withBucket(async (place, server) => {
    const folders = await ran(place);
    const target = `s3://${server.bucket}/b`;
    const steps = async (work: (signal: AbortSignal, onProgress: (share: number) => void) => Promise<unknown>) => {
      let stops = 0;
      for (let before = -1; ; stops++) {
        const controller = new AbortController();
        // Stops when it got further than the last time.
        const onProgress = (share: number) => {
          if (share <= before || share === 1) return;
          before = share;
          controller.abort();
        };
        try {
          await work(controller.signal, onProgress);
          return stops;
        } catch (error) {
          if ((error as { code?: string }).code !== 'E_ABORTED') throw error;
        }
      }
    };
    assert.ok((await steps((signal, onProgress) => backup(folders, { target, patience: quick, signal, onProgress }))) > 3);
    const other = foldersOf(join(place.folder, 'other'));
    assert.ok((await steps((signal, onProgress) => restore(other, { source: target, patience: quick, signal, onProgress }))) > 3);
    assert.equal(modelsOf(other), modelsOf(folders));
    assert.equal(
      readdirSync(place.folder).filter((name) => name.endsWith('.restore')),
      [],
    );
  }));

const mebibyte = 2 ** 20;

test('an upload in parts that was cut off sends only the parts that the server lacks', () =>
  withBucket(async (_, server) => {
    const path = join(temporaryFolder(), 'large');
    const bytes = randomBytes(52 * mebibyte + 3);
    writeFileSync(path, bytes);
    let sent = 0;
    let broken = true;
    const proxy = await server.faulty(
      (request, response, pass) => {
        if (request.method !== 'PUT') return pass();
        if (broken && ++sent > 2) response.destroy();
        else pass();
      },
      { tries: 2 },
    );
    let note: UploadNote | undefined;
    const onNote = async (given: UploadNote | undefined) => {
      note = structuredClone(given);
    };
    await failure('E_UNREACHABLE', ['s3://'], () => uploadFile(proxy.s3, server.bucket, 'large', path, { onNote }));
    const done = note!.parts.filter((part) => part !== undefined && part !== null).length;
    assert.ok(done >= 1 && done < 4, `${done} parts`);
    broken = false;
    proxy.requests.length = 0;
    const again = await uploadFile(proxy.s3, server.bucket, 'large', path, { note, onNote });
    assert.is(proxy.requests.filter((line) => line.startsWith('PUT')).length, 4 - done);
    assert.is(again.bytes, bytes.length);
    const object = (await server.s3.head(server.bucket, 'large'))!;
    const back = Buffer.alloc(object.size);
    await server.s3.read(server.bucket, object, 0, back);
    assert.ok(back.equals(bytes));
    // An upload that the server has given up begins anew; s3rver does not say that it has.
    if (!server.strict) return;
    const unknown: UploadNote = { id: '11111111111111111111111111111111', partBytes: 16 * mebibyte, parts: [] };
    await uploadFile(server.s3, server.bucket, 'large', path, { note: unknown, onNote });
  }));

test.run();
