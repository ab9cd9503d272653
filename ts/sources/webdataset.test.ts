import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import sharp from 'sharp';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MemoryStore, collect, failure, fixturePath, localFile, temporaryFolder } from './fixture.test.helper.js';
import { ingest, openSource } from './ingest.js';
import type { DatasetSpec } from './spec.js';
import { maxMemberBytes } from './tar.js';
import { webdatasetPart } from './webdataset.js';

const test = suite('webdataset');
const folder = temporaryFolder();

type Header = { type?: string; size?: number; prefix?: string; link?: string; magic?: string };

/** A header of POSIX ustar with a good checksum, and the content filled up. */
function member(
  name: string,
  content: string | Buffer = '',
  { type = '0', size, prefix = '', link = '', magic = 'ustar\x0000' }: Header = {},
) {
  const bytes = Buffer.from(content);
  const header = Buffer.alloc(512);
  header.write(name, 0, 100);
  header.write('0000644\0', 100);
  header.write(`${(size ?? bytes.length).toString(8).padStart(11, '0')}\0`, 124);
  header.write('00000000000\0', 136);
  header.write(type, 156);
  header.write(link, 157);
  header.write(magic, 257, 'latin1');
  header.write(prefix, 345);
  return Buffer.concat([sealed(header), bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
}

function sealed(header: Buffer): Buffer {
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}

const pax = (records: Record<string, string>, type = 'x') =>
  member(
    'PaxHeader/x',
    Object.entries(records)
      .map(([key, value]) => {
        const rest = Buffer.byteLength(` ${key}=${value}\n`);
        const length = [1, 2, 3, 4].map((digits) => rest + digits).find((sum) => String(sum).length === sum - rest);
        return `${length} ${key}=${value}\n`;
      })
      .join(''),
    { type },
  );

const end = Buffer.alloc(1024);
const tar = (...members: Buffer[]) => Buffer.concat([...members, end]);

function partOf(content: Uint8Array, name = 'x.tar') {
  writeFileSync(join(folder, name), content);
  return webdatasetPart(localFile(name, join(folder, name)));
}

const refused = (content: Uint8Array, texts: string[], columns = ['txt']) =>
  failure('E_SOURCE', ['x.tar', ...texts], () => collect(partOf(content), columns));

const two = [
  member('a/1.txt', 'first'),
  member('a/1.cls', '1\n'),
  member('a/1.json', '{"time": 5, "user": {"name": "u"}, "box": [[1, 2], [3, 4]]}'),
  member('a/2.cls', '0'),
  member('a/2.seg.png', 'PNG'),
  member('a/2.json', '{"time": 6, "user": null, "box": []}'),
];

for (const format of ['ustar', 'gnu', 'pax']) {
  test(`a shard of Python's tarfile with long names, ${format}`, async () => {
    const name = `shard-${format}.tar.gz`;
    const part = webdatasetPart(localFile(name, fixturePath(name)));
    const found = await collect(part, ['txt', 'cls', 'json.time', 'json.user.name', 'key']);
    assert.equal(found['txt'], ['text 0\n', 'text 1\n', 'text 2\n']);
    assert.equal(found['cls'], ['0', '1', '0']);
    assert.equal(found['json.time'], [1700000000, 1700000001, 1700000002]);
    assert.equal(found['json.user.name'], ['u0', 'u1', 'u2']);
    assert.ok(found['key']!.every((key, i) => String(key).startsWith('set/a-folder') && String(key).endsWith(`é${i}`)));
  });
}

test('members are grouped by name up to the first dot; what a sample lacks is null', async () => {
  for (const content of [tar(...two), gzipSync(tar(...two))]) {
    const found = await collect(partOf(content), ['key', 'txt', 'cls', 'seg.png', 'json.user.name', 'json.box', 'json.time']);
    assert.equal(found, {
      key: ['a/1', 'a/2'],
      txt: ['first', null],
      cls: ['1', '0'],
      'seg.png': [null, Buffer.from('PNG')],
      'json.user.name': ['u', null],
      'json.box': [[1, 2, 3, 4], []],
      'json.time': [5, 6],
    });
  }
});

test('folders, hidden files and names without an ending are no samples; endings in capitals are the same', async () => {
  const others = [member('a/', '', { type: '5' }), member('a/._1.txt', 'x'), member('README', 'x'), member('a/x.', 'x')];
  const found = await collect(partOf(tar(...others, member('./a/1.TXT', 'é'))), ['key', 'txt']);
  assert.equal(found, { key: ['a/1'], txt: ['é'] });
});

test('long names: prefix, pax and GNU; pax sizes and global headers', async () => {
  const long = 'n'.repeat(300);
  const content = tar(
    member('1.txt', 'a', { prefix: 'p'.repeat(155) }),
    pax({ path: `${long}/2.txt`, mtime: '1.5' }),
    member('short.txt', 'b'),
    member('././@LongLink', `${long}/3.txt\0`, { type: 'L' }),
    member('short.txt', 'c', { magic: 'ustar  \0' }),
    pax({ comment: 'x' }, 'g'),
    pax({ size: '3' }),
    member('4.txt', 'ddd', { size: 0 }),
    member('5.txt', 'e', { prefix: 'not a prefix', magic: '\0'.repeat(8) }),
  );
  const { key, txt } = await collect(partOf(content), ['key', 'txt']);
  assert.equal(key, [`${'p'.repeat(155)}/1`, `${long}/2`, `${long}/3`, '4', '5']);
  assert.equal(txt, ['a', 'b', 'c', 'ddd', 'e']);
});

test('names that leave the folder are refused', async () => {
  for (const name of ['/etc/1.txt', '../1.txt', 'a/../../1.txt', 'a/..'])
    await refused(tar(member(name, 'x')), [JSON.stringify(name), 'leaves']);
  await refused(tar(pax({ path: '../1.txt' }), member('1.txt', 'x')), ['leaves']);
});

test('links, devices, pipes, sparse files and unknown kinds are refused', async () => {
  const kinds = { '1': 'hard link', '2': 'symbolic link', '3': 'device', '4': 'device', '6': 'pipe', S: 'sparse', Z: 'unknown type' };
  for (const [type, what] of Object.entries(kinds))
    await refused(tar(member('1.txt', '', { type, link: '/etc/passwd' })), ['"1.txt"', what]);
  await refused(tar(pax({ 'GNU.sparse.major': '1' }), member('1.txt', 'x')), ['sparse']);
});

test('a shard that is cut off anywhere is told', async () => {
  const whole = tar(...two);
  for (let at = 1; at < whole.length - end.length; at += 97) await refused(whole.subarray(0, at), ['cut off']);
  await refused(whole.subarray(0, -end.length), ['cut off']);
  await refused(Buffer.alloc(0), ['cut off']);
  const packed = gzipSync(whole);
  for (const at of [15, packed.length >> 1, packed.length - 1]) await refused(packed.subarray(0, at), []);
});

test('a flipped byte in a header is told', async () => {
  for (const at of [0, 50, 124, 130, 150, 156, 257, 400]) {
    const content = tar(...two);
    content[512 * 2 + at]! ^= 0x41;
    await refused(content, []);
  }
  await refused(Buffer.from('id,click\n'.repeat(200)), ['checksum']);
});

test('changed bytes are told, or change what they are; nothing else happens', async () => {
  const whole = tar(pax({ path: `${'n'.repeat(200)}.txt` }), ...two, member('././@LongLink', 'a/3.txt\0', { type: 'L' }), member('x', 'y'));
  let state = 11;
  for (let i = 0; i < 1500; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const changed = Buffer.from(whole);
    // In every other one the checksum, if it was a header, is good again.
    const at = (state >>> 8) % (whole.length - end.length);
    changed[at] = state >>> 3;
    if (i % 2 === 0) sealed(changed.subarray(at - (at % 512), at - (at % 512) + 512));
    try {
      await collect(partOf(changed), ['key', 'txt', 'json.time']);
    } catch (error) {
      assert.is((error as { code: string }).code, 'E_SOURCE', String(error));
    }
  }
});

test('sizes that are claimed take no memory', async () => {
  await refused(tar(member('1.txt', 'x', { size: 8 ** 11 - 1 })), [`at most ${maxMemberBytes}`]);
  await refused(tar(member('1.bin', 'x', { size: maxMemberBytes })), ['cut off'], ['bin']);
  await refused(tar(member('1.bin', 'x', { size: 8 ** 11 - 1 }), member('2.txt')), ['cut off']);
  await refused(tar(member('x', 'x', { type: 'x', size: 2 ** 21 })), ['extended header']);
  const huge = member('1.txt', 'x');
  huge.fill(0xff, 124, 136);
  sealed(huge.subarray(0, 512));
  await refused(tar(huge), ['no size']);
});

test('a bomb of zeros behind the end is read through, not kept', async () => {
  const content = gzipSync(Buffer.concat([tar(member('1.txt', 'x')), Buffer.alloc(2 ** 26)]));
  assert.equal(await collect(partOf(content), ['txt']), { txt: ['x'] });
});

test('archives behind each other are told: the second would be lost', async () => {
  await refused(Buffer.concat([tar(...two), tar(...two)]), ['behind the end']);
});

test('damaged extended headers are told', async () => {
  for (const content of ['x', '5 a=b', '99 path=x\n', '0 path=x\n', '9 path=x\n\n', '-1 path=x\n', ' path=x\n'])
    await refused(tar(member('x', content, { type: 'x' }), member('1.txt')), ['extended header']);
  for (const size of ['-1', '1e9', '99999999999999999', '']) await refused(tar(pax({ size }), member('1.txt')), ['size']);
  await refused(tar(member('x', Buffer.from('11 path=\xff\xff\n', 'latin1'), { type: 'x' }), member('1.txt')), ['UTF-8']);
});

test('a member that is there twice, is not UTF-8 or not JSON is told by its name', async () => {
  await refused(tar(member('1.txt', 'a'), member('1.txt', 'b')), ['member "1.txt" is there twice']);
  await refused(tar(member('1.txt', Buffer.from([0xe9]))), ['member "1.txt" is not UTF-8']);
  await refused(tar(member('1.json', '{"a":')), ['member "1.json" is not JSON'], ['json.a']);
  await refused(tar(member('1.json', '[1]')), ['member "1.json" is a list, expected a JSON object'], ['json.a']);
  await refused(tar(member('1.json', '{"a": {}}')), ['member "1.json"', "column 'json.a'", 'an object'], ['json.a']);
});

test('a column that is nowhere is told with those that there are', async () => {
  const error = await refused(tar(...two), ["none of its first 2 rows has a 'caption'"], ['caption']);
  assert.match(error.hint ?? '', 'key, txt, cls, json');
});

test('an archive without files has no rows', async () => {
  assert.equal(await collect(partOf(end), ['txt']), { txt: [] });
});

test('reading goes on at any sample', async () => {
  const rows = 3000;
  const members = Array.from({ length: rows }, (_, i) => [member(`${i}.cls`, `${i}`), member(`${i}.bin`, Buffer.alloc(20_000, i))]).flat();
  const part = partOf(tar(...members));
  for (const start of [0, 1, 1700, rows - 1, rows, rows + 5]) {
    const { cls, bin } = await collect(part, ['cls', 'bin'], start);
    assert.is(cls!.length, Math.max(0, rows - start));
    assert.ok(cls!.every((value, i) => value === String(start + i)));
    assert.ok(bin!.every((value, i) => (value as Buffer).length === 20_000 && (value as Buffer)[9] === ((start + i) & 255)));
  }
});

test('pictures, classes and times of shards become samples', async () => {
  const picture = (value: number) => sharp({ create: { width: 2, height: 2, channels: 3, background: { r: value, g: 0, b: 0 } } });
  const shard = async (at: number) =>
    tar(
      member(`${at}.png`, await picture(at).png().toBuffer()),
      member(`${at}.cls`, '1'),
      member(`${at}.json`, `{"taken": "2024-01-0${at}T00:00:00Z"}`),
      member(`${at}b.webp`, await picture(at).webp({ lossless: true }).toBuffer()),
      member(`${at}b.cls`, '0'),
      member(`${at}b.json`, `{"taken": "2024-01-0${at}T01:00:00Z"}`),
    );
  const place = temporaryFolder();
  for (const at of [1, 2]) writeFileSync(join(place, `s-${at}.tar`), await shard(at));
  const spec: DatasetSpec = {
    time: { column: 'json.taken', unit: 'ms' },
    label: { column: 'cls', classes: 2 },
    columns: { image: { image: [1, 1, 3], fit: 'cover', onError: 'fail' } },
  };
  const store = new MemoryStore();
  await ingest({ store, source: await openSource({ ...spec, id: 'x', source: { format: 'webdataset', path: ['s-*.tar'] } }, place), spec });
  assert.equal(store.columns[0], [1, 0, 0, 1, 0, 0, 2, 0, 0, 2, 0, 0]);
  assert.equal(store.labels, [1, 0, 1, 0]);
  assert.is(store.timestamps[3], Date.UTC(2024, 0, 2, 1));
});

test.run();
