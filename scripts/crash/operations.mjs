// The record that faults.c writes of a program's operations on files, and marks of whoever watches it.
import { appendFileSync, readFileSync } from 'node:fs';

/** As in faults.c; a mark is written by the harness. */
export const types = { create: 1, write: 2, size: 3, sync: 4, rename: 5, exchange: 6, remove: 7, link: 8, mark: 100 };
const headerBytes = 40;

/** Adds a mark to the record, in one write, so that it stands between two operations: what it tells was true before those behind it. */
export function mark(log, what) {
  const text = Buffer.from(JSON.stringify(what));
  const header = Buffer.alloc(headerBytes);
  header.writeUInt32LE(headerBytes + text.length, 0);
  header.writeUInt32LE(types.mark, 4);
  appendFileSync(log, Buffer.concat([header, text]));
}

/** The operations in order. `inode`, `offset`, `length` and `flags` as in faults.c; paths are relative to the folder. */
export function* readOperations(log) {
  const bytes = readFileSync(log);
  for (let at = 0; at < bytes.length; ) {
    const header = bytes.subarray(at, at + headerBytes);
    const end = at + header.readUInt32LE(0);
    const type = header.readUInt32LE(4);
    const [firstLength, secondLength] = [header.readUInt16LE(36), header.readUInt16LE(38)];
    const paths = at + headerBytes;
    const data = paths + firstLength + secondLength;
    yield {
      type,
      inode: Number(header.readBigUInt64LE(8)),
      offset: Number(header.readBigUInt64LE(16)),
      length: Number(header.readBigUInt64LE(24)),
      flags: header.readUInt32LE(32),
      first: bytes.toString('utf8', paths, paths + firstLength),
      second: bytes.toString('utf8', paths + firstLength, data),
      data: bytes.subarray(data, end),
      ...(type === types.mark ? { mark: JSON.parse(bytes.toString('utf8', data, end)) } : {}),
    };
    at = end;
  }
}
