// Kills `sluice ingest`, `run`, `delete`, `compact` and `fsck --repair` at random moments, and checks what each leaves against a model.
import { spawn } from 'node:child_process';
import { closeSync, cpSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError, root } from '../lib/run.mjs';
import { cli } from '../lib/server.mjs';
import { experiment } from './experiment.mjs';
import { check } from './production.mjs';

const samples = 30_000;
const pipeline = experiment({ batchSize: 64, epochs: 1, everySteps: 50, samples: 7500, window: '100h' });
const timeOf = (key) => 1_700_000_000_000 + 10_000 * key;

/** `kills` of all commands together. */
export async function killCommands(base, { random, kills }) {
  const work = new Commands(base, random);
  await work.undisturbed();
  const share = (part) => Math.max(1, Math.round(kills * part));
  await work.killed(share(0.15), ['ingest', 'p.yaml'], { before: () => work.forget() });
  await work.ends(['ingest', 'p.yaml']);
  await work.expectSamples();
  await work.killed(share(0.25), ['run', 'p.yaml'], { before: () => work.forgetResult() });
  await work.expectSameModels();
  for (let n = share(0.2); n > 0; n--) await work.killedDeletion();
  for (let n = share(0.2); n > 0; n--) await work.killedCompaction();
  for (let n = share(0.2); n > 0; n--) await work.killedRepair();
  await work.ends(['fsck', 'd']);
  return `kills of commands: ${work.report()}; ${samples} samples, ${work.deleted.length} deletions, models as undisturbed`;
}

class Commands {
  /** Ranges of keys that were deleted, as told. */
  deleted = [];
  #typicalMs = new Map();
  #counts = new Map();

  constructor(base, random) {
    this.base = base;
    this.random = random;
    mkdirSync(base, { recursive: true });
    const rows = Array.from({ length: samples }, (_, i) => `${timeOf(i)},${((i * 7919) % 1000) / 500 - 1},c${i % 13},${(i * 7) % 2}`);
    writeFileSync(join(base, 'd.csv'), `t,x,c,y\n${rows.join('\n')}\n`);
    writeFileSync(join(base, 'p.yaml'), pipeline);
  }

  report() {
    return [...this.#counts].map(([name, { killed, ended }]) => `${name} ${killed} (${ended} had ended)`).join(', ');
  }

  get dataset() {
    return join(this.base, 'sluice-data/datasets/d');
  }

  forget() {
    if (this.random() < 0.3) rmSync(join(this.base, 'sluice-data'), { recursive: true, force: true });
  }

  forgetResult() {
    if (this.random() < 0.2)
      for (const part of ['models', 'state', 'trainsets', 'datasets/d/metadata'])
        rmSync(join(this.base, 'sluice-data', part), { recursive: true, force: true });
  }

  /** Runs a command to its end, or kills it after so many milliseconds. */
  #command(args, afterMs) {
    const started = performance.now();
    const running = spawn(process.execPath, [cli, ...args, '--json'], { cwd: this.base, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [running.stdout, running.stderr])
      stream.on('data', (text) => {
        output += text;
      });
    const timer = afterMs === undefined ? undefined : setTimeout(() => running.kill('SIGKILL'), afterMs);
    return new Promise((resolve) =>
      running.on('close', (code, signal) => {
        clearTimeout(timer);
        resolve({ code, signal, output, ms: performance.now() - started });
      }),
    );
  }

  async ends(args) {
    const { code, signal, output, ms } = await this.#command(args);
    if (code !== 0) throw new BuildError(`sluice ${args.join(' ')} ended with ${signal ?? code}: ${output}`);
    this.#typicalMs.set(args[0], ms);
    return output;
  }

  /** Runs a command that is killed at a random moment, mostly when it does its work. True when it was. */
  async #kill(args) {
    const typical = this.#typicalMs.get(args[0]) ?? 1000;
    const { code, signal, output } = await this.#command(args, typical * (0.2 + 0.9 * this.random()));
    if (signal !== 'SIGKILL' && code !== 0) throw new BuildError(`sluice ${args.join(' ')} ended with ${signal ?? code}: ${output}`);
    const counts = this.#counts.get(args[0]) ?? { killed: 0, ended: 0 };
    counts[signal === 'SIGKILL' ? 'killed' : 'ended']++;
    this.#counts.set(args[0], counts);
    return signal === 'SIGKILL';
  }

  async killed(times, args, { before }) {
    for (let n = 0; n < times; n++) {
      before();
      await this.#kill(args);
    }
  }

  async undisturbed() {
    await this.ends(['ingest', 'p.yaml', '--data', 'undisturbed']);
    await this.ends(['run', 'p.yaml', '--data', 'undisturbed']);
  }

  async expectSamples() {
    const { Dataset } = await import(join(root, 'dist/index.js'));
    const dataset = Dataset.open(this.dataset, { readOnly: true });
    const gone = (await dataset.deletions()).flatMap(({ keys }) => keys);
    check(dataset.size() === samples, `${dataset.size()} samples instead of ${samples}`);
    const snapshot = dataset.snapshot();
    const times = snapshot.timestamps();
    const isGone = new Uint8Array(samples);
    for (const { first, end } of gone) isGone.fill(1, first, end);
    for (let key = 0; key < samples; key++) check(isGone[key] === 1 || Number(times[key]) === timeOf(key), `sample ${key} is another one`);
    snapshot.close();
    dataset.close();
    return gone;
  }

  async expectSameModels() {
    const results = [];
    for (const data of ['sluice-data', 'undisturbed']) {
      const line = (await this.ends(['run', 'p.yaml', '--data', data])).trim().split('\n').at(-1);
      const { triggers } = JSON.parse(line).result;
      const weights = (id) => {
        const file = readFileSync(join(this.base, data, `models/p/${id}.safetensors`));
        return file.subarray(8 + Number(file.readBigUInt64LE(0))).toString('base64');
      };
      results.push(
        JSON.stringify(triggers.map(({ trigger, training, evaluation }) => [trigger, training.trainset, weights(trigger.id), evaluation])),
      );
    }
    check(results[0] === results[1], 'triggers, sets, weights or evaluations are not those of the undisturbed run');
  }

  async killedDeletion() {
    const first = Math.floor(this.random() * (samples - 400));
    const keys = { first, end: first + 1 + Math.floor(300 * this.random()) };
    const killed = await this.#kill(['delete', 'd', '--keys', `${keys.first}-${keys.end - 1}`, '--yes']);
    const gone = await this.expectSamples();
    const known = JSON.stringify(this.deleted);
    const there = JSON.stringify(gone) !== known;
    check(there || killed, 'an acknowledged deletion is lost');
    if (there) this.deleted.push(keys);
    check(JSON.stringify(gone) === JSON.stringify(this.deleted), 'other samples are deleted');
  }

  async killedCompaction() {
    await this.killedDeletion();
    await this.#kill(['compact', 'd']);
    await this.expectSamples();
    await this.ends(['fsck', 'd']);
  }

  /** The index is damaged anew when an earlier repair was not killed before it ended. */
  async killedRepair() {
    const file = join(this.dataset, 'index/data.mdb');
    const kept = join(this.base, 'kept');
    rmSync(kept, { recursive: true, force: true });
    cpSync(this.dataset, kept, { recursive: true });
    const fd = openSync(file, 'r+');
    for (let page = 2; page < 40; page++) writeSync(fd, Buffer.alloc(64, 0xa5), 0, 64, 4096 * page + Math.floor(4000 * this.random()));
    closeSync(fd);
    await this.#kill(['fsck', 'd', '--repair']);
    await this.ends(['fsck', 'd', '--repair']);
    await this.expectSamples();
    check(existsSync(file), 'the index is gone');
  }
}
