// Training side by side with eager PyTorch: same weights, batches, optimizer and threads, rounds alternating, medians over
// steps. native/bench/train_bench.cpp and scripts/bench/dlrm_torch.py are the two processes.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { python } from '../lib/dependencies.mjs';
import { root, say } from '../lib/run.mjs';
import { benchFixed } from './fixed.mjs';
import { fixed, markdown, median, Peer, percent } from './lib.mjs';

const batch = 2048;
const tables = 26;
const widths = { small: 128, embedding: 16 };

/** Alternates `rounds` rounds of `steps` steps and of the matrix products alone; medians of seconds, and both loss curves. */
async function race(ours, theirs, rounds, steps) {
  const seconds = [[], []];
  const losses = [[], []];
  const products = [];
  for (const [i, peer] of [ours, theirs].entries()) losses[i].push(...(await peer.ask('run 1')).losses);
  for (let round = 0; round < rounds; round++) {
    for (const [i, peer] of [ours, theirs].entries()) {
      const result = await peer.ask(`run ${steps}`);
      seconds[i].push(...result.seconds);
      losses[i].push(...result.losses);
    }
    products.push(await ours.ask('gemm'));
  }
  return {
    ours: median(seconds[0]),
    theirs: median(seconds[1]),
    products: median(products.map((p) => p.seconds)),
    gflops: median(products.map((p) => p.gflops)),
    losses,
  };
}

const lossDifference = ([ours, theirs]) => Math.max(...ours.map((loss, i) => Math.abs(loss - theirs[i]) / Math.abs(theirs[i])));

/** Medians of `rounds` alternating rounds of the commands, as seconds a step. */
async function alternate(peer, commands, rounds, steps) {
  const seconds = commands.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, command] of commands.entries()) seconds[i].push(...(await peer.ask(`${command} ${steps}`)).seconds);
  }
  return seconds.map(median);
}

async function feeding(peer) {
  const rates = { memory: [], disk: [] };
  for (let i = 0; i < 3; i++) for (const from of ['memory', 'disk']) rates[from].push((await peer.ask(`${from} 40`)).samplesPerSecond);
  return { memory: median(rates.memory), disk: median(rates.disk), ratio: median(rates.disk.map((d, i) => d / rates.memory[i])) };
}

async function dlrm({ precision, shape, rows, threads, rounds, steps, more }) {
  say(`DLRM ${shape} in ${precision} beside eager PyTorch …`);
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  const args = [folder, precision, String(threads), shape, String(rows)];
  try {
    const ours = await Peer.start(join(root, 'build/train_bench'), args);
    await ours.ask('export');
    const theirs = await Peer.start(python(), [join(root, 'scripts/bench/dlrm_torch.py'), ...args]);
    const r = await race(ours, theirs, rounds, steps);
    await theirs.stop();
    const result = {
      name: `DLRM ${shape}, ${precision}`,
      sluiceMs: 1000 * r.ours,
      torchMs: 1000 * r.theirs,
      ratio: r.theirs / r.ours,
      productsMs: 1000 * r.products,
      gflops: r.gflops,
      lossSteps: r.losses[0].length,
      lossDifference: lossDifference(r.losses),
      torch: theirs.hello.torch,
      rowBytes: batch * tables * widths[shape] * 4,
    };
    if (more) Object.assign(result, await more(ours));
    await ours.stop();
    return result;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Feeding from disk, scoring against inference, half of each batch against all of it. */
async function loopFigures(peer, quick) {
  const rounds = quick ? 1 : 4;
  const [infer, score] = await alternate(peer, ['infer', 'score'], rounds, 8);
  const [all, half] = await alternate(peer, ['run', 'select'], rounds, 8);
  return { feed: await feeding(peer), scoring: { infer, score, ratio: infer / score }, selection: { all, half, ratio: half / all } };
}

export async function benchTrain({ threads, quick }) {
  const long = quick ? { rounds: 3, steps: 3 } : { rounds: 11, steps: 9 };
  const small = { shape: 'small', rows: quick ? 10_000 : 100_000, threads };
  const fp32 = await dlrm({ ...small, precision: 'fp32', ...long, more: (peer) => loopFigures(peer, quick) });
  const bf16 = await dlrm({ ...small, precision: 'bf16', rounds: quick ? 1 : 2, steps: quick ? 1 : 2 });
  const bandwidth = async (peer) => ({ gigabytesPerSecond: (await peer.ask('copy')).gigabytesPerSecond });
  const bound = await dlrm({ precision: 'fp32', shape: 'embedding', rows: quick ? 100_000 : 1_000_000, threads, ...long, more: bandwidth });
  return { steps: [fp32, bf16, bound], fixed: await benchFixed() };
}

export function trainTables({ steps, fixed: cost }) {
  const [fp32, , bound] = steps;
  const ms = fixed(2);
  const rows = steps.map((r) => [
    r.name,
    `${ms(r.sluiceMs)} ms`,
    `${ms(r.torchMs)} ms`,
    `**${fixed(2)(r.ratio)}×**`,
    `${ms(r.productsMs)} ms (${fixed(0)(r.gflops)} GFLOP/s)`,
    `${fixed(2)(r.torchMs / r.productsMs)}×`,
    `${r.lossDifference.toExponential(1)} over ${r.lossSteps} steps`,
  ]);
  const { feed, scoring, selection } = fp32;
  const touched = (3 * bound.rowBytes) / 1e6; // each row is read twice and written once
  const limit = touched / bound.gigabytesPerSecond;
  const loop = [
    [
      'training fed from disk ÷ from memory',
      percent(feed.ratio),
      '97 %',
      `${feed.disk.toFixed(0)} and ${feed.memory.toFixed(0)} samples/s, page cache dropped`,
    ],
    [
      'inference ÷ scoring (losses, gradients at the logits, embeddings)',
      percent(scoring.ratio),
      '90 %',
      `${ms(1000 * scoring.infer)} and ${ms(1000 * scoring.score)} ms a batch`,
    ],
    [
      'time of training on half of each batch by gradient norm ÷ on all',
      fixed(2)(selection.ratio),
      '0.90',
      `${ms(1000 * selection.half)} and ${ms(1000 * selection.all)} ms a batch`,
    ],
    [
      'embedding-bound step: its rows alone at memory bandwidth',
      `${ms(limit)} ms`,
      '',
      `${fixed(1)(touched)} MB at ${fixed(1)(bound.gigabytesPerSecond)} GB/s (copy, all threads): ${percent(limit / bound.sluiceMs)} of the step`,
    ],
  ];
  const whole = ({ beforeMs, afterMs }) => `${fixed(0)(beforeMs)} + ${fixed(0)(afterMs)} ms`;
  loop.push(
    [
      'fixed cost: trigger decided → first step, last step → model stored',
      whole(cost.newData),
      '100 ms',
      'a million new samples, a small model',
    ],
    ['the same with a uniform sample of a million of two', whole(cost.uniform), '100 ms', 'chosen, sorted, hashed and written durably'],
  );
  return [
    '## Training steps',
    `Batch ${batch}, SGD, 13 dense features, ${tables} tables. small: NVIDIA's shape, 100,000 rows × 128, MLPs 512-256-128 and 1024-1024-512-256-1. embedding: 1,000,000 rows × 16, MLPs 64-16 and 64-1. Same weights and batches as eager PyTorch ${fp32.torch} (\`nn.EmbeddingBag(sparse=True)\`, \`nn.Linear\`; bf16: autocast); rounds alternate, medians over steps.`,
    markdown(
      [
        '',
        'Sluice',
        'PyTorch',
        'ratio',
        "the MLPs' matrix products alone",
        'ratio if the step were only these',
        'largest relative loss difference',
      ],
      rows,
    ),
    '## The loop',
    'On the small shape in fp32, where nothing else is said.',
    markdown(['', 'measured', 'wanted', 'details'], loop),
    '## What limits each figure',
    `* **small, fp32** is bound by the matrix products of the MLPs, which run in LibTorch's own BLAS, as PyTorch's do: the column before the last is the most that any step on it can reach. The rest is the gather of 27 MB of embedding rows, their interaction and their update. A blocked product of our own (6 × 16 register tiles, weights packed once a step, blocks handed out dynamically) ran at 0.90 to 1.00 of that BLAS's rate on a Zen 3 machine, where it is at 85 to 90 % of the multiply-add peak, and was not kept.
* **small, bf16**: where the CPU has bf16 units (AVX512-BF16, AMX) the products run on them; elsewhere operands are rounded to bf16 and multiplied in fp32, which is exact for each product, while PyTorch takes a slow generic path.
* **embedding**: rows are read where they lie, twice, and written once; what PyTorch adds are sparse gradient tensors and their passes.
* **Half of each batch**: a forward pass more and half of a step: 1/3 + 1/2 = 0.83 where a step is three forward passes.`,
  ].join('\n\n');
}
