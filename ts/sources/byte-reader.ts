// Reads a stream of chunks by counts of bytes.

export class ByteReader {
  #chunk: Buffer = Buffer.alloc(0);
  /** Bytes taken so far. */
  at = 0;

  /** `ends` is the message of the error where a count is cut short. */
  constructor(
    private readonly chunks: AsyncIterator<Buffer>,
    private readonly ends: string,
  ) {}

  async atEnd(): Promise<boolean> {
    while (this.#chunk.length === 0) {
      const { done, value } = await this.chunks.next();
      if (done) return true;
      this.#chunk = value;
    }
    return false;
  }

  /** Exactly so many bytes, perhaps a slice of a chunk. Throws where the stream ends before. */
  async take(count: number): Promise<Buffer> {
    if (this.#chunk.length >= count) return this.#cut(count);
    const pieces: Buffer[] = [];
    for await (const piece of this.pieces(count)) pieces.push(piece);
    return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
  }

  /** As take(), piece by piece as they come. */
  async *pieces(count: number): AsyncGenerator<Buffer> {
    for (let missing = count; missing > 0; ) {
      if (await this.atEnd()) throw new Error(this.ends);
      const piece = this.#cut(missing);
      missing -= piece.length;
      yield piece;
    }
  }

  /** What is there of the current chunk; for where atEnd() said that there is more. */
  next(): Buffer {
    return this.#cut(this.#chunk.length);
  }

  async skip(count: number): Promise<void> {
    if (this.#chunk.length >= count) this.#cut(count);
    else for await (const _ of this.pieces(count));
  }

  /** At most so many bytes of the current chunk. */
  #cut(count: number): Buffer {
    const piece = this.#chunk.subarray(0, count);
    this.#chunk = this.#chunk.subarray(piece.length);
    this.at += piece.length;
    return piece;
  }
}
