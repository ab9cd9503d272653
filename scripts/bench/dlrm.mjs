// DLRM training in NVIDIA's small shape (13 dense features, 26 tables x 100,000 rows x 128, batch 2048, SGD), side by
// side with eager PyTorch: same weights, batches, optimizer and threads, rounds alternating, medians over steps.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { python } from '../lib/dependencies.mjs';
import { root, say } from '../lib/run.mjs';
import { median, Peer } from './lib.mjs';

const lossSteps = 100;

/** Alternates `rounds` rounds of `steps` steps and of the matrix products alone; returns medians of seconds a step, the
 * products' rate, and both loss curves. */
async function race(ours, theirs, rounds, steps) {
  const seconds = [[], []];
  const losses = [[], []];
  const rates = [];
  await ours.ask('run 1').then((r) => losses[0].push(...r.losses));
  await theirs.ask('run 1').then((r) => losses[1].push(...r.losses));
  for (let round = 0; round < rounds; round++) {
    for (const [i, peer] of [ours, theirs].entries()) {
      const result = await peer.ask(`run ${steps}`);
      seconds[i].push(...result.seconds);
      losses[i].push(...result.losses);
    }
    rates.push((await ours.ask('gemm')).gflops);
  }
  return { ours: median(seconds[0]), theirs: median(seconds[1]), rate: median(rates), losses };
}

function lossDifference([ours, theirs]) {
  return Math.max(...ours.map((loss, i) => Math.abs(loss - theirs[i]) / Math.abs(theirs[i])));
}

async function precision(name, { threads, rows, rounds, steps }) {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  const args = [folder, name, String(threads), String(rows)];
  try {
    const ours = await Peer.start(join(root, 'build/dlrm_bench'), args);
    await ours.ask('export');
    const theirs = await Peer.start(python(), [join(root, 'scripts/bench/dlrm_torch.py'), ...args]);
    const result = await race(ours, theirs, rounds, steps);
    await theirs.stop();
    const feed = { memory: [], disk: [] };
    if (name === 'fp32') {
      for (let i = 0; i < 3; i++) {
        feed.memory.push((await ours.ask('memory 40')).samplesPerSecond);
        feed.disk.push((await ours.ask('disk 40')).samplesPerSecond);
      }
    }
    await ours.stop();
    // Forward, input-gradient and weight-gradient products of one step, in floating-point operations.
    const gflop = (2 * 2048 * (3 * (512 * 256 + 256 * 128 + 479 * 1024 + 1024 * 1024 + 1024 * 512 + 512 * 256 + 256) + 2 * 13 * 512)) / 1e9;
    return {
      name: `DLRM step, ${name}`,
      sluiceMs: 1000 * result.ours,
      torchMs: 1000 * result.theirs,
      ratio: result.theirs / result.ours,
      gemmGflops: result.rate,
      gemmMs: (1000 * gflop) / result.rate,
      shareOfGemm: gflop / result.rate / result.ours,
      lossSteps: result.losses[0].length,
      lossDifference: lossDifference(result.losses),
      torch: theirs.hello.torch,
      ...(feed.memory.length > 0
        ? { feed: { memory: median(feed.memory), disk: median(feed.disk), ratio: median(feed.disk.map((d, i) => d / feed.memory[i])) } }
        : {}),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** { fp32, bf16 }; quick: small tables and few rounds, to try the script. */
export async function benchDlrm({ threads, quick }) {
  const rows = quick ? 10_000 : 100_000;
  say('DLRM step in fp32 beside eager PyTorch …');
  const fp32 = await precision('fp32', { threads, rows, rounds: quick ? 3 : (lossSteps - 1) / 9, steps: quick ? 3 : 9 });
  say('DLRM step in bf16 beside eager PyTorch (autocast) …');
  const bf16 = await precision('bf16', { threads, rows, rounds: quick ? 1 : 2, steps: quick ? 1 : 2 });
  return { fp32, bf16 };
}
