// What gives the values of a dataset's columns their codes: dictionaries, counts of rare values, tokenizers.
import { SluiceError } from '../errors.js';
import { Dictionary } from './dictionary.js';
import { type Coders, rareCategory } from './encode.js';
import { isFrequent } from './forms.js';
import { Frequency } from './frequency.js';
import type { PartState, StateReader } from './progress.js';
import type { DatasetSpec } from './spec.js';
import type { Tokenizer } from './tokens.js';

/**
 * The coders as the store has them. `begun`: of a part that is read again from its beginning to count; the dictionaries of
 * frequent values are then those of its beginning. E_CORRUPT.
 */
export function openCoders(store: StateReader, spec: DatasetSpec, tokenizers: ReadonlyMap<string, Tokenizer>, begun?: PartState): Coders {
  const dictionaries = new Map<string, Dictionary>();
  const frequencies = new Map<string, Frequency>();
  const state = (key: string) => store.state(key);
  for (const [name, form] of Object.entries(spec.columns)) {
    if (form !== 'category' && !isFrequent(form)) continue;
    const dictionary = new Dictionary(name, state);
    dictionaries.set(name, dictionary);
    if (form === 'category') continue;
    frequencies.set(name, new Frequency(name, form.atLeast, state));
    dictionary.truncate(begun?.sizes[name] ?? dictionary.size);
    if (dictionary.size === 0) dictionary.add(rareCategory);
  }
  return { dictionaries, frequencies, tokenizers };
}

/** State entries for the values that got codes since the last call. They go into the transaction of the first rows that have the codes. */
export function dictionaryEntries({ dictionaries }: Coders): Record<string, string> {
  return Object.assign({}, ...[...dictionaries.values()].map((dictionary) => dictionary.entries()));
}

/**
 * State entries for what was counted since the last call. Unlike codes, counts that are stored before their rows are would be counted
 * twice after a stop: they go into the transaction of the last rows that were encoded.
 */
export function countEntries({ frequencies }: Coders): Record<string, string> {
  return Object.assign({}, ...[...frequencies.values()].map((frequency) => frequency.entries()));
}

/** The state entries that tell the tokenizers, as far as they are missing. E_CHANGED where one gives other ids than for the samples there. */
export function tokenizerEntries({ tokenizers }: Coders, store: StateReader): Record<string, string> {
  const missing: Record<string, string> = {};
  for (const [name, { identity }] of tokenizers) {
    const key = `tokenizer:${name}`;
    const earlier = store.state(key);
    if (earlier === null) missing[key] = identity;
    else if (earlier !== identity) {
      const hint = 'bring the earlier tokenizer back, or give the dataset another id to ingest it again';
      throw new SluiceError('E_CHANGED', `the tokenizer of column '${name}' is another one than that of the samples in the dataset`, {
        hint,
      });
    }
  }
  return missing;
}

/** Sizes of the dictionaries of frequent values, for the state of a part that begins. */
export function sizesOf({ dictionaries, frequencies }: Coders): Record<string, number> {
  return Object.fromEntries([...frequencies.keys()].map((name) => [name, dictionaries.get(name)!.size]));
}
