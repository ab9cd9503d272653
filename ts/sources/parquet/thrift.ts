// A check of Thrift's compact protocol, in which Parquet writes its footer and page headers. hyparquet allocates lists of
// the length that the bytes claim and follows numbers of any length; after this check both are bounded by the bytes.

/** Thrown where the bytes end too early: more of them may help. */
export class ThriftEndError extends Error {}

const maxDepth = 32;
/** Ten groups of seven bits hold any 64-bit number. */
const maxVarintBytes = 10;

const types = { true: 1, false: 2, byte: 3, i16: 4, i64: 6, double: 7, binary: 8, list: 9, struct: 12 } as const;

/** Walks the struct that begins at `bytes[start]` and returns where it ends. Throws where it is not well formed. */
export function checkStruct(bytes: Uint8Array, start = 0): number {
  const walker = new Walker(bytes, start);
  walker.struct(0);
  return walker.at;
}

class Walker {
  constructor(
    private readonly bytes: Uint8Array,
    public at: number,
  ) {}

  struct(depth: number): void {
    if (depth > maxDepth) throw new Error('structures are nested too deeply');
    for (;;) {
      const head = this.byte();
      if ((head & 15) === 0) return;
      if (head >> 4 === 0) this.varint();
      this.element(head & 15, depth, false);
    }
  }

  private element(type: number, depth: number, inList: boolean): void {
    if (type === types.true || type === types.false) {
      if (inList) this.skip(1);
    } else if (type === types.byte) this.skip(1);
    else if (type >= types.i16 && type <= types.i64) this.varint();
    else if (type === types.double) this.skip(8);
    else if (type === types.binary) this.skip(this.varint());
    else if (type === types.list) this.list(depth + 1);
    else if (type === types.struct) this.struct(depth + 1);
    else throw new Error(`unknown field type ${type}`);
  }

  private list(depth: number): void {
    if (depth > maxDepth) throw new Error('lists are nested too deeply');
    const head = this.byte();
    const size = head >> 4 === 15 ? this.varint() : head >> 4;
    if (size > this.bytes.length - this.at) throw new ThriftEndError(`a list of ${size} elements does not fit`);
    for (let i = 0; i < size; i++) this.element(head & 15, depth, true);
  }

  private byte(): number {
    this.skip(1);
    return this.bytes[this.at - 1]!;
  }

  private skip(count: number): void {
    if (count > this.bytes.length - this.at) throw new ThriftEndError('it ends too early');
    this.at += count;
  }

  private varint(): number {
    let value = 0;
    for (let i = 0; i < maxVarintBytes; i++) {
      const byte = this.byte();
      value += (byte & 127) * 2 ** (7 * i);
      if (byte < 128) return value;
    }
    throw new Error('a number has more than 64 bits');
  }
}
