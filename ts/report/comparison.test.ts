import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compareFreshness } from './comparison.js';
import { makeResult } from './fixture.test.helper.js';

const indexes = (windows: { index: number }[]) => windows.map((w) => w.index);

test('weekly: models that had not seen the last four windows, fresher ones better', () => {
  const { metric, windows, points, gain } = compareFreshness(makeResult());
  assert.is(metric, 'auc');
  assert.equal(indexes(windows), [22, 23, 24, 25]);
  assert.is(points.length, 22);
  assert.equal(
    points.map((p) => p.window),
    Array.from({ length: 22 }, (_, i) => i),
  );
  assert.ok(points.every((p, i) => i === 0 || p.value > points[i - 1]!.value));
  assert.is(gain, points[21]!.value - points[0]!.value);
});

test('a value is the mean over the windows weighted by their samples', () => {
  const result = makeResult({ windows: 3, models: 1 });
  result.windows = [
    { index: 0, first: 0, end: 100, startMs: 0, endMs: 10 },
    { index: 1, first: 100, end: 400, startMs: 10, endMs: 20 },
    { index: 2, first: 400, end: 500, startMs: 20, endMs: 30 },
  ];
  result.dataset.lastMs = 29;
  result.triggers[0]!.trigger.key = 99;
  result.triggers[0]!.evaluation = [
    { window: 1, samples: 300, loss: 0.5, accuracy: 0.9, auc: 0.6, rmse: null },
    { window: 2, samples: 100, loss: 0.5, accuracy: 0.9, auc: 0.8, rmse: null },
  ];
  const { points } = compareFreshness(result, { lastWindows: 2 });
  assert.ok(Math.abs(points[0]!.value - 0.65) < 1e-12);
});

test('a partial last window is left out unless it is the only one', () => {
  assert.equal(indexes(compareFreshness(makeResult({ lastCoverage: 0.2 })).windows), [21, 22, 23, 24]);
  const only = makeResult({ windows: 1, models: 1, lastCoverage: 0.1, evaluate: 'all' });
  only.triggers[0]!.trigger.key = -1;
  assert.equal(indexes(compareFreshness(only).windows), [0]);
});

test('models are not compared on windows that they were trained on', () => {
  const { points, windows } = compareFreshness(makeResult({ evaluate: 'all' }), { lastWindows: 4 });
  assert.is(points.at(-1)!.window, windows[0]!.index - 1);
});

test('fewer windows are taken when four would leave fewer than two models', () => {
  const result = makeResult();
  result.triggers = result.triggers.slice(21);
  assert.equal(indexes(compareFreshness(result).windows), [23, 24, 25]);
  assert.is(compareFreshness(result).points.length, 2);
});

test('windows of one class only, which have no AUC, are passed over', () => {
  const result = makeResult({ windows: 6, models: 3 });
  for (const t of result.triggers) for (const m of t.evaluation ?? []) if (m.window === 5) m.auc = null;
  assert.equal(indexes(compareFreshness(result).windows), [4]);
});

test('one model gives a point without a gain, none gives neither', () => {
  const one = compareFreshness(makeResult({ models: 1 }));
  assert.is(one.points.length, 1);
  assert.is(one.gain, null);
  assert.equal(compareFreshness(makeResult({ models: 0 })), { metric: 'accuracy', windows: [], points: [], gain: null });
});

test.run();
