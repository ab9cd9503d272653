import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { murmur3 } from './murmur3.js';

// scikit-learn: murmurhash3_32(text.encode(), positive=True)
const known: [string, number][] = [
  ['', 0],
  ['hello', 0x248bfa47],
  ['hello, world', 0x149bbb7f],
  ['The quick brown fox jumps over the lazy dog', 0x2e4ff723],
  ['a', 1009084850],
  ['ab', 2613040991],
  ['abc', 3017643002],
  ['abcd', 1139631978],
  ['68fd1e64', 3244443809],
  ['é', 269551495],
  ['日本語 text', 343552579],
  ['(missing)', 4009516983],
];

test('hashes are those of other programs, also of text beyond ASCII', () => {
  for (const [text, hash] of known) assert.is(murmur3(text), hash, text);
});

test.run();
