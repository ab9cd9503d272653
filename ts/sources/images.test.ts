// Pictures: decoding, folders of them, and what an attacker or a broken copy might put there.
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { deflateSync, gzipSync } from 'node:zlib';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Batch } from '../native/types.js';
import { crc32 } from './crc32.test.helper.js';
import { failure, MemoryStore, temporaryFolder } from './fixture.test.helper.js';
import { decodeImages } from './images.js';
import { ingest, openSource } from './ingest.js';
import type { DatasetSpec, ImageForm, ImagesSource } from './spec.js';
import { timeInPath, timePatternError } from './time-pattern.js';

type Format = 'png' | 'jpeg' | 'webp';

/** A picture of one color. */
async function picture(color: { r: number; g: number; b: number; alpha?: number }, width: number, height: number, format: Format = 'png') {
  const channels = color.alpha === undefined ? 3 : 4;
  return await sharp({ create: { width, height, channels, background: color } })
    .toFormat(format, { lossless: true })
    .toBuffer();
}

const red = { r: 200, g: 10, b: 20 };
const square: ImageForm = { image: [4, 4, 3], fit: 'cover', onError: 'fail' };

function specOf(form: ImageForm): DatasetSpec {
  return { time: { column: 'time', unit: 'ms' }, label: { column: 'label', classes: ['cat', 'dog'] }, columns: { image: form } };
}

async function decode(file: Uint8Array | string | null, form: ImageForm, folder?: string): Promise<Uint8Array> {
  const batch = { rows: 1, columns: { image: [file] } };
  return (await decodeImages(batch, specOf(form), { part: 'p', firstRow: 0 }, folder)).columns['image'] as Uint8Array;
}

/** Pictures by path, all of one color unless given. */
async function folderOf(files: Record<string, Uint8Array | undefined>): Promise<string> {
  const folder = temporaryFolder();
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, 'set', path)), { recursive: true });
    writeFileSync(join(folder, 'set', path), content ?? (await picture(red, 5, 5)));
    utimesSync(join(folder, 'set', path), 1000, 1000);
  }
  return folder;
}

async function run(folder: string, changes: Partial<ImagesSource> = {}, spec = specOf(square), store = new MemoryStore()) {
  const source = await openSource({ ...spec, id: 'd', source: { format: 'images', path: ['set'], ...changes } }, folder);
  const result = await ingest({ store, source, spec });
  return { store, result };
}

for (const format of ['png', 'jpeg', 'webp'] as const) {
  test(`${format}: pixels row by row, in the channels that are asked for`, async () => {
    const file = await picture(red, 6, 4, format);
    const pixels = await decode(file, square);
    assert.is(pixels.length, 48);
    for (let i = 0; i < 48; i++) assert.ok(Math.abs(pixels[i]! - [200, 10, 20][i % 3]!) <= 3, `${pixels[i]}`);
    assert.is((await decode(file, { ...square, image: [2, 3, 1] })).length, 6);
    const alpha = await decode(file, { ...square, image: [2, 2, 4] });
    assert.is(alpha.length, 16);
    assert.is(alpha[3], 255);
  });
}

test('fit: cut off, with black margins, or distorted', async () => {
  const wide = await sharp(await picture({ r: 0, g: 0, b: 255 }, 8, 4))
    .composite([{ input: await picture(red, 2, 4), left: 0, top: 0 }])
    .png()
    .toBuffer();
  const row = (pixels: Uint8Array, y: number) => Array.from({ length: 4 }, (_, x) => pixels[(y * 4 + x) * 3]! > 100);
  const options = { image: [4, 4, 3], onError: 'fail' } as const;
  assert.equal(row(await decode(wide, { ...options, fit: 'cover' }), 0), [false, false, false, false]);
  assert.equal(row(await decode(wide, { ...options, fit: 'stretch' }), 0), [true, false, false, false]);
  const contained = await decode(wide, { ...options, fit: 'contain' });
  assert.equal([...contained.subarray(0, 12)], new Array(12).fill(0));
  assert.equal(row(contained, 1), [true, false, false, false]);
});

test('a picture is turned as its EXIF data says, and alpha is dropped for RGB', async () => {
  const turned = await sharp(await picture(red, 8, 4))
    .withMetadata({ orientation: 6 })
    .jpeg()
    .toBuffer();
  assert.is((await decode(turned, { image: [8, 4, 3], fit: 'cover', onError: 'fail' })).length, 96);
  const pixels = await decode(await picture({ ...red, alpha: 0 }, 4, 4), square);
  assert.is(pixels.length, 48);
});

/** A PNG file that claims this size, with no more than a few pixels in it. */
function bomb(width: number, height: number): Buffer {
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const head = Buffer.alloc(4);
    head.writeUInt32BE(data.length);
    const tail = Buffer.alloc(4);
    tail.writeUInt32BE(crc32(body));
    return Buffer.concat([head, body, tail]);
  };
  const header = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, 2, 0, 0, 0]);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', deflateSync(Buffer.alloc(1000))), chunk('IEND', Buffer.alloc(0))]);
}

test('what is no picture ends ingestion with file and row', async () => {
  const good = await picture(red, 50, 50, 'jpeg');
  const hostile: Record<string, Uint8Array> = {
    'zero bytes': new Uint8Array(0),
    'three bytes': good.subarray(0, 3),
    'a cut file': good.subarray(0, good.length / 2),
    text: Buffer.from('this is no picture at all'),
    'a vector picture': Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="/etc/passwd"/></svg>'),
    'a bomb': bomb(60_000, 60_000),
    'the largest claim': bomb(2 ** 31 - 1, 2 ** 31 - 1),
    'a claim without pixels': bomb(3000, 3000),
    'a head alone': Buffer.from('\x89PNG\r\n\x1a\n1234567890', 'latin1'),
    'an empty WebP': Buffer.from('RIFF\0\0\0\0WEBPVP8 ', 'latin1'),
  };
  for (const [what, file] of Object.entries(hostile)) {
    const told = await failure('E_SOURCE', ["column 'image'", 'row 1', 'a picture that can be decoded'], () => decode(file, square));
    assert.not.match(told.message, /\n|:$/, what);
    const folder = await folderOf({ 'cat/a.png': undefined, 'cat/b.png': file });
    await failure('E_SOURCE', ['set', 'row 2', '"cat/b.png"'], () => run(folder));
    const { store, result } = await run(folder, {}, specOf({ ...square, onError: 'skip' }));
    assert.equal(result, { appended: 1, total: 1, parts: 1, skipped: 1 }, what);
    assert.is(store.columns[0]!.length, 48);
  }
});

test('a folder of pictures: labels by folder, in order of time', async () => {
  const folder = await folderOf({
    'dog/2.png': undefined,
    'cat/1.JPG': undefined,
    'cat/3.webp': await picture(red, 3, 3, 'webp'),
    '.hidden/4.png': undefined,
    'notes.txt': undefined,
  });
  utimesSync(join(folder, 'set/dog/2.png'), 500, 500);
  const { store, result } = await run(folder);
  assert.equal(result, { appended: 3, total: 3, parts: 1, skipped: 0 });
  assert.equal(store.timestamps, [500_000, 1_000_000, 1_000_000]);
  assert.equal(store.labels, [1, 0, 0]);
  assert.is((await run(folder, {}, specOf(square), store)).result.appended, 0);
  writeFileSync(join(folder, 'set/cat/5.png'), await picture(red, 2, 2));
  await failure('E_CHANGED', ['set'], () => run(folder, {}, specOf(square), store));
});

test('a copied folder is the same, although its files have other times', async () => {
  const folder = await folderOf({ 'cat/2024-01-02.png': undefined, 'dog/2024-01-01.png': undefined });
  const source = { timePattern: '{YYYY}-{MM}-{DD}.' };
  const { store } = await run(folder, source);
  assert.equal(store.labels, [1, 0]);
  utimesSync(join(folder, 'set/cat/2024-01-02.png'), 2000, 2000);
  assert.is((await run(folder, source, specOf(square), store)).result.appended, 0);
  await failure('E_SOURCE', ['cat/2024-01-02.png', 'a time as in {unix}x'], () => run(folder, { timePattern: '{unix}x' }));
});

test('labels, times and more columns from a CSV file', async () => {
  const csv = 'path,label,time,weight\nx/b.png,dog,2024-01-02,2.5\na.png,cat,2024-01-01,1\n';
  const folder = await folderOf({ 'x/b.png': undefined, 'a.png': undefined, 'unlisted.png': undefined, 'list.csv': Buffer.from(csv) });
  const spec = specOf(square);
  const { store } = await run(folder, { labels: 'list.csv' }, { ...spec, columns: { ...spec.columns, weight: 'f32' } });
  assert.equal(store.labels, [0, 1]);
  assert.equal(store.timestamps, [Date.UTC(2024, 0, 1), Date.UTC(2024, 0, 2)]);
  assert.equal(store.columns[1], [1, 2.5]);
  await failure('E_SOURCE', ["'size'"], () => run(folder, { labels: 'list.csv' }, { ...spec, columns: { size: 'f32' } }));
  await failure('E_SOURCE', ["'size'"], () => run(folder, {}, { ...spec, columns: { size: 'f32' } }));
  await failure('E_NOT_FOUND', ['set/none.csv'], () => run(folder, { labels: 'none.csv' }));
  writeFileSync(join(folder, 'set/damaged.csv.gz'), gzipSync(csv).subarray(0, -9));
  await failure('E_SOURCE', ['set/damaged.csv.gz', 'unexpected end of file'], () => run(folder, { labels: 'damaged.csv.gz' }));
});

const taken = async (date: string, format: 'jpeg' | 'png' | 'webp' = 'jpeg') =>
  await sharp(await picture(red, 5, 5))
    .withExif({ IFD2: { DateTimeOriginal: date } })
    .toFormat(format)
    .toBuffer();

test('times from EXIF data, of each format, in order of time', async () => {
  const folder = await folderOf({
    'cat/a.jpg': await taken('2024:05:03 00:00:00'),
    'dog/b.png': await taken('2024:05:01 00:00:00', 'png'),
    'cat/c.webp': await taken('2024:05:02 12:30:00', 'webp'),
  });
  const { store } = await run(folder, { timeFrom: ['exif'] });
  assert.equal(store.timestamps, [Date.UTC(2024, 4, 1), Date.UTC(2024, 4, 2, 12, 30), Date.UTC(2024, 4, 3)]);
  assert.equal(store.labels, [1, 0, 0]);
  // Nothing is opened for a folder that is complete: copies are the same, and what is damaged since is not noticed.
  utimesSync(join(folder, 'set/cat/a.jpg'), 2000, 2000);
  assert.is((await run(folder, { timeFrom: ['exif'] }, specOf(square), store)).result.appended, 0);
  writeFileSync(join(folder, 'set/cat/d.jpg'), await taken('2024:05:04 00:00:00'));
  await failure('E_CHANGED', ['set'], () => run(folder, { timeFrom: ['exif'] }, specOf(square), store));
});

test('a picture without EXIF data is told, or has the time of its file', async () => {
  const folder = await folderOf({
    'cat/a.jpg': await taken('2024:05:03 00:00:00'),
    'dog/b.png': undefined,
    'dog/c.jpg': await taken('unknown'),
  });
  const error = await failure('E_SOURCE', ['set/dog/', 'DateTimeOriginal'], () => run(folder, { timeFrom: ['exif'] }));
  assert.match(error.hint ?? '', '[exif, mtime]');
  const { store } = await run(folder, { timeFrom: ['exif', 'mtime'] });
  assert.equal(store.timestamps, [1_000_000, 1_000_000, Date.UTC(2024, 4, 3)]);
});

test('files that are no pictures have no EXIF data either', async () => {
  for (const content of ['', 'x', '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>']) {
    const folder = await folderOf({ 'cat/a.jpg': Buffer.from(content) });
    await failure('E_SOURCE', ['set/cat/a.jpg', content === '' ? 'the file is empty' : 'neither JPEG, PNG nor WebP'], () =>
      run(folder, { timeFrom: ['exif'] }),
    );
  }
  const whole = await taken('2024:05:03 00:00:00');
  for (const end of [20, 60, 130]) {
    const folder = await folderOf({ 'cat/a.jpg': whole.subarray(0, end) });
    await failure('E_SOURCE', ['set/cat/a.jpg'], () => run(folder, { timeFrom: ['exif'] }));
  }
});

test('times of files, although a list has others; paths of a list with EXIF data stay in the folder', async () => {
  const csv = 'path,label,time\na.png,cat,2024-01-01\n';
  const folder = await folderOf({ 'a.png': undefined, 'list.csv': Buffer.from(csv) });
  const { store } = await run(folder, { labels: 'list.csv', timeFrom: ['mtime'] });
  assert.equal(store.timestamps, [1_000_000]);
  const outside = await folderOf({
    '../secret.jpg': await taken('2024:05:03 00:00:00'),
    'list.csv': Buffer.from('path,label\n../secret.jpg,cat\n'),
  });
  await failure('E_SOURCE', ['set', 'a path within'], () => run(outside, { labels: 'list.csv', timeFrom: ['exif'] }));
});

test('paths of a list stay in its folder', async () => {
  for (const path of ['../secret.png', '/etc/passwd', 'x/../../secret.png', '..']) {
    const csv = `path,label,time\n${path},cat,2024-01-01\n`;
    const folder = await folderOf({ 'a.png': undefined, '../secret.png': undefined, 'list.csv': Buffer.from(csv) });
    const skipping = specOf({ ...square, onError: 'skip' });
    await failure('E_SOURCE', ['row 1', 'a path within'], () => run(folder, { labels: 'list.csv' }, skipping));
  }
});

test('a list may name what is no file: a folder, a pipe, nothing', async () => {
  const csv = 'path,label,time\nsub,cat,1\npipe,cat,2\nnone.png,cat,3\na.png,cat,4\n';
  const folder = await folderOf({ 'a.png': undefined, 'sub/b.png': undefined, 'list.csv': Buffer.from(csv) });
  execFileSync('mkfifo', [join(folder, 'set/pipe')]);
  const { result } = await run(folder, { labels: 'list.csv' }, specOf({ ...square, onError: 'skip' }));
  assert.equal(result, { appended: 1, total: 1, parts: 1, skipped: 3 });
});

test('links: to pictures they are followed, in a circle they are told', async () => {
  const folder = await folderOf({ 'cat/a.png': undefined });
  symlinkSync(join(folder, 'set/cat/a.png'), join(folder, 'set/cat/b.png'));
  assert.is((await run(folder)).result.appended, 2);
  symlinkSync('..', join(folder, 'set/cat/up'));
  await failure('E_SOURCE', ['set/cat/up', 'link'], () => run(folder));
});

test('folders that are none, or empty', async () => {
  const folder = await folderOf({ 'cat/a.png': undefined });
  mkdirSync(join(folder, 'empty'));
  await failure('E_SOURCE', ['empty', 'no pictures'], () => run(folder, { path: ['empty'] }));
  await failure('E_NOT_FOUND', ['none'], () => run(folder, { path: ['none'] }));
  await failure('E_SOURCE', ['is not a folder'], () => run(folder, { path: ['set/cat/a.png'] }));
});

/** Keeps no pixels: they are many. */
class LabelStore extends MemoryStore {
  override append(batch: Batch): Promise<number> {
    return super.append({ ...batch, columns: [] });
  }
}

test('a stop between batches loses no picture and doubles none', async () => {
  const files = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`cat/${i + 10}.png`, undefined]));
  const folder = await folderOf({ ...files, 'cat/15.png': new Uint8Array(1), 'cat/33.png': new Uint8Array(1) });
  const form: ImageForm = { image: [1500, 1500, 3], fit: 'stretch', onError: 'skip' };
  const store = new LabelStore();
  store.crash = { at: 2, committed: false };
  await run(folder, {}, specOf(form), store).catch((error: Error) => assert.is(error.message, 'killed'));
  assert.ok(store.labels.length > 0 && store.labels.length < 28);
  store.crash = undefined;
  const { result } = await run(folder, {}, specOf(form), store);
  assert.is(result.total, 28);
  assert.is(result.skipped, 2);
});

test('pictures of a CSV file that is out of order of time', async () => {
  const folder = await folderOf({ 'a.png': await picture({ r: 1, g: 1, b: 1 }, 4, 4), 'b.png': await picture({ r: 2, g: 2, b: 2 }, 4, 4) });
  writeFileSync(join(folder, 'set/list.csv'), 'image,label,time\nb.png,dog,20\na.png,cat,10\n');
  const spec = specOf(square);
  const store = new MemoryStore();
  const source = await openSource({ ...spec, id: 'd', source: { format: 'csv', path: ['set/list.csv'] } }, folder);
  await ingest({ store, source, spec });
  assert.equal(
    store.columns[0]!.filter((_, i) => i % 48 === 0),
    [1, 2],
  );
  truncateSync(join(folder, 'set/b.png'), 30);
  await failure('E_SOURCE', ['row 1', '"b.png"'], () => ingest({ store: new MemoryStore(), source, spec }));
});

test('pictures that come as bytes, out of order of time, are sorted up to a limit', async () => {
  const file = new Uint8Array(2 ** 26);
  async function* read() {
    yield {
      rows: 70,
      columns: { image: new Array(70).fill(file), label: new Array(70).fill('cat'), time: Array.from({ length: 70 }, (_, i) => -i) },
    };
  }
  const source = { parts: async () => [{ name: 'p', fingerprint: '1', read }] };
  await failure('E_SOURCE', ['p: its 70 rows', 'only up to 4 GiB are sorted'], () =>
    ingest({ store: new MemoryStore(), source, spec: specOf(square) }),
  );
});

test('patterns of times', () => {
  assert.is(timeInPath('IMG_{YYYY}{MM}{DD}_{hh}{mm}{ss}')('x/IMG_20240501_123005.jpg'), '2024-05-01T12:30:05Z');
  assert.is(timeInPath('{YYYY}/{MM}/{DD}/*.jpg')('2024/05/01/a.b.jpg'), '2024-05-01T00:00:00Z');
  assert.is(timeInPath('({unix})')('a(1700000000).png'), '1700000000');
  assert.is(timeInPath('{unix}x')('no time'), undefined);
  assert.match(timePatternError('{YYYY}{MM}') ?? '', '{DD}');
  assert.match(timePatternError('{unix}{unix}') ?? '', 'once');
  assert.match(timePatternError('{unix}{QQ}') ?? '', '{QQ}');
  assert.is(timePatternError('{DD}.{MM}.{YYYY}'), undefined);
});

test.run();
