// A user's own function that parses samples, on both sides: the queue that a training is given, and the loop of a worker thread
// that takes chunks of samples from it. Samples cross the border by the chunk, as one buffer with offsets.
import { setImmediate } from 'node:timers/promises';
import { SluiceError } from '../errors.js';
import { native } from './call.js';
import type { ParserHandle, RawParseChunk, RawParsed, RawParsedShape } from './raw.js';

/** Lengths of what each sample gives; categorical: rows of each table, values: the shape of the tensor. */
export type ParsedShape = RawParsedShape;

export type ParserCall = { key: number; timeMs: number; training: boolean; epoch: number; seed: number };
export type Parsed = { [K in keyof RawParsed]?: ArrayLike<number> | undefined };

export class ParserQueue {
  readonly handle: ParserHandle;

  /** `name` of the module, for messages; a chunk that takes longer than `seconds` ends the training with E_PARSER. */
  constructor(name: string, shape: ParsedShape, seconds: number) {
    this.handle = native((addon) => addon.parser_create(name, shape, seconds));
  }

  /** By which worker threads find it. */
  get number(): number {
    return native((addon) => addon.parser_number(this.handle));
  }

  /** No worker will come any more: trainings that wait, now or later, reject with E_PARSER. */
  fail(message: string): void {
    native((addon) => addon.parser_fail(this.handle, shortened(message)));
  }

  /** Ends the loops of its workers. Idempotent. */
  close(): void {
    native((addon) => addon.parser_close(this.handle));
  }
}

/** What the core takes as a message. JSON.parse() quotes what it cannot read, NUL bytes included. */
const shortened = (message: string): string => message.slice(0, 1000).replaceAll('\0', '\\0');

/** Longer than this no worker is out of reach of an end of its thread. */
const waitMs = 100;

/** Parses chunks of the queue with this number until it is closed. */
export async function serveParser(
  number: number,
  shape: ParsedShape,
  parse: (bytes: Uint8Array, sample: ParserCall) => Parsed,
): Promise<void> {
  for (;;) {
    const chunk = takeChunk(number);
    if (chunk === 'closed') return;
    if (chunk !== null) parseChunk(number, shape, chunk, parse);
    // What the user's code has printed gets out in between.
    await setImmediate();
  }
}

function takeChunk(number: number): RawParseChunk | null | 'closed' {
  try {
    return native((addon) => addon.parser_take(number, waitMs));
  } catch (error) {
    if (error instanceof SluiceError && error.code === 'E_CLOSED') return 'closed';
    throw error;
  }
}

function parseChunk(
  number: number,
  shape: ParsedShape,
  chunk: RawParseChunk,
  parse: (bytes: Uint8Array, sample: ParserCall) => Parsed,
): void {
  const rows = chunk.keys.length;
  const lengths = lengthsOf(shape);
  const results: RawParsed = {
    dense: new Float32Array(rows * lengths.dense),
    categorical: new Int32Array(rows * lengths.categorical),
    values: new Float32Array(rows * lengths.values),
    ids: new Int32Array(rows * lengths.ids),
  };
  for (let row = 0; row < rows; row++) {
    try {
      const parsed = parse(chunk.bytes.subarray(chunk.offsets[row], chunk.offsets[row + 1]), sampleOf(chunk, row));
      store(parsed, row, lengths, results);
    } catch (error) {
      const message = (error instanceof Error ? error.message : String(error)) || 'it threw an error without a message';
      native((addon) => addon.parser_reject(number, chunk.chunk, row, shortened(message)));
      return;
    }
  }
  native((addon) => addon.parser_give(number, chunk.chunk, rows, results));
}

type Lengths = Record<keyof RawParsed, number>;

const lengthsOf = ({ dense, categorical, values, ids }: ParsedShape): Lengths => ({
  dense,
  categorical: categorical.length,
  values: values.length === 0 ? 0 : values.reduce((product, side) => product * side, 1),
  ids,
});

function sampleOf(chunk: RawParseChunk, row: number): ParserCall {
  const key = Number(chunk.keys[row]);
  const { training, epoch } = chunk;
  return { key, timeMs: Number(chunk.timestamps[row]), training, epoch, seed: mix(mix(mix(0, chunk.seed), epoch), key) };
}

/** A step of MurmurHash3's 32-bit mixing over both halves of a number below 2^53. */
function mix(state: number, value: number): number {
  let h = state;
  for (const half of [value >>> 0, Math.floor(value / 2 ** 32)]) {
    h ^= Math.imul(half, 0xcc9e2d51);
    h = Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64;
    h ^= h >>> 16;
    h = Math.imul(h, 0x85ebca6b);
    h ^= h >>> 13;
  }
  return h >>> 0;
}

function store(parsed: Parsed, row: number, lengths: Lengths, results: RawParsed): void {
  if (typeof parsed !== 'object' || parsed === null) throw new Error(`parse returned ${parsed === null ? 'null' : `a ${typeof parsed}`}`);
  if (typeof (parsed as { then?: unknown }).then === 'function') throw new Error('parse returned a promise; it must not be async');
  for (const field of ['dense', 'categorical', 'values', 'ids'] as const) {
    const given = parsed[field] ?? undefined;
    const length = lengths[field];
    if (given?.length !== length && !(given === undefined && length === 0)) {
      const found = given === undefined ? 'none' : typeof given.length === 'number' ? String(given.length) : 'no list';
      throw new Error(`expected ${length} numbers in ${field}, as features.parse says, got ${found}`);
    }
    if (given === undefined || length === 0) continue;
    if (field === 'categorical' || field === 'ids') checkWhole(given, field);
    results[field].set(given, row * length);
  }
}

function checkWhole(list: ArrayLike<number>, field: string): void {
  if (list instanceof Int32Array || list instanceof Uint16Array || list instanceof Uint8Array) return;
  for (let i = 0; i < list.length; i++) {
    const value = list[i] as number;
    if (!Number.isInteger(value) || value < 0 || value > 0x7fffffff) {
      throw new Error(`${field}[${i}]: expected a whole number from 0 to 2147483647, got ${value}`);
    }
  }
}
