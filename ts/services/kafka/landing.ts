// From records to samples: they are appended in pieces, each with the offsets at which reading goes on behind it. A record that cannot be taken is
// told and passed over: those after it must not wait for ever.
import { SluiceError } from '../../errors.js';
import type { DatasetSpec } from '../../sources/spec.js';
import type { Inlet } from '../inlet.js';
import { isRefusal, parseRows, requestName, toBatch } from '../rows.js';
import { batchesOf, type Record as KafkaRecord } from './record-batch.js';
import type { Arrived, Position } from './topic-reader.js';

export type LandingOptions = {
  config: { topic: string /** Records that are appended together at most. */; batch: number };
  inlet: Inlet;
  spec: DatasetSpec;
  onSamples(samples: number): void;
  onLag(partition: number, records: number): void;
  onProblem(error: SluiceError): void;
};

/** State entries that keep positions. */
type Entries = (positions: ReadonlyMap<number, Position>) => Record<string, string>;

type Row = Record<string, unknown>;
type Taken = { record: KafkaRecord; rows: Row[] };

/** Records are appended together up to about this many bytes. */
const maxPieceBytes = 2 ** 23;

export class Landing {
  readonly #options: LandingOptions;
  readonly #entries: Entries;
  #underWay: Promise<void> = Promise.resolve();

  constructor(options: LandingOptions, entries: Entries) {
    this.#options = options;
    this.#entries = entries;
  }

  /** Resolves once all that can be taken is durable. A piece is parsed while the one before is appended. When it rejects, nothing is under way. */
  async take(arrived: readonly Arrived[]): Promise<void> {
    const { config, onLag } = this.#options;
    try {
      let piece = new Piece();
      for (const { fetched, end } of arrived) {
        const { partition } = fetched;
        for (const { firstOffset, lastOffset, leaderEpoch: epoch, records, problem } of batchesOf(fetched)) {
          if (problem !== undefined) piece.refused.add(partition, firstOffset, lastOffset, new SluiceError('E_SOURCE', problem));
          for (const record of records) {
            piece.add(record);
            if (piece.records < config.batch && piece.bytes < maxPieceBytes) continue;
            piece.positions.set(partition, { offset: record.offset + 1, epoch });
            await this.#land(piece);
            piece = new Piece();
          }
          piece.positions.set(partition, { offset: lastOffset + 1, epoch });
        }
        piece.positions.set(partition, end);
      }
      await this.#land(piece);
      await this.#underWay;
    } finally {
      await this.#underWay.catch(() => {});
    }
    for (const { fetched, end, highWatermark } of arrived) onLag(fetched.partition, Math.max(0, highWatermark - end.offset));
  }

  /** Begins once the piece before is durable. */
  async #land(piece: Piece): Promise<void> {
    await this.#underWay;
    this.#underWay = this.#append(piece);
    this.#underWay.catch(() => {});
  }

  async #append({ taken, refused, positions }: Piece): Promise<void> {
    this.#tell(refused);
    if (await this.#tryAppend(taken, positions)) return;
    const more = new Refusals();
    await this.#divide(taken, more);
    this.#tell(more);
    await this.#tryAppend([], positions);
  }

  /** Appends what can be taken of records that cannot be taken together. */
  async #divide(taken: readonly Taken[], refused: Refusals): Promise<void> {
    const half = taken.length >> 1;
    for (const part of [taken.slice(0, half), taken.slice(half)]) {
      if (part.length === 0) continue;
      const positions = new Map(part.map(({ record }) => [record.partition, { offset: record.offset + 1, epoch: -1 }]));
      const { partition, offset } = part[0]!.record;
      const refusal = await this.#refusal(part, positions);
      if (refusal === undefined) refused.part();
      else if (part.length === 1) refused.add(partition, offset, offset, refusal);
      else await this.#divide(part, refused);
    }
  }

  async #tryAppend(taken: readonly Taken[], positions: ReadonlyMap<number, Position>): Promise<boolean> {
    return (await this.#refusal(taken, positions)) === undefined;
  }

  /** Appends records, or says why they cannot be taken. */
  async #refusal(taken: readonly Taken[], positions: ReadonlyMap<number, Position>): Promise<SluiceError | undefined> {
    const { inlet, spec, onSamples } = this.#options;
    try {
      const rows = taken.flatMap((one) => one.rows);
      await inlet.append(toBatch(rows, spec), this.#entries(positions));
      if (rows.length > 0) onSamples(rows.length);
      return undefined;
    } catch (error) {
      if (taken.length > 0 && isRefusal(error)) return error;
      throw error;
    }
  }

  #tell(refused: Refusals): void {
    const { config, onProblem } = this.#options;
    for (const { partition, first, last, records, error } of refused.all) {
      const where = records === 1 && first === last ? `offset ${first}` : `offsets ${first} to ${last}`;
      const more = records === 1 ? '' : ` (the first of ${records} records)`;
      const why = error.message.replace(`${requestName}: `, '');
      const message = `Kafka: ${where} of partition ${partition} of ${config.topic} passed over: ${why}${more}`;
      onProblem(new SluiceError(error.code, message, { cause: error }));
    }
  }
}

/** Records that are appended together, and where their partitions stand then. */
class Piece {
  readonly taken: Taken[] = [];
  readonly refused = new Refusals();
  readonly positions = new Map<number, Position>();
  records = 0;
  bytes = 0;

  add(record: KafkaRecord): void {
    const { partition, offset, value } = record;
    this.records++;
    // A tombstone: a producer's word that what had its key is deleted, and no sample.
    if (value === null) return;
    this.bytes += value.length;
    try {
      this.taken.push({ record, rows: rowsOf(value) });
      this.refused.part();
    } catch (error) {
      if (!isRefusal(error)) throw error;
      this.refused.add(partition, offset, offset, error);
    }
  }
}

/** Neighbours that are refused for the same kind of reason are told together. */
class Refusals {
  readonly all: { partition: number; first: number; last: number; records: number; error: SluiceError }[] = [];
  #joined = false;

  add(partition: number, first: number, last: number, error: SluiceError): void {
    const before = this.all.at(-1);
    if (this.#joined && before?.partition === partition && before.error.code === error.code) {
      before.last = last;
      before.records++;
    } else this.all.push({ partition, first, last, records: 1, error });
    this.#joined = true;
  }

  /** A record between them was taken. */
  part(): void {
    this.#joined = false;
  }
}

/** A value is one object, which is the common case, or several as JSON lines. */
function rowsOf(value: Buffer): Row[] {
  const text = value.toString('utf8');
  // What is no UTF-8 became this character.
  if (!text.includes('\uFFFD')) {
    try {
      const row: unknown = JSON.parse(text);
      if (typeof row === 'object' && row !== null && !Array.isArray(row)) return [row as Row];
    } catch {
      // Several lines, or an error that is told there.
    }
  }
  return parseRows(value, 'lines');
}
