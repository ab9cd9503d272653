import { openSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { changed, inWorkplace } from '../pipeline/fixture.test.helper.js';
import { sluice } from './cli.test.helper.js';

const test = suite('fsck');

function damage(path: string, at: number): void {
  writeSync(openSync(path, 'r+'), Uint8Array.of(0xa5, 0x5a, 0xa5), 0, 3, at);
}

test('finds damage, names the samples, repairs what it can; the pipeline goes on', () =>
  inWorkplace(async ({ folder, write }) => {
    write('p.yaml', changed({}));
    assert.is(sluice(folder, 'run', 'p.yaml').code, 0);
    const sound = sluice(folder, 'fsck');
    assert.is(sound.code, 0, sound.out + sound.err);
    assert.match(sound.out, /: 4,000 samples, [\d.]+ [kM]B read, sound\ntraining sets: 5 checked, sound/);
    const [id] = readdirSync(join(folder, 'sluice-data/datasets')) as [string];
    const dataset = join(folder, 'sluice-data/datasets', id);

    rmSync(join(dataset, 'index'), { recursive: true });
    const found = sluice(folder, 'fsck', id);
    assert.is(found.code, 1);
    assert.match(found.out, 'index/data.mdb: it is missing: can be repaired');
    assert.match(found.out, `sluice fsck ${id} --repair`);
    const repaired = sluice(folder, 'fsck', id, '--repair', '--json');
    assert.is(repaired.code, 0, repaired.out);
    const report = JSON.parse(repaired.out);
    assert.is(report.samples, 4000);
    assert.ok(report.damages.length > 0 && report.damages.every((d: { repaired: boolean }) => d.repaired));
    assert.match(sluice(folder, 'ingest', 'p.yaml').out, '0 samples appended, 4,000 in all');
    assert.is(sluice(folder, 'run', 'p.yaml').code, 0);

    damage(join(dataset, 'segments/00000000.seg'), 64 + 64 + 100);
    const lost = sluice(folder, 'fsck', '--repair');
    assert.is(lost.code, 1);
    assert.match(lost.out, /segments\/00000000\.seg: records are damaged \(samples 0 to 3999\): cannot be repaired/);
  }));

test('samples whose index and state log are both lost can be read again, and no more are ingested', () =>
  inWorkplace(async ({ folder, write }) => {
    write('p.yaml', changed({}));
    assert.is(sluice(folder, 'run', 'p.yaml').code, 0);
    const [id] = readdirSync(join(folder, 'sluice-data/datasets')) as [string];
    const dataset = join(folder, 'sluice-data/datasets', id);
    for (const part of ['index', 'state.log']) rmSync(join(dataset, part), { recursive: true });
    const repaired = sluice(folder, 'fsck', id, '--repair');
    assert.match(repaired.out, /how far ingestion came/);
    assert.match(sluice(folder, 'fsck', id).out, /: 4,000 samples, .* sound/);
    assert.match(sluice(folder, 'ls', 'datasets', '--stats').out, /labels .*0: .*1: /);
    const refused = sluice(folder, 'ingest', 'p.yaml');
    assert.match(refused.err, 'E_CHANGED');
    assert.match(refused.err, 'nothing tells how far ingestion came');
  }));

test('a damaged training set is named', () =>
  inWorkplace(async ({ folder, write }) => {
    write('p.yaml', changed({}));
    assert.is(sluice(folder, 'run', 'p.yaml').code, 0);
    const sets = join(folder, 'sluice-data/trainsets');
    const [name] = readdirSync(sets) as [string];
    damage(join(sets, name), statSync(join(sets, name)).size - 4);
    const result = sluice(folder, 'fsck');
    assert.is(result.code, 1);
    assert.match(result.out, `${name} is damaged`);
    assert.match(sluice(folder, 'fsck', 'none').err, 'E_NOT_FOUND');
    assert.match(sluice(folder, 'fsck', '--data', 'nowhere').err, 'E_NOT_FOUND');
  }));

test.run();
