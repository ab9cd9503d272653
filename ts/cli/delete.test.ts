import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { changed, inWorkplace } from '../pipeline/fixture.test.helper.js';
import { sluice } from './cli.test.helper.js';

const test = suite('delete');

test('counts first, deletes with --yes, tells which models know the samples, and compacts', () =>
  inWorkplace(async ({ folder, write }) => {
    write('p.yaml', changed({}));
    assert.is(sluice(folder, 'run', 'p.yaml').code, 0);
    const stats = sluice(folder, 'ls', 'datasets', 'tiny', '--stats');
    assert.match(stats.out, /labels +0: [\d,]+, 1: [\d,]+\n {2}deleted +0 of 4,000 keys/);
    assert.match(stats.out, /training sets +5, models 5/);

    const dry = sluice(folder, 'delete', 'tiny', '--where', 'time < 2020-01-06T01:00:00Z', '--keys', '1,2-5');
    assert.is(dry.code, 0, dry.err);
    assert.match(dry.out, '3 samples of tiny fit: keys 1-3');
    assert.is(JSON.parse(sluice(folder, 'ls', '--stats', '--json').out)[0].deleted, 0);
    const done = sluice(folder, 'delete', 'tiny', '--keys', '1-3', '--reason', 'asked for', '--yes', '--json');
    assert.equal(JSON.parse(done.out), {
      dataset: 'tiny',
      samples: 3,
      deleted: true,
      models: ['tiny/0', 'tiny/1', 'tiny/2', 'tiny/3', 'tiny/4'],
      by: null,
    });
    assert.is(JSON.parse(sluice(folder, 'delete', 'tiny', '--keys', '1-3', '--yes', '--json').out).samples, 0);

    const affected = JSON.parse(sluice(folder, 'models', 'affected', '--dataset', 'tiny', '--key', '2', '--json').out);
    assert.equal(
      affected.map((m: { modelId: string }) => m.modelId),
      ['tiny/0', 'tiny/1', 'tiny/2', 'tiny/3', 'tiny/4'],
    );
    // A block of an object that was read may hold what was deleted.
    mkdirSync(join(folder, 'sluice-data/cache/ab'), { recursive: true });
    write('sluice-data/cache/ab/block', 'a deleted sample');
    const compacted = sluice(folder, 'compact', 'tiny', '--json');
    assert.is(compacted.code, 0, compacted.err);
    assert.not.ok(existsSync(join(folder, 'sluice-data/cache')));
    assert.is(JSON.parse(compacted.out).samples, 3);
    const [after] = JSON.parse(sluice(folder, 'ls', 'datasets', '--stats', '--json').out);
    assert.equal([after.size, after.deleted, after.labels.samples], [4000, 3, 3997]);
    assert.is(sluice(folder, 'fsck').code, 0);
    assert.is(sluice(folder, 'run', 'p.yaml').code, 0);
  }));

test('what cannot be read is refused', () =>
  inWorkplace(async ({ folder, write }) => {
    write('p.yaml', changed({}));
    assert.is(sluice(folder, 'ingest', 'p.yaml').code, 0);
    const wrong: [args: string[], code: number, message: RegExp][] = [
      [['delete', 'tiny'], 2, /which samples\? name them by keys, where or label/],
      [['delete', 'tiny', '--where', 'time < soon'], 2, /'soon' is no time/],
      [['delete', 'tiny', '--keys', '4000'], 1, /key 4000 does not exist/],
      [['delete', 'none', '--keys', '1'], 1, /E_NOT_FOUND/],
      [['compact', 'none'], 1, /E_NOT_FOUND/],
      [['models', 'all', '--dataset', 'tiny', '--key', '1'], 2, /expected affected/],
      [['ls', 'models', 'tiny', '--stats'], 2, /--stats is of datasets/],
    ];
    for (const [args, code, message] of wrong) {
      const result = sluice(folder, ...args);
      assert.match(result.err, message);
      assert.is(result.code, code, args.join(' '));
    }
  }));

test.run();
