// What a parser is: data plus one function that turns a sample's raw bytes into the inputs of a model.
import type { z } from 'zod';

/** Which sample it is, and for what it is read. */
export type ParserSample = {
  key: number;
  /** Milliseconds since 1970-01-01 UTC. */
  timeMs: number;
  /** False in evaluation: no random augmentation then. */
  training: boolean;
  /** Pass over the training set, from 0. */
  epoch: number;
  /** 32 bits from the pipeline's seed, the epoch and the key: the same in every run. Start random choices from it. */
  seed: number;
};

/** As many numbers as `features.parse` says; what it leaves out may be missing. Indices and ids are whole numbers. */
export type ParsedSample = {
  dense?: ArrayLike<number>;
  categorical?: ArrayLike<number>;
  values?: ArrayLike<number>;
  ids?: ArrayLike<number>;
};

export type ParserDefinition<C = unknown> = {
  kind: 'parser';
  id: string;
  /** One sentence for people. */
  summary: string;
  /** Schema of `features.parse.config`. */
  config: z.ZodType<C>;
  /** Called in a worker thread, once for every sample and epoch; must give the same for the same arguments, and no promise. */
  parse(bytes: Uint8Array, sample: ParserSample, config: C): ParsedSample;
};

/** Identity helper: infers the config's type. */
export function defineParser<C>(parser: Omit<ParserDefinition<C>, 'kind'>): ParserDefinition<C> {
  return { kind: 'parser', ...parser };
}
