import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { z } from 'zod';
import { withPolicies } from '../config/own.js';
import { type LoadedPipeline, loadPipeline } from '../config/parse.js';
import { Dataset } from '../native/dataset.js';
import type { RunEvent } from '../pipeline/events.js';
import { changed, failure, inWorkplace, rows, type Workplace } from '../pipeline/fixture.test.helper.js';
import { foldersOf } from '../pipeline/folders.js';
import { Journal, readResult } from '../pipeline/journal.js';
import type { RunResult } from '../pipeline/results.js';
import { runExperiment } from '../pipeline/run.js';
import { defineSelection, defineTrigger } from '../policies/define.js';
import {
  appear,
  ask,
  arrivedAt,
  csvRows,
  jsonRows,
  push,
  pushing,
  type Serving,
  serving,
  spawned,
  trainedTrigger,
  urlOf,
  watching,
} from './fixture.test.helper.js';

const test = suite('serve');
const week = 672;

async function result({ data }: Workplace, id = 'tiny'): Promise<RunResult> {
  const journal = await Journal.open(foldersOf(data).state);
  try {
    return readResult(journal, id);
  } finally {
    await journal.close();
  }
}

/** What must be equal for two runs over the same arrivals: decisions, sets, parents and (by the exact loss) weights. */
function essence({ triggers }: RunResult) {
  return triggers.map(({ trigger, training }) => {
    const { id, key, timeMs, reason, outcome } = trigger;
    const parent = training?.parent?.replace(/.*\//, '');
    return { id, key, timeMs, reason, outcome, trainset: training?.trainset, parent, loss: training?.loss };
  });
}

async function pushAll(serve: Serving, borders: number[]): Promise<void> {
  const url = await urlOf(serve);
  for (const [i, end] of borders.slice(1).entries()) {
    const answer = await push(url, jsonRows(borders[i]!, end));
    assert.equal([answer.status, answer.json], [200, { first: borders[i], count: end - borders[i]! }]);
  }
}

const size = ({ data }: Workplace): number => {
  using dataset = Dataset.open(foldersOf(data).dataset('tiny'), { readOnly: true });
  return dataset.size();
};

test('pushed samples fire triggers; models become current; a replay of the trace gives the same', () =>
  inWorkplace(async (place) => {
    const serve = await serving(place, pushing());
    await pushAll(serve, [0, 100, 101, 700, 1500, 2800, rows]);
    await serve.until(trainedTrigger(4));
    await serve.until((e) => e.type === 'available' && e.modelId === 'tiny/4');
    await serve.stop();
    assert.is(serve.events.at(-1)?.type, 'stopped');
    const live = await result(place);
    assert.is(live.status, 'live');
    assert.equal(
      live.triggers.map((t) => t.trigger.key),
      [671, 1343, 2015, 2687, 3359],
    );
    assert.is(live.dataset.samples, rows);
    const current = JSON.parse(readFileSync(foldersOf(place.data).currentFile('tiny'), 'utf8'));
    assert.is(current.model, 'tiny/4');
    assert.ok(existsSync(join(foldersOf(place.data).models('tiny'), current.file)));
    const again = await runExperiment(await loadPipeline(join(place.folder, 'p.yaml')), { dataFolder: place.data, trace: 'tiny' });
    assert.is(again.pipelineId, 'tiny.trace');
    assert.is(again.status, 'complete');
    assert.equal(essence(again), essence(live));
    assert.equal(
      again.triggers[0]?.evaluation?.map((m) => m.window),
      [1, 2, 3, 4, 5],
    );
  }));

test('windows that end are evaluated on the model before them', () =>
  inWorkplace(async (place) => {
    const serve = await serving(place, pushing());
    const url = await urlOf(serve);
    const windows: number[] = [];
    for (let w = 0; w < 4; w++) {
      await push(
        url,
        jsonRows(w * week, (w + 1) * week + 1)
          .trimEnd()
          .split('\n')
          .slice(w === 0 ? 0 : 1)
          .join('\n'),
      );
      await serve.until((e) => e.type === 'available' && e.modelId === `tiny/${w}`);
      if (w > 0) {
        const event = await serve.until((e) => e.type === 'window' && e.window.index === w);
        if (event.type === 'window') windows.push(event.triggerId);
      }
    }
    await serve.stop();
    assert.equal(windows, [0, 1, 2]);
    const { triggers, windows: all } = await result(place);
    assert.equal(
      triggers[0]?.evaluation?.map((m) => [m.window, m.samples]),
      [[1, week]],
    );
    assert.equal(
      all.map((w) => w.index),
      [0, 1, 2, 3],
    );
  }));

test('stopped at any event it goes on exactly there', () =>
  inWorkplace(async (place) => {
    const borders = [0, 300, 900, 1344, 1400, 3000, rows];
    const changes = { ...pushing(), 'epochs: 3': 'epochs: 6, record: [loss]', 'id: new-data': 'id: recorded, by: loss, ratio: 0.5' };
    let expected: unknown;
    for (const stops of [[], ['arrival', 'trigger', 'train', 'trained', 'available', 'window', 'ingest']]) {
      const at = { ...place, data: join(place.folder, `data${stops.length}`) };
      let done = 0;
      for (const type of [...stops, 'end']) {
        const serve: Serving = await serving(at, changes);
        const url = await urlOf(serve);
        const last = serve.until((e) => e.type === 'available' && e.modelId === 'tiny/4');
        last.catch(() => {});
        const stopped = type === 'end' ? undefined : serve.until((e) => e.type === type).then(() => serve.stop());
        stopped?.catch(() => {});
        try {
          for (; done + 1 < borders.length; done++) {
            const answer = await push(url, jsonRows(borders[done]!, borders[done + 1]!), { 'idempotency-key': `k${done}` });
            if (answer.status !== 200) break;
          }
        } catch {
          // The connection ended with the server.
        }
        if (type !== 'end') {
          await Promise.race([stopped, last.then(() => serve.stop())]).catch(() => {});
          await serve.ended;
        } else {
          await last;
          await serve.stop();
        }
      }
      assert.is(size(at), rows);
      const live = await result(at);
      if (expected === undefined) expected = essence(live).map(({ key, reason }) => ({ key, reason }));
      assert.equal(
        essence(live).map(({ key, reason }) => ({ key, reason })),
        expected,
      );
      const again = await runExperiment(await loadPipeline(join(place.folder, 'p.yaml')), { dataFolder: at.data, trace: 'tiny' });
      assert.equal(essence(again), essence(live));
    }
  }));

test('killed at any step it goes on exactly there', () =>
  inWorkplace(async (place) => {
    place.data = join(place.folder, 'sluice-data');
    place.write(
      'p.yaml',
      changed({ ...pushing(), 'epochs: 3': 'epochs: 100, record: [loss]', 'id: new-data': 'id: recorded, by: loss, ratio: 0.5' }),
    );
    const borders = [0, 300, 900, 1344, 1400, 3000, rows];
    let done = 0;
    for (const type of ['trigger', 'train', 'available', 'window', 'trained', 'end']) {
      const fresh = (event: RunEvent) => event.type === type && !('recorded' in event && event.recorded);
      const last = (event: RunEvent) => event.type === 'available' && event.modelId === 'tiny/4';
      const { exit, url } = await spawned(place.folder, (event, child) => {
        if (fresh(event)) child.kill('SIGKILL');
        else if (last(event)) child.kill('SIGTERM');
      });
      for (; done + 1 < borders.length; done++) {
        const body = jsonRows(borders[done]!, borders[done + 1]!);
        const answer = await push(url, body, { 'idempotency-key': `k${done}` }).catch(() => undefined);
        if (answer?.status !== 200) break;
      }
      const code = await exit;
      assert.ok(code === null || code === 0, `${type}: ${code}`);
    }
    assert.is(size(place), rows);
    const live = await result(place);
    assert.equal(
      live.triggers.map((t) => t.trigger.key),
      [671, 1343, 2015, 2687, 3359],
    );
    const again = await runExperiment(await loadPipeline(join(place.folder, 'p.yaml')), { dataFolder: place.data, trace: 'tiny' });
    assert.equal(essence(again), essence(live));
  }));

for (const [policy, outcome] of [
  ['merge', 'merged'],
  ['drop', 'dropped'],
] as const) {
  test(`triggers that pile up: ${policy}; a replay does the same`, () =>
    inWorkplace(async (place) => {
      const changes = { ...pushing(), 'serve: { ': `serve: { pending: ${policy}, ` };
      let open = () => {};
      const gate = new Promise<void>((resolve) => {
        open = resolve;
      });
      const gated = defineSelection({
        id: 'gated',
        summary: 'New data, after a gate was opened.',
        config: z.strictObject({}),
        reset: true,
        async select(_, { first, end }) {
          await gate;
          return { first, end };
        },
      });
      const change = (pipeline: LoadedPipeline) => withPolicies(pipeline, { selection: { policy: gated } });
      const serve = await serving(place, changes, { change });
      const url = await urlOf(serve);
      await push(url, jsonRows(0, 700));
      await serve.until((e) => e.type === 'trigger' && e.trigger.id === 0);
      await push(url, jsonRows(700, 2700));
      await serve.until(arrivedAt(2700));
      open();
      await serve.until((e) => e.type === 'available' && e.modelId === 'tiny/0');
      if (policy === 'merge') await serve.until((e) => e.type === 'available' && e.modelId === 'tiny/3');
      await push(url, jsonRows(2700, rows));
      await serve.until((e) => e.type === 'available' && e.modelId === 'tiny/4');
      await serve.stop();
      const live = await result(place);
      const outcomes = live.triggers.map((t) => t.trigger.outcome);
      assert.equal(
        outcomes,
        policy === 'merge' ? [undefined, outcome, outcome, undefined, undefined] : [undefined, outcome, outcome, outcome, undefined],
      );
      const sizes = live.triggers.map((t) => t.training?.trainsetSize ?? 0);
      assert.is(
        sizes.reduce((a, b) => a + b),
        3360,
      ); // nothing is left out
      const pipeline = change(await loadPipeline(join(place.folder, 'p.yaml')));
      const again = await runExperiment(pipeline, { dataFolder: place.data, trace: 'tiny' });
      assert.equal(essence(again), essence(live));
    }));
}

test('samples whose times go back are taken in the order of arrival; only a replay of the trace takes them', () =>
  inWorkplace(async (place) => {
    const serve = await serving(place, pushing());
    const url = await urlOf(serve);
    for (const [first, end] of [
      [0, 700],
      [900, 1500],
      [700, 900],
      [1500, 2100],
    ] as const)
      await push(url, jsonRows(first, end));
    await serve.until(trainedTrigger(2));
    await serve.stop();
    const live = await result(place);
    assert.equal(
      live.triggers.map((t) => t.trigger.key),
      [671, 1143, 2015],
    );
    const again = await runExperiment(await loadPipeline(join(place.folder, 'p.yaml')), { dataFolder: place.data, trace: 'tiny' });
    assert.equal(essence(again), essence(live));
    assert.equal(
      again.windows.map((w) => [w.first, w.end]),
      [
        [0, 672],
        [672, 1144],
        [1144, 2016],
        [2016, 2100],
      ],
    );
    const other = await failure(place.run({ ...pushing(), 'id: tiny, seed': 'id: other, seed' }));
    assert.match(other.message, 'timestamps go back in time');
  }));

test('after a deletion what fired stands; production and its replay go on without the samples', () =>
  inWorkplace(async (place) => {
    const changes = { ...pushing(), 'id: time, every: 1w': 'id: amount, samples: 500' };
    const first = await serving(place, changes);
    await pushAll(first, [0, 700, 1600]);
    await first.until(trainedTrigger(2));
    await first.stop();
    {
      using dataset = Dataset.open(foldersOf(place.data).dataset('tiny'));
      assert.is(await dataset.delete([{ first: 100, end: 350 }], 'test'), 250);
    }
    for (const [from, to] of [
      [1600, 1700],
      [1700, 2600],
    ] as const) {
      const serve = await serving(place, changes);
      await pushAll(serve, [from, to]);
      await serve.until(arrivedAt(to));
      if (to === 2600) await serve.until(trainedTrigger(3));
      await serve.stop();
    }
    const live = await result(place);
    assert.equal(live.triggers.map((t) => t.trigger.key).slice(0, 3), [499, 999, 1499]);
    assert.ok(live.triggers.length >= 4);
    const again = await runExperiment(await loadPipeline(join(place.folder, 'p.yaml')), { dataFolder: place.data, trace: 'tiny' });
    const keys = (of: RunResult) => of.triggers.map((t) => [t.trigger.key, t.trigger.outcome]);
    assert.equal(keys(again), keys(live));
    assert.is(again.triggers[0]?.training?.trainsetSize, 250);
  }));

test('files are ingested as they appear, once; broken ones are told and put aside', () =>
  inWorkplace(async (place) => {
    mkdirSync(join(place.folder, 'in'));
    writeFileSync(join(place.folder, 'in', '.hidden.csv'), csvRows(0, 10));
    appear(place, 'a.csv', csvRows(0, 500));
    const first = await serving(place, watching);
    await first.until(arrivedAt(500));
    writeFileSync(join(place.folder, 'in', 'c.csv.tmp'), 'not yet');
    appear(place, 'b1.csv', csvRows(500, 600).replace(/,[01]\n$/, ',2\n'));
    const problem = await first.until((e) => e.type === 'problem');
    assert.match(JSON.stringify(problem), /E_LABEL_RANGE.*in\/b1\.csv.*row 100/);
    appear(place, 'b.csv', csvRows(600, 1000));
    await first.until(arrivedAt(900));
    await first.stop();
    appear(place, 'c.csv', csvRows(1000, rows));
    const second = await serving(place, watching);
    await second.until(arrivedAt(3900));
    await second.until(trainedTrigger(4));
    await second.stop();
    assert.is(size(place), rows - 100);
    const live = await result(place);
    const again = await runExperiment(await loadPipeline(join(place.folder, 'p.yaml')), { dataFolder: place.data, trace: 'tiny' });
    assert.equal(essence(again), essence(live));
  }));

test('a training that fails is told and journalled; production goes on', () =>
  inWorkplace(async (place) => {
    const changes = { ...pushing(), 'label: { column: y }': 'label: { column: y, real: true }', 'id: adam, lr: 0.02': 'id: sgd, lr: 1000' };
    const serve = await serving(place, changes);
    await pushAll(serve, [0, 700]);
    const problem = await serve.until((e) => e.type === 'problem');
    assert.is(problem.type === 'problem' && problem.code, 'E_DIVERGED');
    await serve.until((e) => e.type === 'trigger' && e.trigger.outcome === 'failed');
    await pushAll(serve, [700, 800]);
    await serve.stop();
    assert.is((await result(place)).triggers[0]?.trigger.outcome, 'failed');
  }));

test('what cannot begin says why', () =>
  inWorkplace(async (place) => {
    assert.is((await failure((await serving(place, {})).ended)).code, 'E_ARGUMENT');
    const serve = await serving(place, pushing());
    const url = await urlOf(serve);
    assert.is((await failure((await serving(place, pushing())).ended)).code, 'E_LOCKED');
    const port = new URL(url).port;
    const taken = await failure(
      (await serving(place, { ...pushing(`port: ${port}`), 'id: tiny, seed': 'id: other, seed', '\n  id: tiny': '\n  id: own' })).ended,
    );
    assert.match(taken.message, `port ${port} of 127.0.0.1 is in use`);
    await serve.stop();
    const changedRate = await failure((await serving(place, { ...pushing(), 'lr: 0.02': 'lr: 0.01' })).ended);
    assert.is(changedRate.code, 'E_CHANGED');
    const experiment = await failure(place.run({ 'source: { format: csv, path: d.csv }': 'source: { format: push }' }));
    assert.match(experiment.hint ?? '', 'sluice run --trace tiny');
    assert.is((await failure((await serving(place, pushing('port: 0, token: "env:SLUICE_NO_SUCH_TOKEN"'))).ended)).code, 'E_ARGUMENT');
    assert.match((await failure(place.run({}, { trace: 'none' }))).message, 'no trace of pipeline none');
    assert.match(
      (await failure(loadPipeline(place.write('q.yaml', changed(pushing('port: 0, host: 0.0.0.0')))))).message,
      'serve.http.token',
    );
  }));

test('samples are taken before the policy has been led to where it was', () =>
  inWorkplace(async (place) => {
    let slow = false;
    const policy = defineTrigger({
      id: 'slow',
      summary: 'Takes its time, and never fires.',
      config: z.strictObject({}),
      create: () => ({
        inform() {
          for (const until = performance.now() + 15; slow && performance.now() < until; );
          return [];
        },
      }),
    });
    const change = (pipeline: LoadedPipeline) => withPolicies(pipeline, { trigger: { policy } });
    const changes = { ...pushing(), 'selection: { id: new-data }': 'replay: { batch: 8 }\nselection: { id: new-data }' };
    const first = await serving(place, changes, { change });
    await pushAll(first, [0, 2000]);
    await first.until(arrivedAt(2000));
    await first.stop();
    slow = true;
    const second = await serving(place, changes, { change });
    const listening = await second.until((e) => e.type === 'listening');
    const url = listening.type === 'listening' ? listening.url : '';
    assert.equal((await push(url, jsonRows(2000, 2100))).json, { first: 2000, count: 100 });
    assert.is((await ask(url, '/readyz')).status, 200);
    assert.not.ok(second.events.some((e) => e.type === 'serving'));
    slow = false;
    await second.until(arrivedAt(2100));
    await second.stop();
    assert.is((await result(place)).dataset.samples, 2100);
  }));

test('a policy that decides otherwise after a restart is told', () =>
  inWorkplace(async (place) => {
    let every = 500;
    const policy = defineTrigger({
      id: 'fickle',
      summary: 'Fires now and then.',
      config: z.strictObject({}),
      create() {
        let seen = 0;
        return {
          *inform(batch) {
            for (let i = 0; i < batch.length; i++) if (++seen % every === 0) yield { at: i, reason: `${every} samples` };
          },
        };
      },
    });
    const change = (pipeline: LoadedPipeline) => withPolicies(pipeline, { trigger: { policy } });
    const serve = await serving(place, pushing(), { change });
    await pushAll(serve, [0, 700]);
    await serve.until(trainedTrigger(0));
    await serve.stop();
    for (every of [499, 600, 300]) {
      const error = await failure((await serving(place, pushing(), { change })).ended);
      assert.is(error.code, 'E_CHANGED');
      assert.match(error.message, "'fickle'");
    }
  }));

test.run();
