import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { makeResult, markupError } from './fixture.test.helper.js';
import { renderReport } from './html.js';

const hostile = '</title><script>alert(1)</script>"\'&\u0000';

test('one well-formed document with title, language, pictures with names and tables with headers', () => {
  const html = renderReport(makeResult(), { version: '1.2.3', generated: '2001-07-01' });
  assert.is(markupError(html.replace(/<style>[\s\S]*?<\/style>/, '')), null);
  assert.match(html, /^<!doctype html>\n<html lang="en">/);
  assert.match(html, '<title>flights-weekly: report of a Sluice run</title>');
  assert.is([...html.matchAll(/<svg [^>]*role="img" aria-label="[^"]+"/g)].length, 3);
  assert.is([...html.matchAll(/<table>\n<thead><tr>(<th scope="col"[^>]*>[^<]+<\/th>)+<\/tr><\/thead>/g)].length, 3);
  assert.match(html, 'Made by Sluice 1.2.3, 2001-07-01. The run is complete.');
});

test('asks nothing of the network and runs no script', () => {
  const html = renderReport(makeResult());
  const addresses = [...html.matchAll(/https?:\/\/[^"' )<]+/g)].map((m) => m[0]);
  assert.equal([...new Set(addresses)].sort(), ['http://www.w3.org/1999/xlink', 'http://www.w3.org/2000/svg']);
  assert.not.match(html, /<script|<link|<img|@import|url\((?!#)|\ssrc=|\shref=/);
});

test('ids in the three pictures do not clash', () => {
  const ids = [...renderReport(makeResult()).matchAll(/\sid="([^"]+)"/g)].map((m) => m[1]);
  assert.is(new Set(ids).size, ids.length);
});

test('text of users is escaped wherever it stands', () => {
  const result = makeResult({ windows: 4, models: 2 });
  Object.assign(result, { pipelineId: hostile, triggerPolicy: hostile, selectionPolicy: hostile });
  result.dataset.id = hostile;
  result.triggers[0]!.trigger.reason = hostile;
  Object.assign(result.triggers[0]!.training!, { modelId: hostile, modelFile: hostile, parent: hostile });
  const html = renderReport(result, { version: hostile, generated: hostile });
  assert.not.match(html, /<script/i);
  assert.not.match(html, '\u0000');
  assert.match(html, '&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;');
  assert.is(markupError(html.replace(/<style>[\s\S]*?<\/style>/, '')), null);
});

test('headline: models, samples, first and last model on the last windows, training time', () => {
  const html = renderReport(makeResult());
  const number = (term: string) => new RegExp(`<dt>${term}</dt><dd>([^<]*)<small>([^<]*)<`).exec(html)?.slice(1);
  assert.equal(number('Models'), ['25', '25 triggers']);
  assert.equal(number('Samples in the stream'), ['2,599,301', '26 windows']);
  assert.equal(number('AUC, first model'), ['0.5945', 'on the last 4 complete windows']);
  assert.equal(number('AUC, last model'), ['0.7017', '+0.1072 against the first']);
  assert.equal(number('Training')?.[0], '50.4 s');
});

test('trainings tell the model that they started from', () => {
  const html = renderReport(makeResult({ windows: 4, models: 2 }));
  assert.match(html, '<td>flights-weekly/0</td><td class="free">random weights</td>');
  assert.match(html, '<td>flights-weekly/1</td><td class="free">flights-weekly/0</td>');
});

test('the way to run it again: ids that a shell would read otherwise are quoted', () => {
  assert.match(
    renderReport(makeResult()),
    'sluice show flights-weekly &gt; flights-weekly.yaml\nsluice run flights-weekly.yaml --data another-folder',
  );
  const result = makeResult();
  result.pipelineId = "a'; rm -rf b";
  assert.match(renderReport(result), 'sluice show &#39;a&#39;\\&#39;&#39;; rm -rf b&#39; &gt; pipeline.yaml');
});

test('an interrupted run and one without triggers say so', () => {
  const result = makeResult({ windows: 6, models: 3 });
  result.status = 'incomplete';
  Object.assign(result.triggers[2]!, { training: null, evaluation: null });
  const html = renderReport(result);
  assert.match(
    html,
    '<p class="warn" role="note">Incomplete run: it stopped before the end of the stream (1 trigger without training).</p>',
  );
  assert.match(html, 'The run is incomplete.');
  const empty = renderReport(makeResult({ models: 0 }));
  assert.match(empty, 'The policy did not trigger.');
  assert.match(empty, 'No model was trained.');
});

test.run();
