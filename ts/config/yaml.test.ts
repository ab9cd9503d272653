import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { configError, issuesOf, smallPipeline } from './pipeline.test.helper.js';

test('what is no map at the top', async () => {
  const sections = 'pipeline, dataset, features, model, training, trigger, selection, evaluation, replay, serve, storage';
  for (const [text, found] of [
    ['', 'nothing'],
    ['# only a comment\n', 'nothing'],
    ['- a\n- b\n', 'a list of 2'],
    ['hello', '"hello"'],
    ['{}', ''],
  ] as const) {
    const [first = ''] = await issuesOf(text);
    if (found !== '') assert.is(first.replace(/^\d+:\d+ /, ''), `expected a map with ${sections}, found ${found}`, text);
    else assert.match(first, 'pipeline: is missing');
  }
});

test('every syntax error is reported with its place', async () => {
  const issues = await issuesOf('pipeline: { id: "x }\ntrigger: ]\n');
  assert.ok(issues.length >= 1);
  assert.ok(issues.every((issue) => /^\d+:\d+ \S/.test(issue)));
});

test('keys twice, and keys that are no text', async () => {
  assert.equal(await issuesOf(`${smallPipeline}model: { id: dlrm, id: dlrm }\n`), [
    '16:1 expected every key once, found "model" again',
    '16:20 expected every key once, found "id" again',
  ]);
  assert.equal(await issuesOf('? [a]\n: 1\n'), ['1:3 expected text as the key']);
  assert.equal(await issuesOf('a: { __proto__: 1 }'), ['1:6 expected a key other than __proto__']);
});

test('unknown tags, second documents', async () => {
  assert.match((await issuesOf('a: !secret x'))[0] ?? '', /^1:4 unresolved tag/);
  assert.equal(await issuesOf('a: 1\n---\nb: 2\n'), ['2:1 expected one document, found a second one']);
});

test('aliases without an anchor, within themselves, and too many', async () => {
  assert.equal(await issuesOf('a: *x'), ['1:4 there is no anchor &x above this alias']);
  assert.equal(await issuesOf('a: &a [1, *a]'), ['1:11 the alias *a lies within what it stands for']);
  assert.equal(await issuesOf(`a: &a 1\nb: [${Array(101).fill('*a').join(', ')}]`), ['2:405 expected at most 100 aliases']);
});

test('aliases that multiply are refused quickly', async () => {
  const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x]'];
  for (let i = 1; i < 10; i++)
    lines.push(
      `a${i}: &a${i} [${Array(9)
        .fill(`*a${i - 1}`)
        .join(', ')}]`,
    );
  assert.equal(await issuesOf(lines.join('\n')), ['1:1 aliases stand for too much data']);
});

test('deep nesting is refused', async () => {
  for (const open of ['[', '{a: ', '- ']) {
    assert.match((await configError(open.repeat(50_000))).message, 'collections are nested too deeply', open);
  }
});

test('a map with tens of thousands of keys does not take minutes', async () => {
  const error = await configError(Array.from({ length: 30_000 }, (_, i) => `k${i}: 1`).join('\n'));
  assert.ok(error.omitted > 29_000);
});

test.run();
