// The members of a tar archive (POSIX ustar and pax, GNU), one after the other, as a stream. Nothing in it is trusted.
// https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13
import { isUtf8 } from 'node:buffer';
import { ByteReader } from './byte-reader.js';

const blockBytes = 512;
/** Of an extended header: a name, and what else a writer keeps there. */
const maxHeaderBytes = 2 ** 20;
/** Of a member that is read: it is in memory as a whole. */
export const maxMemberBytes = 2 ** 28;

/** A file of the archive. content() reads it, at once or never. */
export type TarMember = { name: string; size: number; content(): Promise<Buffer> };

/** What an extended header says of the next member. */
type Extended = { path?: string; size?: number };

/**
 * The regular files; folders are left out. Throws where the archive is cut off or damaged, for links, devices and
 * sparse files, and for names that are absolute or climb up. Memory is bounded by what content() is asked for.
 */
export async function* tarMembers(chunks: AsyncIterator<Buffer>): AsyncGenerator<TarMember> {
  const reader = new ByteReader(chunks, 'the archive is cut off');
  let global: Extended = {};
  let next: Extended = {};
  for (;;) {
    const header = await reader.take(blockBytes);
    if (header.every((byte) => byte === 0)) return await checkEnd(reader);
    const { type, size: claimed } = parseHeader(header, reader.at - blockBytes);
    if (type === 'x' || type === 'g' || type === 'L' || type === 'K') {
      const bytes = await extendedHeader(reader, claimed);
      if (type === 'g') global = { ...global, ...records(bytes) };
      else if (type === 'x') next = { ...next, ...records(bytes) };
      else if (type === 'L') next = { ...next, path: text(bytes) };
      continue;
    }
    const path = next.path ?? global.path ?? nameIn(header);
    const size = next.size ?? global.size ?? claimed;
    next = {};
    if (type === '5') {
      await reader.skip(padded(size));
      continue;
    }
    checkKind(type, path);
    yield* member(reader, safe(path), size);
  }
}

async function* member(reader: ByteReader, name: string, size: number): AsyncGenerator<TarMember> {
  const start = reader.at;
  const content = async () => {
    if (size > maxMemberBytes) throw new Error(`member ${shown(name)} claims ${size} bytes, at most ${maxMemberBytes} are read`);
    // A copy: a slice would keep the whole chunk of the file in memory.
    return Buffer.from(await reader.take(size));
  };
  yield { name, size, content };
  await reader.skip(padded(size) - (reader.at - start));
}

const padded = (size: number): number => Math.ceil(size / blockBytes) * blockBytes;

const shown = (name: string): string => JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}…` : name);

/** Behind the first block of zeros there are only zeros: another archive there would be lost without a word. */
async function checkEnd(reader: ByteReader): Promise<void> {
  while (!(await reader.atEnd())) {
    if (reader.next().some((byte) => byte !== 0))
      throw new Error('more data lies behind the end of the archive; was it made with cat of several?');
  }
}

function parseHeader(header: Buffer, at: number): { type: string; size: number } {
  const stored = octal(header, 148, 8);
  let sum = 8 * 32;
  for (let i = 0; i < blockBytes; i++) if (i < 148 || i >= 156) sum += header[i]!;
  if (stored !== sum) throw new Error(`at byte ${at} lies no header of a member: its checksum is wrong`);
  const size = header[124]! & 0x80 ? binary(header, 124, 12) : octal(header, 124, 12);
  if (!Number.isSafeInteger(size)) throw new Error(`the header at byte ${at} has no size that can be read`);
  const type = header[156] === 0 ? '0' : String.fromCharCode(header[156]!);
  return { type, size };
}

/** Not to be asked for where an extended header has the name: what is left of it here may end within a character. */
function nameIn(header: Buffer): string {
  const name = text(header.subarray(0, 100));
  const prefix = header.toString('latin1', 257, 263) === 'ustar\0' ? text(header.subarray(345, 500)) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

/** NaN where it is none. */
function octal(header: Buffer, at: number, length: number): number {
  const digits = header
    .toString('latin1', at, at + length)
    .replace(/[\0 ]+$/, '')
    .trimStart();
  if (digits === '') return 0;
  return /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number.NaN;
}

/** GNU's form of large sizes: big-endian, the highest bit set. NaN beyond 2^53. */
function binary(header: Buffer, at: number, length: number): number {
  let value = header[at]! & 0x7f;
  for (let i = at + 1; i < at + length; i++) value = value * 256 + header[i]!;
  return Number.isSafeInteger(value) ? value : Number.NaN;
}

/** Up to the first NUL. */
function text(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  const content = end < 0 ? bytes : bytes.subarray(0, end);
  if (!isUtf8(content)) throw new Error(`the name ${shown(content.toString('latin1'))} is not UTF-8 text`);
  return content.toString();
}

async function extendedHeader(reader: ByteReader, size: number): Promise<Buffer> {
  if (size > maxHeaderBytes) throw new Error(`an extended header claims ${size} bytes, at most ${maxHeaderBytes} are read`);
  return (await reader.take(padded(size))).subarray(0, size);
}

/** pax records: '<length> <key>=<value>\n'. */
function records(bytes: Buffer): Extended {
  const found: Extended = {};
  for (let at = 0; at < bytes.length; ) {
    const blank = bytes.indexOf(32, at);
    const digits = bytes.toString('latin1', at, Math.max(at, Math.min(blank, at + 8)));
    const end = at + (/^[1-9]\d*$/.test(digits) ? Number(digits) : Number.NaN);
    if (!(end > blank + 1 && end <= bytes.length && bytes[end - 1] === 10)) throw new Error('an extended header is damaged');
    const record = bytes.subarray(blank + 1, end - 1);
    const equals = record.indexOf(61);
    const [key, value] = [record.toString('latin1', 0, Math.max(0, equals)), record.subarray(equals + 1)];
    if (key === 'path') found.path = text(value);
    else if (key === 'size') found.size = sizeOf(value.toString('latin1'));
    else if (key.startsWith('GNU.sparse')) throw new Error('the archive has a sparse file, which is not supported');
    at = end;
  }
  return found;
}

function sizeOf(value: string): number {
  const size = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
  if (!Number.isSafeInteger(size)) throw new Error(`an extended header has the size ${shown(value)}`);
  return size;
}

const kinds: Record<string, string> = {
  '1': 'a hard link',
  '2': 'a symbolic link',
  '3': 'a device',
  '4': 'a device',
  '6': 'a pipe',
  S: 'a sparse file',
};

function checkKind(type: string, name: string): void {
  if (type === '0' || type === '7') return;
  throw new Error(`member ${shown(name)} is ${kinds[type] ?? `of the unknown type ${shown(type)}`}, expected a file`);
}

/** Without ./ in front. A name is never a path on this machine, but one that climbs was not made by a fair writer. */
function safe(path: string): string {
  const steps = path.split('/');
  if (path.startsWith('/') || steps.includes('..') || path.includes('\0'))
    throw new Error(`member ${shown(path)} leaves the archive's folder`);
  return steps.filter((step) => step !== '.' && step !== '').join('/');
}
