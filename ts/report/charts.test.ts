import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { freshnessChart, matrixChart, timelineChart } from './charts.js';
import { day, makeResult, markupError } from './fixture.test.helper.js';

const interrupted = () => {
  const result = makeResult({ windows: 6, models: 4 });
  result.status = 'incomplete';
  result.triggers[2]!.evaluation = null;
  Object.assign(result.triggers[3]!, { training: null, evaluation: null });
  return result;
};

const shapes = {
  weekly: makeResult({ lastCoverage: 0.2 }),
  small: makeResult({ windows: 4, models: 3 }),
  hourly: makeResult({ windows: 48, models: 20, windowMs: day / 24, evaluate: 'all' }),
  oneOfEach: makeResult({ windows: 1, models: 1 }),
  oneModel: makeResult({ models: 1 }),
  noTriggers: makeResult({ models: 0 }),
  noWindows: makeResult({ windows: 0, models: 0 }),
  multiClass: makeResult({ multiClass: true }),
  interrupted: interrupted(),
  large: makeResult({ windows: 300, models: 300, windowMs: day }),
};

for (const [name, result] of Object.entries(shapes)) {
  test(`${name}: well-formed pictures with an accessible name, the same bytes each time`, () => {
    for (const draw of [matrixChart, timelineChart, freshnessChart] as ((r: typeof result) => string)[]) {
      const svg = draw(result);
      assert.is(markupError(svg), null);
      assert.match(
        svg,
        /^<svg width="900" height="\d+" [^>]*viewBox="0 0 900 \d+"[^>]* role="img" aria-label="[^"]+">\n<title>[^<]+<\/title>/,
      );
      assert.not.match(svg, /NaN|Infinity|undefined|\[object|<style|class="|ecmeta/);
      assert.is(draw(result), svg);
    }
  });
}

const countOf = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].length;

test('matrix: each value stands in its cell', () => {
  const svg = matrixChart(shapes.small);
  for (const value of ['.657', '.631', '.598', '.665', '.629', '.663']) assert.match(svg, `>${value}<`);
  assert.match(svg, '>2 · 2001-01-21<');
});

test('matrix: best values are yellow, worst violet; for loss the other way round', () => {
  const cells = (svg: string) => [...svg.matchAll(/<path [^>]*fill="(#[0-9a-f]{6})"[^>]*stroke="#eef0f3"/g)].map((m) => m[1]);
  const result = shapes.small;
  const auc = cells(matrixChart(result, 'auc'));
  assert.is(auc.length, 6);
  assert.is(auc[3], '#fde725');
  assert.is(auc[2], '#440154');
  assert.equal(cells(matrixChart(result, 'loss')), auc);
});

test('matrix: hundreds of models are drawn as means of blocks, which is said', () => {
  const svg = matrixChart(shapes.large);
  assert.match(svg, 'mean of up to 3 × 3 models × windows');
  assert.ok(svg.length < 700_000, `${svg.length}`);
});

test('matrix: names the metric, the partial window and what a run lacks', () => {
  assert.match(matrixChart(shapes.multiClass), '>Accuracy of each model');
  assert.match(matrixChart(shapes.weekly), '>2001-06-25 *<');
  assert.match(matrixChart(shapes.interrupted), 'Incomplete run');
  assert.match(matrixChart(shapes.noTriggers), 'No model was evaluated');
});

test('timeline: a mark for each trigger, those without training apart', () => {
  const marks = (color: string) => new RegExp(`<path [^>]*fill="${color}"`, 'g');
  const svg = timelineChart(shapes.interrupted);
  // One mark more than triggers: the legend's.
  assert.is(countOf(svg, marks('#c2410c')), 4);
  assert.is(countOf(svg, marks('#6b7280')), 2);
  assert.match(svg, 'trigger without training');
  assert.not.match(timelineChart(shapes.small), 'trigger without training');
});

test('timeline: hundreds of windows share bars, which is said', () => {
  assert.match(timelineChart(shapes.large), 'samples per 2 windows');
  assert.match(timelineChart(shapes.small), '>samples per window<');
});

test('freshness: tells the windows, the gain and the values at both ends', () => {
  const svg = freshnessChart(makeResult());
  assert.match(svg, 'AUC on 4 windows from 2001-06-04 to 2001-07-01');
  assert.match(svg, '+0.1072 (0.5945 to 0.7017)');
  assert.match(svg, '>0.5945<');
  assert.match(svg, '>0.7017<');
  assert.match(freshnessChart(shapes.oneModel), 'Only one model');
  assert.match(freshnessChart(shapes.noTriggers), 'No model was evaluated');
});

test.run();
