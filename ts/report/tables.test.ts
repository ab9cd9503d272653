import { stripVTControlCharacters } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { makeResult } from './fixture.test.helper.js';
import { aucMatrix, freshness, timings, trainingList, triggerList } from './tables.js';

const plain = { width: 120, color: false };
const widest = (text: string) => Math.max(...text.split('\n').map((l) => l.length));

test('a small matrix in full: models down, windows across, dots where not evaluated', () => {
  const [title, header, ...rows] = aucMatrix(makeResult({ windows: 4, models: 3 }), plain).split('\n');
  assert.is(title, 'AUC by model (rows: trigger, its time) and window (columns: its start)');
  assert.is(header, '                  01-08     01-22');
  assert.equal(rows, ['0  2001-01-07    . .657 .631 .598', '1  2001-01-14    .    . .665 .629', '2  2001-01-21    .    .    . .663']);
});

test('weekly flights fit a terminal of 120 columns, whole', () => {
  const text = aucMatrix(makeResult(), plain);
  assert.ok(widest(text) <= 120);
  assert.is(text.split('\n').length, 27);
  assert.not.match(text, 'thinned');
});

test('hundreds of models and windows are thinned out to the width, and that is said', () => {
  const result = makeResult({ windows: 300, models: 300 });
  for (const width of [40, 80, 120, 250]) {
    const lines = aucMatrix(result, { width, color: false }).split('\n');
    assert.ok(widest(lines.slice(1, -1).join('\n')) <= width, `${width}`);
    assert.match(lines.at(-1)!, /^thinned out evenly to 40 of 300 models and \d+ of 300 windows$/);
    assert.match(lines[2]!, /^ {2}0 /);
    assert.match(lines.at(-2)!, /^299 /);
  }
});

test('however narrow the terminal, one window is left', () => {
  for (const width of [0, -5, Number.NaN, 3]) assert.match(aucMatrix(makeResult(), { width, color: false }), '1 of 26 windows');
});

test('a partial last window is marked above its column and explained', () => {
  const lines = aucMatrix(makeResult({ lastCoverage: 0.2 }), plain).split('\n');
  assert.match(lines[1]!, / 06-25\*$/);
  assert.match(lines.at(-1)!, /^the last window, of 2001-06-25, is partial/);
});

test('colours only when asked for, best green and worst red, for loss the other way round', () => {
  const result = makeResult({ windows: 4, models: 3 });
  const text = aucMatrix(result, plain);
  const colored = aucMatrix(result, { width: 120, color: true });
  assert.not.match(text, '\u001b');
  assert.is(stripVTControlCharacters(colored), text);
  assert.match(colored, '\u001b[32m.665');
  assert.match(colored, '\u001b[31m.598');
  const loss = aucMatrix(result, { metric: 'loss', width: 120, color: true });
  assert.match(loss, '\u001b[32m.435');
  assert.match(loss, '\u001b[31m.502');
});

test('runs of any shape give a text', () => {
  const interrupted = makeResult({ windows: 6, models: 4 });
  interrupted.status = 'incomplete';
  Object.assign(interrupted.triggers[3]!, { training: null, evaluation: null });
  assert.match(aucMatrix(interrupted, plain), 'incomplete run');
  assert.match(aucMatrix(makeResult({ models: 0 }), plain), 'no model was trained');
  assert.match(aucMatrix(makeResult({ windows: 1, models: 1 }), plain), /\n0 {2}2001-01-07 {4}\.$/);
  assert.match(aucMatrix(makeResult({ multiClass: true }), plain), /^Accuracy by model/);
});

test('freshness: a row for each model, bars that grow, the gain', () => {
  const lines = freshness(makeResult()).split('\n');
  assert.is(lines[0], 'AUC on 4 windows from 2001-06-04 to 2001-07-01, by when the model was last trained; bars run from 0.5945 to 0.7017');
  assert.is(lines[2], '    0  2001-01-07            0  0.5945  ▏');
  assert.match(lines.at(-2)!, /^ {3}21 {2}2001-06-03 {11}21 {2}0\.7017 {2}█{24}$/);
  assert.is(lines.at(-1), 'gain from the first model to the last: +0.1072 AUC (0.5945 -> 0.7017)');
});

test('freshness: the windows can be chosen, many models are thinned out, none is said', () => {
  assert.match(freshness(makeResult(), { lastWindows: 1 }), /^AUC on the window of 2001-06-25/);
  const many = freshness(makeResult({ windows: 300, models: 300 }));
  assert.match(many, 'thinned out evenly to 24 of 297 models');
  assert.is(many.split('\n').length, 28);
  assert.match(freshness(makeResult({ models: 1 })), 'only one model');
  assert.match(freshness(makeResult({ models: 0 })), 'nothing to compare');
});

test('freshness: for loss a fall is the good direction', () => {
  const text = freshness(makeResult(), { metric: 'loss', color: true });
  assert.match(text, '\u001b[32m-0.1072 loss');
});

test('timings: shares of the whole, speed of all trainings', () => {
  const lines = timings(makeResult({ windows: 4, models: 3 })).split('\n');
  assert.is(lines[3], 'training        6.00 s   25.0%');
  assert.is(lines.at(-2), 'total           24.0 s  100.0%');
  assert.is(lines.at(-1), '3 trainings: 321,010 samples in 6.29 s, 50,999 samples/s');
  assert.match(timings(makeResult({ models: 0 })), /no training$/);
});

test('triggers: reasons of users stay on their line', () => {
  const result = makeResult({ windows: 4, models: 2 });
  result.triggers[0]!.trigger.reason = 'drift\n\u001b[2Jof distance';
  Object.assign(result.triggers[1]!, { training: null, evaluation: null });
  const lines = triggerList(result).split('\n');
  assert.is(lines.length, 3);
  assert.is(lines[1], '      0  2001-01-07 23:59:59   99,999  drift [2Jof distance');
  assert.match(lines[2]!, /\(no training\)$/);
  assert.is(triggerList(makeResult({ models: 0 })), 'no triggers');
});

test('triggers: score and threshold where a policy has them', () => {
  const result = makeResult({ windows: 4, models: 2 });
  Object.assign(result.triggers[0]!.trigger, { score: 0.25, threshold: 0.1 });
  const lines = triggerList(result).split('\n');
  assert.match(lines[0]!, /score +threshold +reason$/);
  assert.match(lines[1]!, / 0\.2500 +0\.1000 /);
  assert.match(lines[2]!, / - +- /);
});

test('trainings: the metric on the window that followed, or none', () => {
  const result = makeResult({ windows: 4, models: 3 });
  result.triggers[2]!.evaluation = null;
  const lines = trainingList(result).split('\n');
  assert.match(lines[0]!, /next AUC {2}model$/);
  assert.match(lines[1]!, /0\.6575 {2}flights-weekly\/0$/);
  assert.match(lines[3]!, / - {2}flights-weekly\/2$/);
  assert.is(trainingList(makeResult({ models: 0 })), 'no trainings');
});

test.run();
