// Kills `sluice serve` at random moments while samples are pushed and models trained, and checks what is left against what was acknowledged and
// against an undisturbed replay: no sample lost or doubled, no trigger lost or doubled, the same training sets, the same weights.
//   npm run test:crash    -- [--kills 200] [--seed 1] [--keep]
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { BuildError, main, root, run } from './lib/run.mjs';

const cli = join(root, 'dist/cli/main.js');
const batch = 50;
const every = 2000; // samples from one trigger to the next

const pipeline = `pipeline: { id: crash, seed: 5, threads: 1 }
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
serve: { http: { port: 0 } }
`;

/** Numbers in [0, 1) that follow from the seed (Park and Miller, 1988). */
function randomFrom(seed) {
  let state = seed % 2_147_483_647 || 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

/** Rows of batch n. */
function bodyOf(n) {
  const random = randomFrom(n + 7);
  let text = '';
  for (let i = 0; i < batch; i++) {
    const x = random();
    text += `{"t":${timeOf(n, i)},"x":${x},"c":"c${Math.floor(60 * random())}","y":${x > random() ? 1 : 0}}\n`;
  }
  return text;
}

const timeOf = (n, i) => 1_700_000_000_000 + 1000 * (n * batch + i);

/** Starts the server; resolves with its URL once it takes samples, or with none when it ended before. */
function start(folder, onEvent = () => {}) {
  const child = spawn(process.execPath, [cli, 'serve', 'p.yaml', '--json'], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (text) => {
    errors += text;
  });
  const exit = new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal, errors })));
  const url = new Promise((resolve) => {
    let address;
    createInterface({ input: child.stdout }).on('line', (line) => {
      const event = JSON.parse(line);
      if (event.type === 'listening') address = event.url;
      if (event.type === 'serving') resolve(address);
      onEvent(event);
    });
    exit.then(() => resolve(undefined));
  });
  return { child, exit, url };
}

/** Pushes batch n; true when it was acknowledged. What was acknowledged before must lie where it did. */
async function push(url, n, acknowledged) {
  const headers = { 'content-type': 'application/x-ndjson', 'idempotency-key': `batch-${n}` };
  let answer;
  try {
    answer = await fetch(`${url}/v1/samples`, { method: 'POST', headers, body: bodyOf(n) });
    if (answer.status !== 200) throw new BuildError(`batch ${n}: ${answer.status} ${await answer.text()}`);
    const { first, count } = await answer.json();
    check(count === batch, `batch ${n}: ${count} samples were stored`);
    check((acknowledged.get(n) ?? first) === first, `batch ${n} moved from ${acknowledged.get(n)} to ${first}`);
    acknowledged.set(n, first);
    return true;
  } catch (error) {
    if (error instanceof BuildError) throw error;
    return false; // the server is gone
  }
}

function check(right, what) {
  if (!right) throw new BuildError(what);
}

/** Pushes batches, sometimes one again, until the server is killed. */
async function disturbed(folder, random, acknowledged) {
  const server = start(folder);
  const kill = () => server.child.kill('SIGKILL');
  // Some are killed while they begin.
  const early = random() < 0.15 ? setTimeout(kill, 200 + 600 * random()) : undefined;
  const url = await server.url;
  const timer = early ?? setTimeout(kill, 900 * random() ** 2);
  for (let going = url !== undefined; going; ) {
    const next = acknowledged.size;
    const again = next > 0 && random() < 0.1;
    going = await push(url, again ? Math.floor(random() * next) : next, acknowledged);
    if (going && random() < 0.3) await new Promise((resolve) => setTimeout(resolve, 30 * random()));
  }
  const { code, signal, errors } = await server.exit;
  clearTimeout(timer);
  check(signal === 'SIGKILL', `it ended by itself with ${code}:\n${errors}`);
}

/** Lets everything that waits be trained, and stops. */
async function finish(folder, acknowledged) {
  let ready = () => {};
  const done = new Promise((resolve) => {
    ready = resolve;
  });
  const { child, exit, url } = start(folder, (event) => {
    if (event.type === 'available') ready();
  });
  const address = await url;
  check(address !== undefined, (await Promise.race([exit, { errors: '' }])).errors);
  while (acknowledged.size % (every / batch) !== 0) check(await push(address, acknowledged.size, acknowledged), 'the server is gone');
  for (const n of acknowledged.keys()) if (n % 10 === 0) check(await push(address, n, acknowledged), 'the server is gone');
  await done;
  for (;;) {
    const metrics = await (await fetch(`${address}/metrics`)).text();
    const value = (name) => Number(new RegExp(`^${name}\\{[^}]*\\} (\\S+)`, 'm').exec(metrics)?.[1]);
    if (
      value('sluice_informed_samples') === batch * acknowledged.size &&
      value('sluice_model_trigger') === (batch * acknowledged.size) / every - 1
    )
      break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  child.kill('SIGTERM');
  const { code, errors } = await exit;
  check(code === 0, `stopping ended with ${code}:\n${errors}`);
}

function sluice(folder, ...args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...args, '--json'], {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  check(status === 0, `sluice ${args.join(' ')}: ${stderr}`);
  return JSON.parse(stdout.trim().split('\n').at(-1));
}

/** The bytes of a model's tensors: behind the header, whose length is in the first eight bytes. */
function weights(folder, pipelineId, trigger) {
  const file = readFileSync(join(folder, 'sluice-data/models', pipelineId, `${trigger}.safetensors`));
  return file.subarray(8 + Number(file.readBigUInt64LE(0))).toString('base64');
}

async function verify(folder, acknowledged) {
  const { Dataset } = await import(join(root, 'dist/index.js'));
  const dataset = Dataset.open(join(folder, 'sluice-data/datasets/crash'), { readOnly: true });
  const size = batch * acknowledged.size;
  check(dataset.size() === size, `${dataset.size()} samples, acknowledged were ${size}`);
  const snapshot = dataset.snapshot();
  const times = snapshot.timestamps();
  for (const [n, first] of acknowledged)
    for (let i = 0; i < batch; i++) check(Number(times[first + i]) === timeOf(n, i), `sample ${first + i} is not that of batch ${n}`);
  snapshot.close();
  dataset.close();
  const triggers = sluice(folder, 'ls', 'triggers', 'crash');
  const keys = Array.from({ length: size / every }, (_, i) => (i + 1) * every - 1);
  check(JSON.stringify(triggers.map((t) => t.key)) === JSON.stringify(keys), 'the triggers are others');
  const live = sluice(folder, 'ls', 'models', 'crash');
  const { result } = sluice(folder, 'run', 'p.yaml', '--trace', 'crash');
  check(live.length === keys.length && result.triggers.length === keys.length, 'a training is missing');
  for (const [id, { training }] of result.triggers.entries()) {
    check(training.trainset === live[id].trainset, `the training set of trigger ${id} is another one`);
    check(weights(folder, 'crash', id) === weights(folder, 'crash.trace', id), `the weights of trigger ${id} are others`);
  }
  return { samples: size, triggers: keys.length, resumed: live.filter((t) => t.resumedAt > 0).length };
}

main(async () => {
  const { values } = parseArgs({ options: { kills: { type: 'string' }, seed: { type: 'string' }, keep: { type: 'boolean' } } });
  run(process.execPath, ['scripts/setup.mjs'], 'set-up stopped.');
  const kills = Number(values.kills ?? 200);
  const random = randomFrom(Number(values.seed ?? 1));
  const folder = mkdtempSync(join(tmpdir(), 'sluice-crash-'));
  writeFileSync(join(folder, 'p.yaml'), pipeline);
  const acknowledged = new Map();
  try {
    for (let kill = 1; kill <= kills; kill++) {
      await disturbed(folder, random, acknowledged);
      if (kill % 20 === 0) console.log(`${kill} kills, ${batch * acknowledged.size} samples`);
    }
    await finish(folder, acknowledged);
    const { samples, triggers, resumed } = await verify(folder, acknowledged);
    console.log(
      `${kills} kills: ${samples} samples, ${triggers} triggers, each there once; sets and weights as undisturbed (${resumed} trainings went on from a checkpoint)`,
    );
  } finally {
    if (!values.keep) rmSync(folder, { recursive: true, force: true });
  }
});
