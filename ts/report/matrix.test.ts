import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { day, makeResult } from './fixture.test.helper.js';
import { completeWindows, evaluationMatrix, lastWindowIsPartial, mainMetric, thin, valueRange } from './matrix.js';

test('values stand at the column of their window, also when empty windows were left out', () => {
  const result = makeResult({ windows: 5, models: 1 });
  result.windows.splice(2, 1);
  result.triggers[0]!.evaluation = [{ window: 3, samples: 10, loss: 0.5, accuracy: 0.8, auc: 0.75, rmse: null }];
  const { values } = evaluationMatrix(result, 'auc');
  assert.equal(values, [[null, null, 0.75, null]]);
});

test('triggers without a model have no row, and values that are no numbers no place', () => {
  const result = makeResult({ windows: 4, models: 3 });
  Object.assign(result.triggers[1]!, { training: null, evaluation: null });
  result.triggers[0]!.evaluation![0]!.loss = Number.NaN;
  const matrix = evaluationMatrix(result, 'loss');
  assert.equal(
    matrix.models.map((m) => m.trigger.id),
    [0, 2],
  );
  assert.is(matrix.values[0]![1], null);
  const [least, greatest] = valueRange(matrix, matrix.windows)!;
  assert.ok(least > 0 && least < greatest && greatest < 1);
});

test('accuracy is the main metric where no model has an AUC', () => {
  assert.is(mainMetric(makeResult()), 'auc');
  assert.is(mainMetric(makeResult({ multiClass: true })), 'accuracy');
  assert.is(mainMetric(makeResult({ models: 0 })), 'accuracy');
});

test('a last window is partial when the stream ends early in it', () => {
  const partial = makeResult({ lastCoverage: 0.2 });
  assert.ok(lastWindowIsPartial(partial));
  assert.is(completeWindows(partial).length, 25);
  assert.not(lastWindowIsPartial(makeResult({ lastCoverage: 0.85 })));
});

test('a last window is complete when it has its samples though all at its start, or when it is the only one', () => {
  const daily = makeResult({ windowMs: day });
  daily.dataset.lastMs = daily.windows.at(-1)!.startMs;
  assert.not(lastWindowIsPartial(daily));
  const only = makeResult({ windows: 1, models: 0, lastCoverage: 0.1 });
  assert.not(lastWindowIsPartial(only));
  assert.is(completeWindows(only).length, 1);
});

test('thinning keeps both ends and even steps', () => {
  assert.equal(thin(3, 10), [0, 1, 2]);
  assert.equal(thin(9, 5), [0, 2, 4, 6, 8]);
  assert.equal(thin(300, 1), [299]);
  assert.equal(thin(0, 5), []);
  const many = thin(300, 26);
  assert.is(new Set(many).size, 26);
  assert.equal([many[0], many.at(-1)], [0, 299]);
});

test.run();
