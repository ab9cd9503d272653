// MurmurHash3, x86, 32 bits (Appleby, 2011, public domain algorithm), seed 0: mmh3.hash(text, signed=False) of Python.

const [c1, c2] = [0xcc9e2d51, 0x1b873593];

const mixed = (k: number): number => {
  const product = Math.imul(k, c1);
  return Math.imul((product << 15) | (product >>> 17), c2);
};

const step = (hash: number, k: number): number => {
  const h = hash ^ mixed(k);
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
};

function finish(hash: number, length: number): number {
  let h = hash ^ length;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Hash of the text's UTF-8 bytes, 0 … 2^32 - 1. */
export function murmur3(text: string): number {
  const { length } = text;
  let hash = 0;
  let at = 0;
  let bits = 0;
  for (; at + 4 <= length; at += 4) {
    const [a, b, c, d] = [text.charCodeAt(at), text.charCodeAt(at + 1), text.charCodeAt(at + 2), text.charCodeAt(at + 3)];
    bits |= a | b | c | d;
    hash = step(hash, a | (b << 8) | (c << 16) | (d << 24));
  }
  let k = 0;
  for (let i = length - 1; i >= at; i--) {
    const unit = text.charCodeAt(i);
    bits |= unit;
    k = (k << 8) | unit;
  }
  // Only of ASCII are the characters the bytes.
  return bits < 128 ? finish(hash ^ mixed(k), length) : ofBytes(Buffer.from(text));
}

function ofBytes(bytes: Buffer): number {
  let hash = 0;
  let at = 0;
  for (; at + 4 <= bytes.length; at += 4) hash = step(hash, bytes.readInt32LE(at));
  let k = 0;
  for (let i = bytes.length - 1; i >= at; i--) k = (k << 8) | bytes[i]!;
  return finish(hash ^ mixed(k), bytes.length);
}
