import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { changed, configError, issuesOf, smallPipeline } from './pipeline.test.helper.js';

/** part of smallPipeline, what it is replaced by, the issues that this gives. */
const table: Record<string, [string, string, string[]]> = {
  'a wrong type': ['samples: 10', 'samples: many', ['14:33 trigger.samples: expected a whole number >= 1, found "many"']],
  'a number out of range': ['seed: 7', 'seed: -1', ['1:30 pipeline.seed: expected a whole number >= 0, found -1']],
  'a fraction': ['samples: 10', 'samples: 1.5', ['14:33 trigger.samples: expected a whole number >= 1, found 1.5']],
  infinity: ['lr: 0.1', 'lr: .inf', ['13:29 training.optimizer.lr: expected a number > 0 and <= 1000, found Infinity']],
  'a learning rate of 0': ['lr: 0.1', 'lr: 0', ['13:29 training.optimizer.lr: expected a number > 0 and <= 1000, found 0']],
  'an empty value': ['samples: 10', 'samples:', ['14:33 trigger.samples: expected a whole number >= 1, found nothing']],
  'a missing field': [', samples: 10', '', ['14:10 trigger.samples: is missing; expected a whole number >= 1']],
  'a missing section': ['model: { id: dlrm }\n', '', ['1:1 model: is missing; expected a map with id']],
  'a misspelt field': ['samples: 10', 'smaples: 10', ['14:24 trigger.smaples: unknown field; did you mean "samples"?']],
  'a misspelt section': ['model:', 'modle:', ['11:1 modle: unknown field; did you mean "model"?']],
  'an unknown field': ['seed: 7', 'colour: red', ['1:24 pipeline.colour: unknown field; expected one of id, seed, threads']],
  'a misspelt word': [
    'csv',
    'cvs',
    [
      '4:21 dataset.source.format: expected one of parquet, csv, jsonl, webdataset, images, binary, criteo, criteo-tsv, push, found "cvs"; did you mean "csv"?',
    ],
  ],
  'an id with capitals': [
    'id: numbers',
    'id: Numbers',
    [
      '3:7 dataset.id: expected a name of at most 64 lower-case letters, digits, dots, dashes and underscores that starts with a letter or digit, found "Numbers"',
    ],
  ],
  'an id that leaves the folder': [
    'id: small',
    'id: ..',
    [
      '1:17 pipeline.id: expected a name of at most 64 lower-case letters, digits, dots, dashes and underscores that starts with a letter or digit, found ".."',
    ],
  ],
  'an unknown policy': [
    'id: amount',
    'id: amonut',
    [
      '14:16 trigger.id: expected the id of a triggering policy (time, amount) or a path such as ./my-policy.ts, found "amonut"; did you mean "amount"?',
    ],
  ],
  'a policy without its fields': [
    '{ id: new-data }',
    '{ id: uniform }',
    ['15:12 selection: expected either samples or ratio, found a map with id'],
  ],
  'alternatives mixed': [
    '{ id: new-data }',
    '{ id: uniform, ratio: 1, samples: 1 }',
    ['15:12 selection: expected either samples or ratio, found a map with id, ratio, samples'],
  ],
  'a duration as a number': [
    '{ id: amount, samples: 10 }',
    '{ id: time, every: 7 }',
    ['14:29 trigger.every: expected a duration such as 30s, 15m, 6h, 1d or 1w, found 7'],
  ],
  'a feature of no kind': ['{ column: a }', '{ colum: a }', ['9:13 features.dense[0].colum: unknown field; did you mean "column"?']],
  'a feature of two kinds': [
    '{ column: a }',
    '{ column: a, time: sin-day }',
    ['9:11 features.dense[0]: expected either column or time, found a map with column, time'],
  ],
  'a feature that is text': ['{ column: a }', 'a', ['9:11 features.dense[0]: expected either column or time, found "a"']],
  'one bad field of one alternative': [
    'buckets: 10',
    'buckets: ten',
    ['10:39 features.categorical[0].buckets: expected a whole number from 1 to 2147483647, found "ten"'],
  ],
  'a field of another alternative': [
    'id: sgd, lr: 0.1',
    'id: sgd, lr: 0.1, beta1: 0.5',
    ['13:34 training.optimizer.beta1: does not go with the other fields here'],
  ],
  'an unknown optimizer': [
    'id: sgd',
    'id: adan',
    ['13:20 training.optimizer.id: expected one of sgd, adagrad, adam, adamw, found "adan"; did you mean "adam"?'],
  ],
  'one optimizer of two': [
    '{ id: sgd, lr: 0.1 }',
    '{ mlp: { id: sgd, lr: 0.1 } }',
    ['13:14 training.optimizer.embedding: is missing; expected a map with id, lr'],
  ],
  'both kinds of label': [
    '{ column: y }',
    '{ column: y, atLeast: 1, classes: 3 }',
    ['6:10 dataset.label: expected one of atLeast, classes and real, not several, found a map with column, atLeast, classes'],
  ],
  'one class': [
    '{ column: y }',
    '{ column: y, classes: 1 }',
    ['6:32 dataset.label.classes: expected a whole number from 2 to 100000 or a list of text (at least 2 and at most 100000), found 1'],
  ],
  'a unit and a format of the time': [
    '{ column: when }',
    '{ column: when, unit: s, format: YYYY }',
    ['5:9 dataset.time: expected either column, with unit or format, or start and step, found a map with column, unit, format'],
  ],
  'a format of the time that is none': [
    '{ column: when }',
    '{ column: when, format: "%Y-%m" }',
    ['5:33 dataset.time.format: expected YYYY or YY, MM, DD, HH, mm and ss, with signs or T and Z between, found "%Y-%m"'],
  ],
  'a threshold of frequency of one': [
    'c: category',
    'c: { category, atLeast: 1 }',
    ['7:54 dataset.columns.c.atLeast: expected a whole number from 2 to 65535, found 1'],
  ],
  'a start that is no date': [
    '{ format: csv, path: numbers.csv }',
    '{ format: criteo-tsv, path: day_0, start: day }',
    ['4:53 dataset.source.start: expected a date such as 2024-01-01 or 2024-01-01T12:00:00Z, found "day"'],
  ],
  'a time of pictures from two places': [
    '{ format: csv, path: numbers.csv }',
    '{ format: images, path: p, timeFrom: exif, timePattern: "{unix}" }',
    ['4:67 dataset.source.timePattern: expected either timeFrom or timePattern, found "{unix}"'],
  ],
  'a time of pictures from nowhere': [
    '{ format: csv, path: numbers.csv }',
    '{ format: images, path: p, timeFrom: exfi }',
    ['4:48 dataset.source.timeFrom: expected exif, mtime or [exif, mtime], found "exfi"; did you mean "exif"?'],
  ],
  'a class twice': ['{ column: y }', '{ column: y, classes: [a, b, a] }', ['6:39 dataset.label.classes[2]: expected every class once']],
  'a feature of a column that is not stored': [
    '{ column: a }',
    '{ column: aa }',
    ['9:21 features.dense[0].column: expected a column of dataset.columns; did you mean "a"?'],
  ],
  'a category as a number': [
    '{ column: a }',
    '{ column: c }',
    ['9:21 features.dense[0].column: expected an f32 or i32 column, but dataset.columns stores it as category'],
  ],
  'a fraction as a category': [
    'column: c, buckets',
    'column: a, buckets',
    ['10:27 features.categorical[0].column: expected a category or i32 column, but dataset.columns stores it as f32'],
  ],
  'a cross with a fraction': [
    'column: c, buckets',
    'cross: [c, a], buckets',
    ['10:30 features.categorical[0].cross[1]: expected a category or i32 column, but dataset.columns stores it as f32'],
  ],
  'a cross with itself': [
    'column: c, buckets',
    'cross: [c, c], buckets',
    ['10:30 features.categorical[0].cross[1]: expected two different columns'],
  ],
  'a cross of one column': [
    'column: c, buckets',
    'cross: [c], buckets',
    ['10:26 features.categorical[0].cross: expected a list of 2, found a list of 1'],
  ],
  'a feature twice': [
    '[{ column: a }]',
    '[{ column: a }, { column: a, mean: 0 }]',
    ['9:26 features.dense[1]: expected every feature once; an earlier one is the same'],
  ],
  'no features': [
    'dense: [{ column: a }]\n  categorical: [{ column: c, buckets: 10 }]',
    'dense: []',
    ['9:3 features: expected at least one feature'],
  ],
  'no columns': ['{ a: f32, n: i32, c: category }', '{}', ['7:12 dataset.columns: expected at least one column, found an empty map']],
  'a binary field twice': [
    '{ format: csv, path: numbers.csv }',
    '{ format: binary, path: a.bin, fields: [{ name: y, type: uint8 }, { name: y, type: int8 }] }',
    ['4:50 dataset.source.fields: expected every name once, found a list of 2'],
  ],
  'a binary field that no memory holds': [
    '{ format: csv, path: numbers.csv }',
    '{ format: binary, path: a.bin, fields: [{ name: y, type: uint8, shape: [67108864, 67108864], permute: [1, 0] }] }',
    ['4:82 dataset.source.fields[0].shape: expected at most 67108864 values, found a list of 2'],
  ],
  'parsed values that no memory holds': [
    'categorical: [{ column: c, buckets: 10 }]',
    'parse: { id: ./p.ts, column: c, values: [65536, 65536, 65536, 65536] }',
    ['10:43 features.parse.values: expected a shape of at most 268435456 values, found a list of 4'],
  ],
  'a file and a module': [
    'id: numbers',
    'id: numbers\n  module: ./m.ts',
    ['3:3 dataset: expected either source or module, found a map with id, module, source, time, label, columns'],
  ],
};

for (const [name, [part, by, expected]] of Object.entries(table)) {
  test(name, async () => assert.equal(await issuesOf(changed(part, by)), expected));
}

test('binary loss for three classes', async () => {
  const text = changed('{ column: y }', '{ column: y, classes: 3 }').replace('training:', 'training:\n  criterion: bce');
  assert.equal(await issuesOf(text), ['13:14 training.criterion: expected cross-entropy, because dataset.label has 3 classes']);
});

const paths = async (text: string) => (await issuesOf(text)).map((issue) => issue.split(' ')[1]);

test('a criterion goes with the kind of label', async () => {
  const text = (label: string, criterion: string) =>
    changed('{ column: y }', label).replace('training:', `training:\n  criterion: ${criterion}`);
  assert.equal(await paths(text('{ column: y, real: true }', 'bce')), ['training.criterion:']);
  assert.equal(await paths(text('{ column: y }', '{ id: huber, delta: 2 }')), ['training.criterion:']);
  assert.equal(await paths(text('{ column: y, real: true, classes: 3 }', 'mse')), ['dataset.label:']);
});

test('a regression has no values that only classes have', async () => {
  const text = (training: string) => changed('{ column: y }', '{ column: y, real: true }').replace('training:', `training:\n  ${training}`);
  for (const value of ['confidence', 'margin', 'entropy']) {
    assert.equal(await paths(text(`record: [loss, ${value}]`)), ['training.record[1]:'], value);
  }
  assert.equal(await paths(text('inTraining: { keep: 0.5, score: margin }')), ['training.inTraining.score:']);
});

test('one optimizer for all may not change rows of a table that no sample touched', async () => {
  for (const optimizer of ['id: adamw, lr: 0.1', 'id: sgd, lr: 0.1, momentum: 0.9', 'id: adam, lr: 0.1, weightDecay: 0.1']) {
    assert.equal(await paths(changed('id: sgd, lr: 0.1', optimizer)), ['training.optimizer:'], optimizer);
  }
  assert.equal(await paths(changed('id: sgd, lr: 0.1', 'id: sgd, lr: 0.1, nesterov: true')), ['training.optimizer.nesterov:']);
});

test('all issues at once, in order of position, also between sections that are right', async () => {
  const text = changed('seed: 7', 'seed: x')
    .replace('lr: 0.1', 'lr: 0')
    .replace('{ column: a }', '{ column: c }')
    .replace('samples: 10', 'samples: 0');
  assert.equal(
    (await issuesOf(text)).map((issue) => issue.split(' ')[1]),
    ['pipeline.seed:', 'features.dense[0].column:', 'training.optimizer.lr:', 'trigger.samples:'],
  );
});

test('the message shows file, position, path and the line with a caret', async () => {
  const error = await configError(changed('samples: 10', 'samples: many'));
  assert.is(error.code, 'E_CONFIG');
  assert.is(
    error.message,
    [
      'p.yaml:14:33  trigger.samples: expected a whole number >= 1, found "many"',
      '    trigger: { id: amount, samples: many }',
      '                                    ^',
    ].join('\n'),
  );
  assert.equal(error.issues, [
    {
      file: 'p.yaml',
      line: 14,
      column: 33,
      path: 'trigger.samples',
      found: '"many"',
      expected: 'a whole number >= 1',
      message: 'expected a whole number >= 1, found "many"',
    },
  ]);
});

test('the caret keeps its place behind tabs, wide characters and in long lines', async () => {
  const caretOf = async (text: string) => {
    const [, line = '', caret = ''] = (await configError(text)).message.split('\n');
    return { line, caret };
  };
  const wide = await caretOf(changed('{ id: small, seed: 7 }', '{ id: small,\t"日本": 7 }'));
  assert.is(wide.caret, `    ${' '.repeat(22)}\t^`);
  const after = await caretOf(changed('{ column: a }', '{ column: 日本, x: 1 }'));
  assert.is(after.caret, `    ${' '.repeat(26)}^`);
  const long = await caretOf(
    changed('columns: { a: f32', `columns: { ${Array.from({ length: 100 }, (_, i) => `k${i}: f32`).join(', ')}, a: f64`),
  );
  assert.ok(long.line.length < 140);
  assert.is(long.line.slice(long.caret.length - 1).slice(0, 3), 'f64');
});

test('control characters of the file do not reach the terminal', async () => {
  const error = await configError(changed('samples: 10', 'samples: "\\e[31m\u009b31mred"'));
  assert.not.match(error.message, /(?!\n)\p{Cc}/u);
});

test('more than 50 issues are cut and counted', async () => {
  const error = await configError(smallPipeline + Array.from({ length: 120 }, (_, i) => `unknown${i}: 1\n`).join(''));
  assert.is(error.issues.length, 50);
  assert.is(error.omitted, 70);
  assert.ok(error.message.endsWith('\nand 70 more'));
});

test.run();
