import { cpSync, existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { SluiceError } from '../errors.js';
import { Metadata } from '../native/metadata.js';
import { modelHeader } from '../native/models.js';
import type { RunEvent } from './events.js';
import { csv, failure, inWorkplace, rows } from './fixture.test.helper.js';
import { foldersOf } from './folders.js';

const test = suite('run');
const weeks = 5;

test('one model a week, each evaluated on every following week; fresher is better', () =>
  inWorkplace(async ({ run, data }) => {
    const events: RunEvent[] = [];
    const result = await run({}, { onEvent: (event) => events.push(event) });
    assert.is(result.status, 'complete');
    assert.is(result.dataset.samples, rows);
    assert.is(result.windows.length, weeks + 1);
    assert.equal(
      result.triggers.map((t) => t.trigger.key),
      [671, 1343, 2015, 2687, 3359],
    );
    for (const [x, { training, evaluation }] of result.triggers.entries()) {
      assert.is(training?.trainsetSize, 672);
      assert.is(training?.parent, x === 0 ? null : `tiny/${x - 1}`);
      assert.equal(
        evaluation?.map((m) => m.window),
        Array.from({ length: weeks - x }, (_, i) => x + 1 + i),
      );
      for (const m of evaluation ?? [])
        assert.ok(m.auc !== null && m.auc > 0.6 && m.auc <= 1 && m.loss > 0 && (m.accuracy ?? 0) > 0.5, JSON.stringify([x, m]));
    }
    const last = (x: number) => result.triggers[x]?.evaluation?.at(-1)?.auc ?? 0;
    assert.ok(last(4) > last(0));
    const header = modelHeader(foldersOf(data).modelFile('tiny', 4));
    assert.is(header.metadata['pipeline'], 'tiny');
    assert.is(header.metadata['trainset'], result.triggers[4]?.training?.trainset);
    for (const type of ['ingest', 'start', 'replay', 'trigger', 'trained', 'evaluated', 'done'])
      assert.ok(
        events.some((e) => e.type === type),
        type,
      );
  }));

test('running again trains nothing and gives the same result; another folder gives the same bytes', () =>
  inWorkplace(async ({ run, models, data, folder }) => {
    const first = await run();
    const times = () => Array.from({ length: weeks }, (_, i) => statSync(foldersOf(data).modelFile('tiny', i)).mtimeMs);
    const before = times();
    const recorded: boolean[] = [];
    const again = await run({}, { onEvent: (e) => e.type === 'trained' && recorded.push(e.recorded) });
    assert.equal(again, first);
    assert.equal(times(), before);
    assert.equal(recorded, Array(weeks).fill(true));
    const other = join(folder, 'other');
    await run({}, { data: other });
    assert.equal(models(weeks, other), models(weeks));
  }));

test('stopped at any event it goes on and ends like an undisturbed run', () =>
  inWorkplace(async ({ run, models, folder }) => {
    const events: string[] = [];
    const undisturbed = await run({}, { onEvent: (e) => events.push(e.type) });
    const expected = models(weeks);
    const strip = (result: typeof undisturbed) =>
      result.triggers.map(({ trigger, training, evaluation }) => [trigger, training?.trainset, training?.loss, evaluation]);
    const stops = events.map((_, i) => i).filter((i) => i % 3 === 0);
    for (const stop of stops) {
      const data = join(folder, `stopped-${stop}`);
      const controller = new AbortController();
      let seen = 0;
      const onEvent = () => {
        if (seen++ === stop) controller.abort();
      };
      // A stop that comes after the last step finds nothing to stop.
      await run({}, { data, signal: controller.signal, onEvent }).catch((error: unknown) =>
        assert.is((error as SluiceError).code, 'E_ABORTED', `event ${stop}`),
      );
      const result = await run({}, { data });
      assert.equal(strip(result), strip(undisturbed), `stopped at event ${stop}`);
      assert.equal(models(weeks, data), expected);
    }
  }));

test('a changed pipeline is refused until it is restarted', () =>
  inWorkplace(async ({ run }) => {
    await run();
    const error = await failure(run({ 'lr: 0.02': 'lr: 0.01' }));
    assert.is(error.code, 'E_CHANGED');
    assert.match(error.hint ?? '', '--restart');
    assert.is((await run({ 'lr: 0.02': 'lr: 0.01' }, { restart: true })).triggers.length, weeks);
  }));

test('maxTriggers ends a run early; without it the run goes on', () =>
  inWorkplace(async ({ run, models, folder }) => {
    const limit = { 'selection: { id: new-data }\n': 'selection: { id: new-data }\nreplay: { maxTriggers: 2 }\n' };
    const part = await run(limit);
    assert.is(part.status, 'incomplete');
    assert.is(part.triggers.length, 2);
    assert.is((await run()).triggers.length, weeks);
    await run({}, { data: join(folder, 'whole') });
    assert.equal(models(weeks), models(weeks, join(folder, 'whole')));
  }));

const sizes: [selection: string, sizes: number[]][] = [
  ['{ id: new-data }', [672, 672, 672, 672, 672]],
  ['{ id: new-data, reset: false, limit: 1000 }', [672, 1000, 1000, 1000, 1000]],
  ['{ id: all-data }', [672, 1344, 2016, 2688, 3360]],
  ['{ id: all-data, reset: true }', [672, 672, 672, 672, 672]],
  ['{ id: uniform, samples: 700 }', [672, 700, 700, 700, 700]],
  ['{ id: uniform, ratio: 0.5, reset: true }', [336, 336, 336, 336, 336]],
  ['{ id: freshness, ratio: 0.25, halfLife: 3d }', [168, 336, 504, 672, 840]],
  ['{ id: freshness, samples: 100, halfLife: 3d, reset: true }', [100, 100, 100, 100, 100]],
];
for (const [selection, expected] of sizes) {
  test(`selection ${selection}`, () =>
    inWorkplace(async ({ run }) => {
      const result = await run({ '{ id: new-data }': selection });
      assert.equal(
        result.triggers.map((t) => t.training?.trainsetSize),
        expected,
      );
    }));
}

test('the training loop as the pipeline file says it', () =>
  inWorkplace(async ({ run, folder }) => {
    const training = (fields: string) => ({
      'training: { batchSize: 16, epochs: 3, optimizer: { id: adam, lr: 0.02 } }': `training: { batchSize: 16, ${fields} }`,
    });
    const split = 'mlp: { id: adamw, lr: 0.02 }, embedding: { id: rowwise-adagrad, lr: 0.05 }';
    const steps = await run(
      training(
        `steps: 60, accumulate: 2, clipNorm: 1, optimizer: { ${split} }, schedule: { id: cosine, warmup: 10 }, groups: [{ parameters: "*.bias", optimizer: { id: sgd, lr: 0.02, momentum: 0.9 } }]`,
      ),
      { data: join(folder, 'steps') },
    );
    for (const { training: t, evaluation } of steps.triggers) {
      assert.is(t?.steps, 60);
      for (const m of evaluation ?? []) assert.ok((m.auc ?? 0) > 0.6, JSON.stringify(m));
    }
    const samples = await run(training('samples: 1000, optimizer: { id: adam, lr: 0.02 }'), { data: join(folder, 'samples') });
    assert.equal(
      samples.triggers.map((t) => t.training?.steps),
      Array(weeks).fill(63),
    );
    const stopping = 'epochs: 200, optimizer: { id: adam, lr: 0.02 }, earlyStop: { heldOut: 0.2, patience: 1 }';
    const early = await run(training(stopping), { data: join(folder, 'early') });
    for (const { training: t } of early.triggers) assert.ok((t?.steps ?? 0) < 2000 && (t?.validationLoss ?? 9) < 0.7, JSON.stringify(t));
    const groups = 'epochs: 1, optimizer: { id: sgd, lr: 0 }, groups: [{ parameters: "*", optimizer: { id: adamw, lr: 0.02 } }]';
    assert.is((await failure(run(training(groups), { data: join(folder, 'groups') }))).code, 'E_CONFIG');
    const onTables =
      'epochs: 1, optimizer: { id: sgd, lr: 0.1 }, groups: [{ parameters: "embeddings.*", optimizer: { id: adamw, lr: 0.02 } }]';
    assert.match(
      (await failure(run(training(onTables), { data: join(folder, 'tables') }))).message,
      'embeddings.0.weight: an embedding table takes',
    );
  }));

test('a regression: real labels, RMSE', () =>
  inWorkplace(async ({ run }) => {
    const result = await run({
      'label: { column: y }': 'label: { column: x, real: true }',
      'epochs: 3': 'epochs: 8, criterion: { id: huber, delta: 0.5 }',
    });
    for (const { evaluation } of result.triggers) {
      for (const m of evaluation ?? [])
        assert.ok(m.auc === null && m.accuracy === null && m.rmse !== null && m.rmse < 0.3, JSON.stringify(m));
    }
  }));

test('a CSV file with a delimiter of its own; what the first training starts from counts in the hash', () =>
  inWorkplace(
    async ({ run, data, folder, write }) => {
      const source = { 'format: csv, path: d.csv': 'format: csv, path: d.csv, delimiter: "|"' };
      assert.is((await run(source)).triggers.length, weeks);
      cpSync(foldersOf(data).modelFile('tiny', 0), join(folder, 'start.safetensors'));
      const started = { ...source, 'lr: 0.02 } }': 'lr: 0.02 }, first: start.safetensors }' };
      await run(started, { data: join(folder, 'started') });
      cpSync(foldersOf(data).modelFile('tiny', 1), join(folder, 'start.safetensors'));
      assert.is((await failure(run(started, { data: join(folder, 'started') }))).code, 'E_CHANGED');
      write('d.csv', '');
      assert.is((await failure(run({ 'format: csv, path': 'format: parquet, delimiter: "|", path' }))).code, 'E_CONFIG');
    },
    csv().replaceAll(',', '|'),
  ));

test('a model that cannot take the features is refused before anything is read', () =>
  inWorkplace(async ({ run, data }) => {
    const error = await failure(
      run({
        'columns: { x: f32, c: category }': 'columns: { c: { tokens: 600, hash: 100 } }',
        'dense: [{ column: x }], categorical: [{ column: c, buckets: 8 }]': 'tokens: { column: c }',
        'model: { id: dlrm, embedding: 4, bottom: [8], top: [8] }': 'model: { id: bert }',
      }),
    );
    assert.is(error.code, 'E_CONFIG');
    assert.match(error.message, 'bert has 512 positions, but the texts have 600 token ids');
    assert.not.ok(existsSync(join(data, 'datasets')));
  }));

test('what a first try got wrong is not kept: an empty dataset takes another definition, one with samples does not', () =>
  inWorkplace(async ({ run }) => {
    const label = (changed: string) => ({ 'label: { column: y }': `label: { ${changed} }` });
    assert.is((await failure(run(label('column: x')))).code, 'E_LABEL_RANGE');
    assert.is((await failure(run({ 'columns: { x: f32': 'columns: { z: f32, x: f32' }))).code, 'E_SOURCE');
    assert.is((await run()).triggers.length, 5);
    assert.is((await failure(run(label('column: y, classes: 3'), { restart: true }))).code, 'E_CHANGED');
  }));

test('an MLP takes dense features only', () =>
  inWorkplace(async ({ run, folder }) => {
    const mlp = { 'model: { id: dlrm, embedding: 4, bottom: [8], top: [8] }': 'model: { id: mlp, hidden: [16, 8] }' };
    const dense = {
      'features: { dense: [{ column: x }], categorical: [{ column: c, buckets: 8 }] }':
        'features: { dense: [{ column: x }, { time: sin-day }] }',
    };
    const error = await failure(run(mlp, { data: join(folder, 'both') }));
    assert.is(error.code, 'E_CONFIG');
    assert.match(error.message, 'dense features only');
    const result = await run({ ...mlp, ...dense });
    for (const { evaluation } of result.triggers) for (const m of evaluation ?? []) assert.ok((m.auc ?? 0) > 0.6, JSON.stringify(m));
  }));

test('a TorchScript model trains like a built-in one; its file counts in the hash; a hostile one is refused', () =>
  inWorkplace(async ({ run, folder, data }) => {
    const fixtures = new URL('../../native/tests/fixtures/', import.meta.url);
    cpSync(new URL('script_training.pt', fixtures), join(folder, 'net.pt'));
    const changes = {
      'model: { id: dlrm, embedding: 4, bottom: [8], top: [8] }': 'model: { id: torchscript, file: net.pt }',
      'dense: [{ column: x }], categorical: [{ column: c, buckets: 8 }]':
        'dense: [{ column: x }, { time: sin-day }, { time: cos-day }], categorical: [{ column: c, buckets: 5 }, { time: weekday }]',
      'label: { column: y }': 'label: { column: y, classes: 3 }',
    };
    const result = await run(changes);
    for (const { evaluation } of result.triggers) for (const m of evaluation ?? []) assert.ok((m.accuracy ?? 0) > 0.8, JSON.stringify(m));
    const { tensors } = modelHeader(foldersOf(data).modelFile('tiny', 1));
    for (const name of ['hidden.weight', 'norm.running_mean', 'tables.0.weight', 'frozen'])
      assert.ok(
        tensors.some((t) => t.name === name),
        name,
      );
    cpSync(new URL('script/bad_from_file.pt', fixtures), join(folder, 'net.pt'));
    assert.is((await failure(run(changes))).code, 'E_CHANGED');
    const refused = await failure(run(changes, { data: join(folder, 'other') }));
    assert.is(refused.code, 'E_SCRIPT');
    assert.match(refused.message, 'from_file');
    assert.match(
      (
        await failure(
          run({ ...changes, 'model: { id: dlrm, embedding: 4, bottom: [8], top: [8] }': 'model: { id: torchscript, file: none.pt }' }),
        )
      ).message,
      'there is no file',
    );
  }));

test('a training that was cut off goes on from its checkpoint and gives the same model', () =>
  inWorkplace(async ({ run, models, folder }) => {
    const long = { 'epochs: 3': 'epochs: 150, checkpoint: { everySteps: 7 }' };
    await run(long);
    const data = join(folder, 'cut');
    const controller = new AbortController();
    const onEvent = (e: RunEvent) => {
      if (e.type === 'train' && e.triggerId === 1 && e.steps > 7) controller.abort();
    };
    assert.is((await failure(run(long, { data, signal: controller.signal, onEvent }))).code, 'E_ABORTED');
    const result = await run(long, { data });
    assert.is(result.triggers[0]?.training?.resumedAt, 0);
    assert.ok((result.triggers[1]?.training?.resumedAt ?? 0) >= 7);
    assert.equal(models(weeks, data), models(weeks));
    assert.equal(
      readdirSync(foldersOf(data).models('tiny')).filter((name) => name.includes('checkpoint')),
      [],
    );
  }));

test('a run that starts anew does not go on from a checkpoint of the one before', () =>
  inWorkplace(async ({ run, models, folder }) => {
    const checkpoints = { 'epochs: 3': 'epochs: 150, checkpoint: { everySteps: 7 }' };
    const slower = { ...checkpoints, 'lr: 0.02': 'lr: 0.002' };
    const undisturbed = join(folder, 'undisturbed');
    await run(slower, { data: undisturbed });
    const controller = new AbortController();
    const onEvent = (e: RunEvent) => {
      if (e.type === 'train' && e.steps > 7) controller.abort();
    };
    assert.is((await failure(run(checkpoints, { signal: controller.signal, onEvent }))).code, 'E_ABORTED');
    const { triggers } = await run(slower, { restart: true });
    assert.is(triggers[0]?.training?.resumedAt, 0);
    assert.equal(models(weeks), models(weeks, undisturbed));
  }));

test('a training that is stopped leaves a checkpoint, also where none is due', () =>
  inWorkplace(async ({ run, models, folder }) => {
    const long = { 'epochs: 3': 'epochs: 150' };
    await run(long);
    const data = join(folder, 'stopped');
    const controller = new AbortController();
    const onEvent = (e: RunEvent) => {
      if (e.type === 'train' && e.triggerId === 1) controller.abort();
    };
    assert.is((await failure(run(long, { data, signal: controller.signal, onEvent }))).code, 'E_ABORTED');
    const result = await run(long, { data });
    assert.ok((result.triggers[1]?.training?.resumedAt ?? 0) > 0);
    assert.equal(models(weeks, data), models(weeks));
  }));

test('other ways of training: amount trigger, from scratch, bf16, three classes, from a file', () =>
  inWorkplace(async ({ run, data, folder }) => {
    const amount = await run({ '{ id: time, every: 1w }': '{ id: amount, samples: 1500 }' }, { data: join(folder, 'amount') });
    assert.equal(
      amount.triggers.map((t) => t.trigger.key),
      [1499, 2999],
    );
    const scratch = await run({ 'lr: 0.02 } }': 'lr: 0.02 }, start: scratch }' }, { data: join(folder, 'scratch') });
    assert.ok(scratch.triggers.every((t) => t.training?.parent === null));
    const bf16 = await run({ 'lr: 0.02 } }': 'lr: 0.02 }, precision: bf16 }' }, { data: join(folder, 'bf16') });
    const fp32 = await run();
    const auc = (r: typeof fp32) => r.triggers[4]?.evaluation?.[0]?.auc ?? 0;
    assert.ok(Math.abs(auc(bf16) - auc(fp32)) < 0.02);
    const classes = await run(
      { 'label: { column: y }': 'label: { column: c, classes: [a, b, c, d] }', 'id: tiny\n  source': 'id: four\n  source' },
      { data: join(folder, 'classes') },
    );
    assert.is(classes.triggers[0]?.evaluation?.[0]?.auc, null);
    const file = foldersOf(data).modelFile('tiny', 4);
    const first = await run({ 'lr: 0.02 } }': `lr: 0.02 }, first: ${file} }` }, { data: join(folder, 'first') });
    assert.is(first.triggers[0]?.training?.parent, file);
    const wrong = await failure(
      run({ 'lr: 0.02 } }': `lr: 0.02 }, first: ${file} }`, 'bottom: [8]': 'bottom: [9]' }, { data: join(folder, 'wrong') }),
    );
    assert.is(wrong.code, 'E_SHAPE');
    assert.match(wrong.message, 'bottom.0.weight');
  }));

test('what a training records, the next selection goes by; a run that was stopped selects the same', () =>
  inWorkplace(async ({ run, models, folder }) => {
    const record = {
      'epochs: 3,': 'epochs: 3, record: [loss], checkpoint: { everySteps: 1 },',
      'id: new-data': 'id: recorded, by: loss, ratio: 0.5',
    };
    const { triggers } = await run(record);
    assert.equal(
      triggers.map((t) => t.training?.trainsetSize),
      [336, 672, 1008, 1344, 1680],
    );
    const losses = (await new Metadata(foldersOf(join(folder, 'data')).recorded('tiny', 'tiny')).readRange(
      'loss',
      0,
      4000,
    )) as Float32Array;
    assert.ok(losses.slice(0, 672).filter((loss) => loss > 0).length > 500, 'the first week was trained on again and again');
    assert.ok(losses.slice(3360).every(Number.isNaN), 'the last days were never trained on');
    const undisturbed = models(5);

    const controller = new AbortController();
    const other = join(folder, 'other');
    // In the middle of a training that has already changed what is recorded.
    const stopAtThird = (event: RunEvent) => {
      if (event.type === 'train' && event.triggerId === 2 && existsSync(foldersOf(other).checkpointFile('tiny', 2))) controller.abort();
    };
    assert.is((await failure(run(record, { data: other, signal: controller.signal, onEvent: stopAtThird }))).code, 'E_ABORTED');
    await run(record, { data: other });
    assert.equal(models(5, other), undisturbed);
    await run(record, { data: other, restart: true });
    assert.equal(models(5, other), undisturbed, 'a run that starts anew forgets what was recorded');
    const unrecorded = await run({ 'id: new-data': 'id: recorded, by: loss, ratio: 0.5' }, { restart: true }).catch((error) => error);
    assert.match(unrecorded.message, /training\.record: expected loss among them/);
  }));

test('a bad value keeps what was ingested before it; a removed model file is trained again', () =>
  inWorkplace(
    async ({ run, write, models, data }) => {
      const error = await failure(run());
      assert.is(error.code, 'E_NOT_FINITE');
      assert.match(error.message, "column 'x', row 1001");
      write('other.csv', csv());
      const fixed = { 'path: d.csv': 'path: other.csv', 'id: tiny\n  source': 'id: fixed\n  source' };
      await run(fixed);
      const before = models(weeks);
      const { rmSync } = await import('node:fs');
      rmSync(foldersOf(data).modelFile('tiny', 2));
      await run(fixed);
      assert.ok(existsSync(foldersOf(data).modelFile('tiny', 2)));
      assert.equal(models(weeks), before);
    },
    csv((row, values) => (row === 1000 ? [values[0] as string, 'nan', ...values.slice(2)] : values)),
  ));

test.run();
