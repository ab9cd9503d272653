// Tensors, bytes, codes and tokens: from a source's values to the arrays that are stored.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { encode } from './encode.js';
import { failure, MemoryStore, temporaryFolder } from './fixture.test.helper.js';
import { definitionOf, schemaOf } from './forms.js';
import { ingest, openSource } from './ingest.js';
import type { ColumnType, DatasetSpec } from './spec.js';
import { hashTokenizer, openTokenizers } from './tokens.js';
import type { ColumnValues } from './types.js';

const place = { part: 'file.csv', firstRow: 10 };

function cells(form: ColumnType, values: ColumnValues, rows = 2, tokenizers = new Map()) {
  const spec: DatasetSpec = { time: { start: 0, step: 1 }, label: { column: 'y' }, columns: { x: form } };
  return encode(
    { rows, columns: { y: new Array(rows).fill(0), x: values } },
    spec,
    { dictionaries: new Map(), frequencies: new Map(), tokenizers },
    place,
  ).columns[0]!;
}

test('tensors come as lists, typed arrays, text, or one array for all rows', () => {
  const form = { tensor: 'u8', shape: [2, 2] } as const;
  const expected = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  assert.equal(cells(form, [[1, 2, 3, 4], Uint8Array.of(5, 6, 7, 8)]), expected);
  assert.equal(cells(form, ['1 2 3 4', ' [5, 6;7,8] ']), expected);
  assert.equal(cells(form, Int32Array.from(expected)), expected);
  assert.equal(cells({ tensor: 'f32', shape: [1] }, ['0.5', [-1]]), Float32Array.of(0.5, -1));
  assert.equal(cells({ tensor: 'f32', shape: [2] }, BigInt64Array.of(1n, 2n, 3n, -4n)), Float32Array.of(1, 2, 3, -4));
  assert.equal(cells({ tensor: 'i32', shape: [2] }, [[1, 2], '3 -4']), Int32Array.of(1, 2, 3, -4));
});

test('tensors of another size or with other values are told with their row', async () => {
  const form = { tensor: 'u8', shape: [2] } as const;
  await failure('E_SOURCE', ["column 'x'", 'row 12', '2 numbers', '3 of them'], () =>
    cells(form, [
      [1, 2],
      [1, 2, 3],
    ]),
  );
  for (const bad of [256, -1, 1.5, Number.NaN])
    await failure('E_SOURCE', ['row 12', '0 to 255'], () =>
      cells(form, [
        [1, 2],
        [1, bad],
      ]),
    );
  await failure('E_SOURCE', ['row 12', 'nothing'], () => cells(form, [[1, 2], null]));
  await failure('E_NOT_FINITE', ['row 11'], () => cells({ tensor: 'f32', shape: [2] }, Float32Array.of(1, Number.NaN, 0, 0)));
  await failure('E_SOURCE', ['4 values', '3 of them'], () => cells(form, Uint8Array.of(1, 2, 3)));
});

test('bytes have their length in front and zeros behind', async () => {
  assert.equal(
    [...cells({ bytes: 5 }, ['aé', Uint8Array.of(9)])],
    [3, 0, 0, 0, 97, 195, 169, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0],
  );
  await failure('E_SOURCE', ['row 12', 'at most 5 bytes', 'got 6'], () => cells({ bytes: 5 }, [null, 'abcdef']));
});

test('codes are taken as they are, within their range', async () => {
  assert.equal(cells({ category: 3 }, ['2', 0n]), Int32Array.of(2, 0));
  for (const bad of [3, -1, 0.5, 'a', null]) await failure('E_SOURCE', ['row 12', '0 to 2'], () => cells({ category: 3 }, [0, bad]));
});

test('words are hashed behind the start token; longer texts are cut, shorter ones filled up', () => {
  const tokenizers = new Map([['x', hashTokenizer(1000)]]);
  const ids = cells({ tokens: 5, hash: 1000 }, ['The cat, the CAT', null], 2, tokenizers);
  assert.is(ids.length, 10);
  const [start, the, cat, comma, again] = ids;
  assert.is(start, 1);
  assert.is(again, the);
  assert.is(new Set([the, cat, comma]).size, 3);
  for (const id of [the, cat, comma]) assert.ok(id! >= 2 && id! < 1000);
  assert.equal([...ids.subarray(5)], [1, 0, 0, 0, 0]);
  // FNV-1a of "cat", by the published constants: 0x7b1dbd5a.
  assert.is(cat, 2 + (fnv('cat') % 998));
});

function fnv(word: string): number {
  let hash = 2_166_136_261n;
  for (const byte of Buffer.from(word)) hash = ((hash ^ BigInt(byte)) * 16_777_619n) & 0xffff_ffffn;
  return Number(hash);
}

const vocabulary = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', 'play', '##ing', 'the', 'game', '.'];
const wordPiece = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: [0, 1, 2, 3].map((id) => ({
    id,
    content: vocabulary[id],
    special: true,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
  })),
  normalizer: { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true },
  pre_tokenizer: { type: 'BertPreTokenizer' },
  post_processor: {
    type: 'TemplateProcessing',
    single: [
      { SpecialToken: { id: '[CLS]', type_id: 0 } },
      { Sequence: { id: 'A', type_id: 0 } },
      { SpecialToken: { id: '[SEP]', type_id: 0 } },
    ],
    pair: [],
    special_tokens: { '[CLS]': { id: '[CLS]', ids: [2], tokens: ['[CLS]'] }, '[SEP]': { id: '[SEP]', ids: [3], tokens: ['[SEP]'] } },
  },
  decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
  model: {
    type: 'WordPiece',
    unk_token: '[UNK]',
    continuing_subword_prefix: '##',
    max_input_chars_per_word: 100,
    vocab: Object.fromEntries(vocabulary.map((token, id) => [token, id])),
  },
};

test('a tokenizer.json gives the ids of Hugging Face, its end kept where a text is cut', async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(wordPiece));
  const form = { tokens: 7, tokenizer: './tokenizer.json' };
  const tokenizers = await openTokenizers({ x: form }, folder);
  assert.equal([...cells(form, ['Playing the GAME', 'the game . . . . . .'], 2, tokenizers)], [2, 4, 5, 6, 7, 3, 0, 2, 6, 7, 8, 8, 8, 3]);
  assert.equal([...cells(form, ['', 'zebra'], 2, tokenizers)], [2, 3, 0, 0, 0, 0, 0, 2, 1, 3, 0, 0, 0, 0]);
});

test('what is no tokenizer is told', async () => {
  const folder = temporaryFolder();
  const open = (content: string, tokens = 7) => {
    writeFileSync(join(folder, 't.json'), content);
    return openTokenizers({ x: { tokens, tokenizer: 't.json' } }, folder);
  };
  for (const content of ['', '{}', '[]', 'null', '{"model":{}}', '{"model":{"type":"WordPiece","vocab":{}}}'])
    await failure('E_ARGUMENT', ['t.json'], () => open(content));
  await failure('E_ARGUMENT', ['id 1'], () => open(JSON.stringify({ ...wordPiece, padding: { pad_id: 1 } })));
  await failure('E_ARGUMENT', ['tokens: 2'], () => open(JSON.stringify(wordPiece), 2));
  await failure('E_NOT_FOUND', ['none.json'], () => openTokenizers({ x: { tokens: 3, tokenizer: 'none.json' } }, folder));
});

test('texts of a CSV file become tokens, out of order of time, too; another tokenizer is noticed', async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'a.csv'), 't,y,x\n2,1,the game\n1,0,play\n');
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(wordPiece));
  const spec: DatasetSpec = {
    time: { column: 't', unit: 's' },
    label: { column: 'y' },
    columns: { x: { tokens: 4, tokenizer: 'tokenizer.json' } },
  };
  const store = new MemoryStore();
  const run = async () => {
    const source = await openSource({ ...spec, id: 'd', source: { format: 'csv', path: ['a.csv'] } }, folder);
    return await ingest({ store, source, spec, folder });
  };
  assert.is((await run()).appended, 2);
  assert.equal(store.columns, [[2, 4, 3, 0, 2, 6, 7, 3]]);
  assert.equal(store.labels, [0, 1]);
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify({ ...wordPiece, version: '1.1' }));
  await failure('E_CHANGED', ["column 'x'"], run);
});

test('a column that a part lacks is told, also where its texts are sorted first', async () => {
  const spec: DatasetSpec = { time: { column: 't', unit: 's' }, label: { column: 'y' }, columns: { x: { tokens: 4, hash: 100 } } };
  for (const x of [undefined, null, ['a']]) {
    async function* read() {
      yield { rows: 2, columns: { t: [2, 1], y: [0, 1], x: x as never } };
    }
    const source = { parts: async () => [{ name: 'p', fingerprint: '1', read }] };
    await failure('E_SOURCE', ["p: column 'x': expected 2 values"], () => ingest({ store: new MemoryStore(), source, spec }));
  }
});

test('samples without a time get one, across files and after a stop', async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'a.csv'), 'y,x\n0,1\n1,2\n');
  writeFileSync(join(folder, 'b.csv'), 'y,x\n0,3\n');
  const spec: DatasetSpec = { time: { start: 1000, step: 10 }, label: { column: 'y' }, columns: { x: 'i32' } };
  const store = new MemoryStore();
  const run = async (path: string[]) => {
    const source = await openSource({ ...spec, id: 'd', source: { format: 'csv', path } }, folder);
    return await ingest({ store, source, spec });
  };
  await run(['a.csv']);
  await run(['a.csv', 'b.csv']);
  assert.equal(store.timestamps, [1000, 1010, 1020]);
  assert.equal(store.columns, [[1, 2, 3]]);
  spec.time = { start: 0, step: 200_000_000_000_000 };
  await failure('E_SOURCE', ['b.csv', 'year 9999'], async () => {
    const source = await openSource({ ...spec, id: 'd', source: { format: 'csv', path: ['a.csv', 'b.csv'] } }, folder);
    return await ingest({ store: new MemoryStore(), source, spec });
  });
});

test('the schema and the definition of every form', () => {
  const columns: Record<string, ColumnType> = {
    a: { tensor: 'f32', shape: [2, 3] },
    b: { image: [4, 5, 3], fit: 'cover', onError: 'skip' },
    c: { tokens: 9, hash: 100 },
    d: { bytes: 77 },
    e: { category: 5 },
  };
  const spec: DatasetSpec = { time: { start: 0, step: 1 }, label: { column: 'y' }, columns };
  assert.equal(
    schemaOf(spec).columns.map(({ type, shape }) => [type, shape]),
    [
      ['f32', [2, 3]],
      ['u8', [4, 5, 3]],
      ['i32', [9]],
      ['bytes', [77]],
      ['category', []],
    ],
  );
  const failing = { ...spec, columns: { ...columns, b: { image: [4, 5, 3], fit: 'cover', onError: 'fail' } as ColumnType } };
  assert.is(definitionOf(spec), definitionOf(failing));
  const stretched = { ...spec, columns: { ...columns, b: { image: [4, 5, 3], fit: 'stretch', onError: 'fail' } as ColumnType } };
  assert.is.not(definitionOf(spec), definitionOf(stretched));
});

test.run();
