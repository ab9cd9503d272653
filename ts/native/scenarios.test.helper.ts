// What process.test.ts runs in processes of their own: node scenarios.test.helper.js <name> <folder>.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Dataset, type Snapshot } from './dataset.js';
import { endless, makeBatch, makeDataset, makeTrainPlan, modelPlan } from './fixture.test.helper.js';
import { selectUniform } from './select.js';
import { train } from './trainer.js';

type Training = { dataset: Dataset; finished: Promise<unknown>; started: Promise<void> };

/** A training that has reported progress once `started` resolves. */
async function startTraining(folder: string, epochs: number, onProgress = () => {}): Promise<Training> {
  const dataset = await makeDataset(folder, 5000);
  const plan = await makeTrainPlan(folder, dataset, { epochs });
  let begin = () => {};
  const started = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const report = () => {
    begin();
    onProgress();
  };
  return { dataset, finished: train(dataset, plan, { onProgress: report }), started };
}

const openFiles = () => readdirSync('/proc/self/fd').length;
const viewsMapped = () =>
  readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter((line) => / rw-p .*data\.mdb/.test(line)).length;

async function collectGarbage(): Promise<void> {
  for (let i = 0; i < 10; i++) {
    globalThis.gc?.();
    await setImmediate();
  }
}

function check(condition: boolean, message: string): void {
  if (!condition) throw new Error(message);
}

const scenarios: Record<string, (folder: string) => Promise<void>> = {
  async 'exit-while-training'(folder) {
    const { started } = await startTraining(folder, endless);
    await started;
    process.exit(0);
  },

  async 'exit-in-a-progress-callback'(folder) {
    await startTraining(folder, endless, () => process.exit(0));
  },

  async 'exit-without-telling-listeners'(folder) {
    const { started } = await startTraining(folder, endless);
    await started;
    (process as unknown as { reallyExit(code: number): never }).reallyExit(0);
  },

  async 'end-while-training'(folder) {
    const { finished } = await startTraining(folder, 20);
    finished.then(() => console.log('finished'));
  },

  async 'throw-while-training'(folder) {
    const { started } = await startTraining(folder, endless);
    await started;
    throw new Error('uncaught');
  },

  async 'exit-with-short-work-queued'(folder) {
    const dataset = await makeDataset(folder, 5000);
    for (let i = 0; i < 8; i++) {
      void selectUniform(0, 1_000_000, 500_000, i);
      void dataset.append(makeBatch(5000 + 1000 * i, 1000));
    }
    process.exit(0);
  },

  async 'terminate-workers'(folder) {
    const worker = (n: number) =>
      new Worker(fileURLToPath(import.meta.url), { workerData: { scenario: 'train-in-worker', folder: path.join(folder, `${n}`) } });
    const exitCode = (w: Worker) => new Promise<number>((resolve) => w.once('exit', resolve));
    const workers = [worker(1), worker(2)];
    await Promise.all(workers.map((w) => new Promise((resolve, reject) => w.once('message', resolve).once('error', reject))));
    await Promise.all(workers.map((w) => w.terminate()));
    check(viewsMapped() === 0, `${viewsMapped()} mappings are left of the workers' views`);
    // The addon works on in other threads, in new workers and at exit.
    const { finished } = await startTraining(path.join(folder, '3'), 2);
    await finished;
    const last = worker(4);
    last.once('message', () => last.postMessage('leave'));
    check((await exitCode(last)) === 0, 'a worker that ends by process.exit');
    worker(5).once('message', () => process.exit(0));
  },

  async 'train-in-worker'(folder) {
    const { dataset, started } = await startTraining(folder, endless);
    dataset.snapshot().labels().fill(3);
    await started;
    parentPort?.once('message', () => process.exit(0));
    parentPort?.postMessage('training');
  },

  async 'collect-forgotten-handles'(folder) {
    (await makeDataset(folder, 5000)).close();
    const open = () => Dataset.open(path.join(folder, 'dataset'));
    open().close();
    await collectGarbage();
    const files = openFiles();
    const forget = () => {
      const dataset = open();
      for (let i = 0; i < 50; i++) dataset.snapshot({ leaseMs: 0 }).labels();
    };
    forget();
    await collectGarbage();
    check(openFiles() === files, `${openFiles()} files are open, ${files} were`);
    check(viewsMapped() === 0, `${viewsMapped()} views are still mapped`);

    // A view that is still in use keeps its snapshot, though nobody holds that.
    const view = open().snapshot({ leaseMs: 0 }).labels();
    await collectGarbage();
    check(view.length === 5000 && view.every((label, i) => label === makeBatch(i, 1).labels[0]), 'a view in use was lost');
  },

  async 'unmap-detached-views'(folder) {
    const dataset = await makeDataset(folder, 5000);
    const views: Float32Array[] = [];
    for (let i = 0; i < 20; i++) {
      const snapshot: Snapshot = dataset.snapshot();
      for (let j = 0; j < 50; j++) views.push(snapshot.labels(j));
      check(viewsMapped() === 50, `${viewsMapped()} mappings for 50 views`);
      snapshot.close();
      // Node runs finalizers in a later turn.
      await collectGarbage();
      check(viewsMapped() === 0, `${viewsMapped()} mappings after close`);
    }
    check(
      views.every((view) => view.length === 0),
      'every view is detached',
    );
    dataset.close();
  },

  /** Runs with an address space that is too small for the table. */
  async 'no-memory-for-a-model'(folder) {
    const dataset = await makeDataset(folder, 100);
    const plan = await makeTrainPlan(folder, dataset, {
      model: { ...modelPlan.model, embedding: 4096, bottom: [16, 4096], tables: [2 ** 31 - 1, 512] },
    });
    const code = await train(dataset, plan).then(
      () => 'trained',
      (error) => error.code,
    );
    check(code === 'E_MEMORY', `expected E_MEMORY, got ${code}`);
  },
};

const name = isMainThread ? process.argv[2] : workerData.scenario;
const folder = isMainThread ? process.argv[3] : workerData.folder;
const scenario = scenarios[name];
if (scenario === undefined) throw new Error(`no scenario ${name}`);
await scenario(folder);
