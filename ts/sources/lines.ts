// A text file as blocks of whole lines.
import { SluiceError } from '../errors.js';
import { bytesOf, unreadable } from './bytes.js';
import type { SourceFile } from './files.js';

/** A line is in memory as a whole: one that has no end must not fill it. */
export const maxLineBytes = 2 ** 24;

/** Whole lines, the last one perhaps without a line end. `line`: number of the first one, from 1. */
export type LineBlock = { bytes: Buffer; line: number };

/** The file's blocks, some hundred kilobytes each. E_SOURCE where it cannot be read, or a line is longer than maxLineBytes. */
export async function* lineBlocks(file: SourceFile): AsyncGenerator<LineBlock> {
  let [line, waiting] = [1, 0];
  let pieces: Buffer[] = [];
  try {
    for await (const chunk of bytesOf(file)) {
      const end = chunk.lastIndexOf(10) + 1;
      if (end > 0) {
        checkLength(waiting + chunk.indexOf(10), line, file.name);
        const bytes = waiting === 0 ? chunk.subarray(0, end) : Buffer.concat([...pieces, chunk.subarray(0, end)]);
        yield { bytes, line };
        line += countLines(bytes);
        [pieces, waiting] = [[], 0];
      }
      if (end < chunk.length) pieces.push(chunk.subarray(end));
      waiting += chunk.length - end;
      checkLength(waiting, line, file.name);
    }
  } catch (error) {
    throw unreadable(file.name, error);
  }
  if (waiting > 0) yield { bytes: Buffer.concat(pieces), line };
}

function checkLength(bytes: number, line: number, name: string): void {
  if (bytes <= maxLineBytes) return;
  throw new SluiceError('E_SOURCE', `${name}:${line}: the line is longer than ${maxLineBytes} bytes`, {
    hint: 'the file may be damaged, or not be made of lines',
  });
}

/** Line ends in `bytes`. */
export function countLines(bytes: Uint8Array): number {
  let lines = 0;
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) lines++;
  return lines;
}
