// Values of the Kafka protocol (kafka.apache.org/protocol): big-endian numbers, strings and arrays with their length before them. From some
// version on a request is flexible (KIP-482): lengths are varints, and structures end with tagged fields.

/** What a broker sent cannot be read. */
export class WireError extends Error {}

const cutOff = () => new WireError('it is cut off');

export class WireReader {
  at = 0;

  constructor(
    readonly bytes: Buffer,
    readonly flexible: boolean,
  ) {}

  get left(): number {
    return this.bytes.length - this.at;
  }

  int8(): number {
    return this.bytes.readInt8(this.skip(1));
  }

  int16(): number {
    return this.bytes.readInt16BE(this.skip(2));
  }

  int32(): number {
    return this.bytes.readInt32BE(this.skip(4));
  }

  /** As a number: offsets and ids of producers lie far below 2^53. */
  int64(): number {
    const at = this.skip(8);
    return this.bytes.readInt32BE(at) * 2 ** 32 + this.bytes.readUInt32BE(at + 4);
  }

  /** Below 2^32. */
  uvarint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.bytes[this.skip(1)]!;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new WireError('a number in it is too long');
  }

  /** As hexadecimal digits; null where it is zero. */
  uuid(): string | null {
    const at = this.skip(16);
    const digits = this.bytes.toString('hex', at, at + 16);
    return /^0+$/.test(digits) ? null : digits;
  }

  string(): string | null {
    const length = this.flexible ? this.uvarint() - 1 : this.int16();
    if (length < 0) return null;
    const at = this.skip(length);
    return this.bytes.toString('utf8', at, at + length);
  }

  /** A view; null is empty. */
  blob(): Buffer {
    const length = Math.max(0, this.flexible ? this.uvarint() - 1 : this.int32());
    const at = this.skip(length);
    return this.bytes.subarray(at, at + length);
  }

  /** null is empty. */
  array<T>(read: () => T): T[] {
    const count = this.flexible ? this.uvarint() - 1 : this.int32();
    // Each has at least a byte.
    if (count > this.left) throw cutOff();
    return Array.from({ length: Math.max(0, count) }, read);
  }

  /** Tagged fields at the end of a flexible structure, each handed to `read` with a reader of its own. */
  tags(read?: (tag: number, field: WireReader) => void): void {
    if (!this.flexible) return;
    for (let n = this.uvarint(); n > 0; n--) {
      const tag = this.uvarint();
      const length = this.uvarint();
      const at = this.skip(length);
      read?.(tag, new WireReader(this.bytes.subarray(at, at + length), true));
    }
  }

  /** Goes so many bytes on; returns where it was. */
  skip(bytes: number): number {
    const at = this.at;
    if (bytes > this.left) throw cutOff();
    this.at = at + bytes;
    return at;
  }
}

export class WireWriter {
  #bytes = Buffer.alloc(256);
  #length = 0;

  constructor(readonly flexible: boolean) {}

  /** A view of what was written. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  int8(value: number): this {
    const at = this.#grow(1);
    this.#bytes.writeInt8(value, at);
    return this;
  }

  int16(value: number): this {
    const at = this.#grow(2);
    this.#bytes.writeInt16BE(value, at);
    return this;
  }

  int32(value: number): this {
    const at = this.#grow(4);
    this.#bytes.writeInt32BE(value, at);
    return this;
  }

  int64(value: number): this {
    const at = this.#grow(8);
    this.#bytes.writeBigInt64BE(BigInt(value), at);
    return this;
  }

  uvarint(value: number): this {
    for (; value >= 0x80; value = Math.floor(value / 0x80)) this.#byte((value % 0x80) | 0x80);
    return this.#byte(value);
  }

  /** 32 hexadecimal digits. */
  uuid(digits: string): this {
    return this.#raw(Buffer.from(digits, 'hex'));
  }

  string(text: string): this {
    const bytes = Buffer.from(text);
    if (this.flexible) this.uvarint(bytes.length + 1);
    else this.int16(bytes.length);
    return this.#raw(bytes);
  }

  blob(bytes: Buffer): this {
    if (this.flexible) this.uvarint(bytes.length + 1);
    else this.int32(bytes.length);
    return this.#raw(bytes);
  }

  array<T>(values: readonly T[], write: (value: T) => void): this {
    if (this.flexible) this.uvarint(values.length + 1);
    else this.int32(values.length);
    for (const value of values) write(value);
    return this;
  }

  /** No tagged fields. */
  tags(): this {
    return this.flexible ? this.uvarint(0) : this;
  }

  #raw(bytes: Buffer): this {
    const at = this.#grow(bytes.length);
    bytes.copy(this.#bytes, at);
    return this;
  }

  #byte(value: number): this {
    const at = this.#grow(1);
    this.#bytes[at] = value;
    return this;
  }

  /** Room for so many bytes; returns its place. The buffer may be another one then. */
  #grow(bytes: number): number {
    const at = this.#length;
    this.#length += bytes;
    if (this.#length > this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes], 2 * this.#length);
    return at;
  }
}
