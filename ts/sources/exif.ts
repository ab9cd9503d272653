// When a photo was taken, from its EXIF data: a small TIFF file, of which only three tags are looked at. Nothing in it is
// trusted. Exif 2.32 (CIPA DC-008-2019), sections 4.5 and 4.6.

const exifIfd = 0x8769;
const dateTimeOriginal = 0x9003;
const offsetTimeOriginal = 0x9011;
const subSecTimeOriginal = 0x9291;
const types = { ascii: 2, long: 4 };
const entryBytes = 12;
/** Of a text: a date has 20. */
const maxTextBytes = 64;

/**
 * DateTimeOriginal as ISO 8601 text, with its fraction and zone where they are there; undefined where it is not. `block`: what follows
 * JPEG's APP1 marker, with or without 'Exif\0\0' in front. Cameras write blanks for a time that they do not know.
 */
export function timeTaken(block: Buffer): string | undefined {
  const tiff = new Tiff(block.toString('latin1', 0, 6) === 'Exif\0\0' ? block.subarray(6) : block);
  const place = tiff.long(tiff.first(), exifIfd);
  if (place === undefined) return undefined;
  const match = /^(\d{4}):(\d\d):(\d\d) (\d\d:\d\d:\d\d)$/.exec(tiff.text(place, dateTimeOriginal) ?? '');
  if (match === null) return undefined;
  const [, year, month, day, time] = match;
  const fraction = /^\d{1,9}$/.exec(tiff.text(place, subSecTimeOriginal) ?? '')?.[0];
  const zone = /^[+-]\d\d:\d\d$/.exec(tiff.text(place, offsetTimeOriginal) ?? '')?.[0];
  return `${year}-${month}-${day}T${time}${fraction === undefined ? '' : `.${fraction}`}${zone ?? 'Z'}`;
}

class Tiff {
  readonly #little: boolean;

  constructor(private readonly bytes: Buffer) {
    this.#little = bytes.toString('latin1', 0, 2) === 'II';
  }

  /** Where the first directory lies; undefined where this is no TIFF file. */
  first(): number | undefined {
    const order = this.bytes.toString('latin1', 0, 2);
    return (order === 'II' || order === 'MM') && this.#u16(2) === 42 ? this.#u32(4) : undefined;
  }

  long(directory: number | undefined, tag: number): number | undefined {
    const entry = this.#entry(directory, tag, types.long);
    return entry === undefined ? undefined : this.#u32(entry + 8);
  }

  /** Up to the first NUL, without blanks around. */
  text(directory: number, tag: number): string | undefined {
    const entry = this.#entry(directory, tag, types.ascii);
    const length = entry === undefined ? undefined : this.#u32(entry + 4);
    if (entry === undefined || length === undefined || length > maxTextBytes) return undefined;
    const at = length <= 4 ? entry + 8 : this.#u32(entry + 8);
    if (at === undefined || at + length > this.bytes.length) return undefined;
    return this.bytes
      .toString('latin1', at, at + length)
      .split('\0', 1)[0]!
      .trim();
  }

  /** Where the tag's entry lies, if it is there and of that type. */
  #entry(directory: number | undefined, tag: number, type: number): number | undefined {
    if (directory === undefined) return undefined;
    const entries = this.#u16(directory) ?? 0;
    for (let i = 0, at = directory + 2; i < entries && at + entryBytes <= this.bytes.length; i++, at += entryBytes)
      if (this.#u16(at) === tag) return this.#u16(at + 2) === type ? at : undefined;
    return undefined;
  }

  #u16(at: number): number | undefined {
    if (at + 2 > this.bytes.length) return undefined;
    return this.#little ? this.bytes.readUInt16LE(at) : this.bytes.readUInt16BE(at);
  }

  #u32(at: number): number | undefined {
    if (at + 4 > this.bytes.length) return undefined;
    return this.#little ? this.bytes.readUInt32LE(at) : this.bytes.readUInt32BE(at);
  }
}
