// A pipeline in production for the harness: its file, what is pushed to it, and what must be there in the end.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError, root } from '../lib/run.mjs';
import { cli, metricsOf, startServer } from '../lib/server.mjs';
import { randomFrom } from './random.mjs';

export const batch = 50;
const every = 2000; // samples from one trigger to the next

const pipelineWith = (serve) => `pipeline: { id: crash, seed: 5, threads: 1 }
dataset:
  id: crash
  source: { format: push }
  time: { column: t }
  label: { column: y }
  columns: { x: f32, c: category }
features: { dense: [{ column: x }], categorical: [{ column: c, buckets: 64 }] }
model: { id: dlrm, embedding: 4, bottom: [8], top: [8] }
training: { batchSize: 16, epochs: 60, optimizer: { id: adam, lr: 0.01 }, checkpoint: { everySteps: 50 }, record: [loss] }
trigger: { id: amount, samples: ${every} }
selection: { id: recorded, by: loss, ratio: 0.7, reset: true }
evaluation: { window: 1h }
serve: { http: { port: 0 }${serve} }
`;

/** Throws BuildError with `what` unless it is right. */
export function check(right, what) {
  if (!right) throw new BuildError(what);
}

/** One pipeline in one folder, and the model of what it acknowledged. */
export class Production {
  /** Key of the first sample of each batch that was acknowledged. */
  acknowledged = new Map();

  /** `serve`: further ways in which samples arrive, `, name: { … }`. */
  constructor(folder, serve = '') {
    this.folder = folder;
    writeFileSync(join(folder, 'p.yaml'), pipelineWith(serve));
  }

  start(options) {
    return startServer(this.folder, options);
  }

  get samples() {
    return batch * this.acknowledged.size;
  }

  /** Pushes the next batch, or the n-th. The answer's status, or undefined when the server is gone. What was acknowledged lies where it did. */
  async push(url, n = this.acknowledged.size) {
    const headers = { 'content-type': 'application/x-ndjson', 'idempotency-key': `batch-${n}` };
    let [status, text] = [undefined, ''];
    try {
      const answer = await fetch(`${url}/v1/samples`, { method: 'POST', headers, body: bodyOf(n) });
      text = await answer.text();
      status = answer.status;
    } catch {
      return { status: undefined, text };
    }
    if (status !== 200) return { status, text };
    const { first, count } = JSON.parse(text);
    check(count === batch, `batch ${n}: ${count} samples were stored`);
    check((this.acknowledged.get(n) ?? first) === first, `batch ${n} moved from ${this.acknowledged.get(n)} to ${first}`);
    this.acknowledged.set(n, first);
    return { status, text };
  }

  async mustPush(url, n) {
    const { status, text } = await this.push(url, n);
    check(status === 200, `batch ${n ?? this.acknowledged.size}: ${status} ${text}`);
  }

  /** Lets everything that waits be trained, pushes some batches again, and stops. */
  async finish() {
    const { child, exit, url } = this.start();
    const address = await url;
    check(address !== undefined, (await Promise.race([exit, { errors: '' }])).errors);
    while (this.acknowledged.size === 0 || this.acknowledged.size % (every / batch) !== 0) await this.mustPush(address);
    for (const n of this.acknowledged.keys()) if (n % 10 === 0) await this.mustPush(address, n);
    await this.settle({ child, exit, address });
  }

  /** Until everything that waits is trained, and stops. */
  async settle({ child, exit, address }) {
    for (;;) {
      const value = await metricsOf(address);
      if (value('sluice_informed_samples') === this.samples && value('sluice_model_trigger') === this.samples / every - 1) break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    child.kill('SIGTERM');
    const { code, errors } = await exit;
    check(code === 0, `stopping ended with ${code}:\n${errors}`);
  }

  /** Each sample where it was acknowledged, each trigger once, and sets and weights as those of an undisturbed replay. */
  async verify() {
    const { Dataset } = await import(join(root, 'dist/index.js'));
    const dataset = Dataset.open(join(this.folder, 'sluice-data/datasets/crash'), { readOnly: true });
    const size = this.samples;
    check(dataset.size() === size, `${dataset.size()} samples, acknowledged were ${size}`);
    const snapshot = dataset.snapshot();
    const times = snapshot.timestamps();
    for (const [n, first] of this.acknowledged)
      for (let i = 0; i < batch; i++) check(Number(times[first + i]) === timeOf(n, i), `sample ${first + i} is not that of batch ${n}`);
    snapshot.close();
    dataset.close();
    const triggers = this.sluice('ls', 'triggers', 'crash');
    const keys = Array.from({ length: size / every }, (_, i) => (i + 1) * every - 1);
    check(JSON.stringify(triggers.map((t) => t.key)) === JSON.stringify(keys), 'the triggers are others');
    const live = this.sluice('ls', 'models', 'crash');
    const { result } = this.sluice('run', 'p.yaml', '--trace', 'crash', '--restart');
    check(live.length === keys.length && result.triggers.length === keys.length, 'a training is missing');
    for (const [id, { training }] of result.triggers.entries()) {
      check(training.trainset === live[id].trainset, `the training set of trigger ${id} is another one`);
      check(this.weights('crash', id) === this.weights('crash.trace', id), `the weights of trigger ${id} are others`);
    }
    const { damages } = this.sluice('fsck', 'crash');
    check(damages.length === 0, `fsck finds damage: ${JSON.stringify(damages)}`);
    return { samples: size, triggers: keys.length, resumed: live.filter((t) => t.resumedAt > 0).length };
  }

  /** Runs a command that must succeed, and returns its last line of JSON. */
  sluice(...args) {
    const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...args, '--json'], {
      cwd: this.folder,
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
    });
    check(status === 0, `sluice ${args.join(' ')}: ${stderr}`);
    return JSON.parse(stdout.trim().split('\n').at(-1));
  }

  /** The bytes of a model's tensors: behind the header, whose length is in the first eight bytes. */
  weights(pipelineId, trigger) {
    const file = readFileSync(join(this.folder, 'sluice-data/models', pipelineId, `${trigger}.safetensors`));
    return file.subarray(8 + Number(file.readBigUInt64LE(0))).toString('base64');
  }
}

/** The last batch before a trigger fires is one of these. */
export const batchesOfTrigger = every / batch;

const timeOf = (n, i) => 1_700_000_000_000 + 1000 * (n * batch + i);

/** Rows of batch n, as JSON lines. */
export function bodyOf(n) {
  const random = randomFrom(n + 7);
  let text = '';
  for (let i = 0; i < batch; i++) {
    const x = random();
    text += `{"t":${timeOf(n, i)},"x":${x},"c":"c${Math.floor(60 * random())}","y":${x > random() ? 1 : 0}}\n`;
  }
  return text;
}
