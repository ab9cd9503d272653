import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { timeTaken } from './exif.js';

const test = suite('exif');

type Tag = { tag: number; type: number; count: number; value: number | string };

/** A TIFF file with a first directory and, behind it, another one with the tags. */
function tiff(tags: Tag[], { little = true, pointer = 26, front = '' } = {}): Buffer {
  const place = 26;
  const bytes = Buffer.alloc(place + 2 + 12 * tags.length + 4 + 200);
  const u16 = (value: number, at: number) => (little ? bytes.writeUInt16LE(value, at) : bytes.writeUInt16BE(value, at));
  const u32 = (value: number, at: number) => (little ? bytes.writeUInt32LE(value, at) : bytes.writeUInt32BE(value, at));
  bytes.write(little ? 'II' : 'MM');
  u16(42, 2);
  u32(8, 4);
  const directory = (at: number, entries: Tag[]) => {
    u16(entries.length, at);
    let data = at + 2 + 12 * entries.length + 4;
    for (const [i, { tag, type, count, value }] of entries.entries()) {
      const entry = at + 2 + 12 * i;
      u16(tag, entry);
      u16(type, entry + 2);
      u32(count, entry + 4);
      if (typeof value === 'number') u32(value, entry + 8);
      else if (count <= 4) bytes.write(value, entry + 8, 'latin1');
      else {
        u32(data, entry + 8);
        data += bytes.write(value, data, 'latin1');
      }
    }
  };
  directory(8, [{ tag: 0x8769, type: 4, count: 1, value: pointer }]);
  directory(place, tags);
  return Buffer.concat([Buffer.from(front, 'latin1'), bytes]);
}

const ascii = (tag: number, value: string): Tag => ({ tag, type: 2, count: value.length + 1, value: `${value}\0` });
const taken = ascii(0x9003, '2024:05:01 12:30:00');

test('DateTimeOriginal of either byte order, with or without the name in front', () => {
  for (const little of [true, false])
    for (const front of ['', 'Exif\0\0']) assert.is(timeTaken(tiff([taken], { little, front })), '2024-05-01T12:30:00Z');
});

test('fraction and zone, where they are there and right', () => {
  assert.is(timeTaken(tiff([taken, ascii(0x9011, '+02:00'), ascii(0x9291, '123')])), '2024-05-01T12:30:00.123+02:00');
  assert.is(timeTaken(tiff([taken, ascii(0x9011, '   :  '), ascii(0x9291, ' 7 ')])), '2024-05-01T12:30:00.7Z');
  assert.is(timeTaken(tiff([taken, ascii(0x9291, '1x')])), '2024-05-01T12:30:00Z');
});

test('a camera that does not know the time, and other tags, give none', () => {
  assert.is(timeTaken(tiff([ascii(0x9003, '    :  :     :  :  ')])), undefined);
  assert.is(timeTaken(tiff([ascii(0x9004, '2024:05:01 12:30:00')])), undefined);
  assert.is(timeTaken(tiff([ascii(0x9003, '2024-05-01 12:30:00')])), undefined);
  assert.is(timeTaken(tiff([{ ...taken, type: 7 }])), undefined);
});

test('what points outside, is cut off or turns in circles gives none', () => {
  const whole = tiff([taken]);
  for (let end = 0; end < 26 + 2 + 12 + 4 + 20; end++) assert.is(timeTaken(whole.subarray(0, end)), undefined, `cut at ${end}`);
  for (const pointer of [0, 8, 1e6, 2 ** 32 - 1]) assert.is(timeTaken(tiff([taken], { pointer })), undefined);
  for (const count of [0, 1, 65, 2 ** 32 - 1]) assert.is(timeTaken(tiff([{ ...taken, count }])), undefined);
  const outside = tiff([taken]);
  outside.writeUInt32LE(2 ** 32 - 4, 26 + 2 + 8);
  assert.is(timeTaken(outside), undefined);
  for (const text of ['', 'II', 'II*\0', 'Exif\0\0', 'JUNKJUNKJUNK']) assert.is(timeTaken(Buffer.from(text)), undefined);
});

test('changed bytes never throw', () => {
  const whole = tiff([taken, ascii(0x9011, '+02:00'), ascii(0x9291, '123')]);
  for (let at = 0; at < 120; at++)
    for (const value of [0, 1, 0x7f, 0xff]) {
      const changed = Buffer.from(whole);
      changed[at] = value;
      timeTaken(changed);
    }
});

test.run();
