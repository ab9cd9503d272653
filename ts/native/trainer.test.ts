import { getEventListeners } from 'node:events';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { evaluate, rocAuc } from './evaluator.js';
import { endless, expectError, makeDataset, makeEvalPlan, makeTrainPlan, temporaryFolder } from './fixture.test.helper.js';
import { modelHeader } from './models.js';
import { setComputeThreads } from './threads.js';
import { train } from './trainer.js';
import type { TrainProgress } from './types.js';

const folder = temporaryFolder();
const dataset = await makeDataset(folder, 20_000);
const plan = await makeTrainPlan(folder, dataset);
// Tests share the machine with others, and a model so small gains nothing from a second thread.
setComputeThreads(1);

test('a model is trained, written and evaluated', async () => {
  const result = await train(dataset, { ...plan, epochs: 2 });
  assert.is(result.steps, 2 * Math.ceil(20_000 / 256));
  assert.is(result.samples, 40_000);
  assert.ok(result.seconds > 0 && result.samplesPerSecond > 0);

  const header = modelHeader(plan.output);
  assert.is(header.metadata.made, 'by a test');
  assert.ok(header.tensors.some((tensor) => tensor.shape.join() === '512,8'));

  const windows = [
    { first: 0, end: 15_000 },
    { first: 15_000, end: 20_000 },
    { first: 5, end: 5 },
  ];
  const done: number[] = [];
  const metrics = await evaluate(dataset, makeEvalPlan(plan.output, windows), { onProgress: (n) => done.push(n) });
  assert.equal(
    metrics.map((m) => m.samples),
    [15_000, 5000, 0],
  );
  assert.is(done.at(-1), 3);
  assert.ok((metrics[0]?.auc ?? 0) > 0.9, `AUC ${metrics[0]?.auc}`);
  assert.ok((metrics[1]?.accuracy ?? 0) > 0.8);
  assert.is(metrics[2]?.auc, null);
});

test('the same plan gives the same model; a parent is where training starts', async () => {
  const once = await train(dataset, { ...plan, output: path.join(folder, 'a.safetensors') });
  const twice = await train(dataset, { ...plan, output: path.join(folder, 'b.safetensors') });
  assert.is(twice.loss, once.loss);
  const further = await train(dataset, { ...plan, parent: path.join(folder, 'a.safetensors') });
  assert.ok(further.loss < once.loss);
});

/** The largest gap between two ticks of a 10 ms timer while `work` runs. */
async function largestGapMs(work: () => Promise<unknown>): Promise<{ gap: number; ticks: number }> {
  let gap = 0;
  let ticks = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    gap = Math.max(gap, now - last);
    last = now;
    ticks++;
  }, 10);
  await work();
  clearInterval(timer);
  return { gap, ticks };
}

test('the event loop stays responsive while a model trains, and progress comes at most 20 times a second', async () => {
  setComputeThreads(0);
  const progress: TrainProgress[] = [];
  const started = performance.now();
  const { gap, ticks } = await largestGapMs(() =>
    expectError('E_ABORTED', () =>
      train(dataset, { ...plan, epochs: endless }, { signal: AbortSignal.timeout(1000), onProgress: (p) => progress.push(p) }),
    ),
  );
  const seconds = (performance.now() - started) / 1000;
  setComputeThreads(1);
  assert.ok(ticks >= 20, `${ticks} ticks`);
  assert.ok(gap < 50, `a 10 ms timer was ${gap.toFixed(1)} ms late`);
  assert.ok(progress.length >= 3 && progress.length <= 20 * seconds + 2, `${progress.length} events in ${seconds} s`);
  assert.ok(progress.every((p, i) => i === 0 || p.steps > (progress[i - 1]?.steps ?? 0)));
  assert.is(progress[0]?.totalSteps, endless * Math.ceil(20_000 / 256));
  assert.ok(progress.every((p) => Number.isFinite(p.loss) && p.samples > 0));
});

test('aborting stops a training and leaves no file and no listener', async () => {
  const controller = new AbortController();
  const output = path.join(folder, 'aborted.safetensors');
  const reason = new Error('enough');
  const training = train(
    dataset,
    { ...plan, output, epochs: endless },
    { signal: controller.signal, onProgress: () => controller.abort(reason) },
  );
  const error = await expectError('E_ABORTED', () => training);
  assert.is(error.cause, reason);
  assert.not.ok(existsSync(output));
  assert.is(getEventListeners(controller.signal, 'abort').length, 0);

  const finished = new AbortController();
  await train(dataset, plan, { signal: finished.signal });
  assert.is(getEventListeners(finished.signal, 'abort').length, 0);
  finished.abort();
});

test('an aborted signal rejects at once', async () => {
  await expectError('E_ABORTED', () => train(dataset, { ...plan, epochs: endless }, { signal: AbortSignal.abort() }));
  await expectError('E_ABORTED', () => evaluate(dataset, makeEvalPlan(plan.output, []), { signal: AbortSignal.abort() }));
});

test('what a progress callback throws stops the training and is its rejection', async () => {
  for (const thrown of [new RangeError('mine'), 'text', null]) {
    const onProgress = () => {
      throw thrown;
    };
    const caught = await train(dataset, { ...plan, epochs: endless }, { onProgress }).then(
      () => assert.unreachable(),
      (error: unknown) => error,
    );
    assert.is(caught, thrown);
  }
});

test('a dataset may be closed while a model trains on it', async () => {
  const ownFolder = temporaryFolder();
  const own = await makeDataset(ownFolder, 5000);
  const training = train(own, await makeTrainPlan(ownFolder, own, { epochs: 20 }));
  own.close();
  assert.is((await training).samples, 100_000);
});

test('two trainings run side by side', async () => {
  const outputs = ['c.safetensors', 'd.safetensors'].map((name) => path.join(folder, name));
  const results = await Promise.all(outputs.map((output) => train(dataset, { ...plan, output })));
  assert.is(results[0]?.loss, results[1]?.loss);
});

test('ROC AUC: hand-checked, with ties, and null for one class', () => {
  assert.is(rocAuc(Float32Array.of(0.1, 0.4, 0.35, 0.8), Float32Array.of(0, 0, 1, 1)), 0.75);
  assert.is(rocAuc(Float32Array.of(1, 1, 1), Float32Array.of(0, 1, 1)), 0.5);
  assert.is(rocAuc(Float32Array.of(1, 2), Float32Array.of(1, 1)), null);
});

test.after(() => {
  dataset.close();
  setComputeThreads(0);
});

test.run();
