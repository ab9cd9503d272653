// From texts to token ids: by a Hugging Face tokenizer.json, or by hashing words.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { SluiceError } from '../errors.js';
import { isTokens } from './forms.js';
import { isS3 } from '../s3/address.js';
import { resolveFiles } from './paths.js';
import type { ColumnType, TokensForm } from './spec.js';

/** Fills `ids` with the ids of a text: cut where it is longer, 0 behind its end. `ids` is all 0 before. */
export type Tokenize = (text: string, ids: Int32Array) => void;

/** `identity`: differs where the same text may get other ids. */
export type Tokenizer = { tokenize: Tokenize; identity: string };

const maxTokenizerBytes = 2 ** 28;
/** Of a text, UTF-16 units: more tokens than a column takes cannot come of the rest. */
const maxTextPerToken = 64;

/** Of every column with token ids. `folder` is what the paths of tokenizers are relative to. E_NOT_FOUND, E_ARGUMENT. */
export async function openTokenizers(columns: Record<string, ColumnType>, folder: string): Promise<Map<string, Tokenizer>> {
  const tokenizers = new Map<string, Tokenizer>();
  for (const [name, form] of Object.entries(columns)) if (isTokens(form)) tokenizers.set(name, await openTokenizer(form, folder));
  return tokenizers;
}

async function openTokenizer(form: TokensForm, folder: string): Promise<Tokenizer> {
  return 'hash' in form ? hashTokenizer(form.hash) : await fileTokenizer(form, folder);
}

const padding = 0;
const startId = 1;
const firstWordId = 2;
/** Words whose ids are remembered. */
const maxKnownWords = 100_000;

/**
 * The start token, then an id for each word. Words are runs of letters and digits, in lower case; every other character but
 * blanks is a word, too. A word's id is 2 + (FNV-1a of 32 bits of its UTF-8) mod (vocabulary - 2).
 * http://www.isthe.com/chongo/tech/comp/fnv
 */
export function hashTokenizer(vocabulary: number): Tokenizer {
  const known = new Map<string, number>();
  const idOf = (word: string): number => {
    let id = known.get(word);
    if (id === undefined) {
      id = firstWordId + (fnv1a(word) % (vocabulary - firstWordId));
      if (known.size === maxKnownWords) known.clear();
      known.set(word, id);
    }
    return id;
  };
  const tokenize: Tokenize = (text, ids) => {
    ids[0] = startId;
    let at = 1;
    for (const [word] of text.toLowerCase().matchAll(/[\p{L}\p{M}\p{N}]+|[^\s]/gu)) {
      if (at === ids.length) return;
      ids[at++] = idOf(word);
    }
  };
  return { tokenize, identity: `hash ${vocabulary}` };
}

function fnv1a(word: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(word)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

async function fileTokenizer(form: TokensForm & { tokenizer: string }, folder: string): Promise<Tokenizer> {
  const name = form.tokenizer;
  const text = await readTokenizer(name, await localPath(name, folder));
  const { encode, prefix, suffix } = await parseTokenizer(name, text);
  const around = prefix.length + suffix.length;
  if (around >= form.tokens)
    throw new SluiceError('E_ARGUMENT', `tokens: ${form.tokens} do not suffice: ${name} puts ${around} around every text`);
  const tokenize: Tokenize = (given, ids) => {
    const words = encode(given.slice(0, ids.length * maxTextPerToken)).slice(0, ids.length - around);
    ids.set(prefix);
    ids.set(words, prefix.length);
    ids.set(suffix, prefix.length + words.length);
  };
  return { tokenize, identity: createHash('sha256').update(text).digest('hex') };
}

async function localPath(name: string, folder: string): Promise<string> {
  if (isS3(name))
    throw new SluiceError('E_ARGUMENT', `tokenizer: ${name}: expected a file of the local file system, or npm:<package>/<path>`);
  return (await resolveFiles([name], folder))[0]!.path;
}

async function readTokenizer(name: string, path: string): Promise<string> {
  try {
    const content = await readFile(path);
    if (content.length <= maxTokenizerBytes) return content.toString();
  } catch (error) {
    throw new SluiceError('E_IO', `${name} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  throw new SluiceError('E_ARGUMENT', `${name}: expected a tokenizer.json of at most ${maxTokenizerBytes} bytes`);
}

/** `encode`: ids of a text alone; `prefix` and `suffix`: what the tokenizer puts around it, such as [CLS] and [SEP]. */
async function parseTokenizer(name: string, text: string) {
  const { Tokenizer: Implementation } = await import('@huggingface/tokenizers');
  try {
    const json = JSON.parse(text) as { padding?: { pad_id?: unknown } | null };
    const tokenizer = new Implementation(json, {});
    const encode = (given: string): number[] => tokenizer.encode(given, { add_special_tokens: false }).ids;
    const probe = encode('a');
    const whole: number[] = tokenizer.encode('a').ids;
    const at = whole.findIndex((_, i) => probe.every((id, j) => whole[i + j] === id));
    const padId = json.padding?.pad_id ?? tokenizer.token_to_id('[PAD]') ?? tokenizer.token_to_id('<pad>') ?? padding;
    if (padId !== padding) throw new Error(`it fills up with id ${padId}, where Sluice takes 0 as padding`);
    if (probe.length === 0 || at < 0) throw new Error('it gives no tokens for a text');
    return { encode, prefix: whole.slice(0, at), suffix: whole.slice(at + probe.length) };
  } catch (error) {
    const hint = 'name the tokenizer.json of a fast Hugging Face tokenizer whose padding has id 0';
    throw new SluiceError('E_ARGUMENT', `${name} is no tokenizer that can be used: ${(error as Error).message}`, { hint, cause: error });
  }
}
