// `npm run bench`: Sluice beside its peers in one run. Prints a table and writes it to docs/benchmarks.md.
//   npm run bench -- [--json] [--quick] [--threads N]      --quick: small sizes, prints only
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { main, root, run, say } from '../lib/run.mjs';
import { benchDlrm } from './dlrm.mjs';
import { benchIndex } from './index.mjs';
import { fixed, machine, markdown } from './lib.mjs';

const percent = (value) => `${(100 * value).toFixed(0)} %`;
const millions = (value) => `${(value / 1e6).toFixed(1)} M/s`;

function tables({ machine: m, dlrm, index }) {
  const steps = [dlrm.fp32, dlrm.bf16].map((r) => [
    r.name,
    `${fixed(1)(r.sluiceMs)} ms`,
    `${fixed(1)(r.torchMs)} ms`,
    `**${fixed(2)(r.ratio)}×**`,
    `${fixed(0)(r.gemmGflops)} GFLOP/s`,
    percent(r.shareOfGemm),
    `${fixed(2)(r.torchMs / r.gemmMs)}×`,
    `${r.lossDifference.toExponential(1)} over ${r.lossSteps} steps`,
  ]);
  const { feed } = dlrm.fp32;
  const rows = [
    [
      'training fed from disk ÷ from memory',
      percent(feed.ratio),
      '95 %',
      `${feed.disk.toFixed(0)} and ${feed.memory.toFixed(0)} samples/s`,
    ],
    [
      'index: append',
      millions(index.appendPerSecond),
      '10 M/s',
      `${(index.samples / 1e6).toFixed(0)} M samples in batches of 2^20, each durable`,
    ],
    [
      'index: scan of a column ÷ sum over plain memory',
      percent(index.scanShare),
      '50 %',
      `${fixed(1)(index.scanGBs)} and ${fixed(1)(index.memoryGBs)} GB/s, one thread`,
    ],
    ['index: first scan, verifying checksums', `${fixed(1)(index.firstScanGBs)} GB/s`, '', ''],
    [
      'index: resident memory before and after the scans',
      `${index.residentBeforeMiB.toFixed(0)} → ${index.residentAfterMiB.toFixed(0)} MiB`,
      'flat',
      `peak ${index.peakMiB.toFixed(0)} MiB; the column has ${((index.samples * 8) / 2 ** 20).toFixed(0)} MiB`,
    ],
    ['index: random gather, warm', millions(index.gatherPerSecond), '', 'timestamp and label'],
  ];
  return [
    `Measured on ${m.date}: ${m.cpu}, ${m.cores} cores, ${m.memoryGiB} GiB; Node ${m.node}, PyTorch ${dlrm.fp32.torch}, ${m.threads} threads.`,
    '## Training step',
    "DLRM in NVIDIA's small shape: 13 dense features, 26 tables × 100,000 rows × 128, bottom 512-256-128, top 1024-1024-512-256-1, batch 2048, SGD. Same weights and batches as eager PyTorch (`nn.EmbeddingBag(sparse=True)`, `nn.Linear`; bf16: autocast); rounds alternate, medians over steps.",
    markdown(
      [
        '',
        'Sluice',
        'PyTorch',
        'ratio',
        'matrix products alone',
        'share of that rate',
        'ratio if the step were only these products',
        'largest relative loss difference',
      ],
      steps,
    ),
    '## Data',
    markdown(['', 'measured', 'wanted', 'details'], rows),
  ].join('\n\n');
}

main(async () => {
  const { values } = parseArgs({ options: { json: { type: 'boolean' }, quick: { type: 'boolean' }, threads: { type: 'string' } } });
  run(process.execPath, ['scripts/setup.mjs', '--bench'], 'set-up stopped.', {
    stdio: ['inherit', values.json ? 2 : 'inherit', 'inherit'],
  });
  const options = { threads: Number(values.threads ?? availableParallelism()), quick: values.quick ?? false };
  const log = console.log;
  if (values.json) console.log = console.error;
  const result = { machine: { ...machine(), threads: options.threads }, index: benchIndex(options), dlrm: await benchDlrm(options) };
  console.log = log;
  const text = tables(result);
  console.log(values.json ? JSON.stringify(result) : `\n${text}`);
  if (options.quick) return;
  const file = join(root, 'docs/benchmarks.md');
  const head =
    '# Benchmarks\n\nMade by `npm run bench`; do not edit by hand. Figures of a shared machine move by ten percent and more: compare the ratios, which are taken side by side.';
  writeFileSync(file, `${head}\n\n${text}\n\n${limits}\n`);
  if (!values.json) say(`written to ${file}`);
});

const limits = `## What limits each figure

* **The step in fp32** is bound by the matrix products of the MLPs, which run in LibTorch's own BLAS, as PyTorch's do: the column before the last is the most that any step on it can reach. The rest is the gather of 27 MB of embedding rows, their interaction and their update. A blocked product of our own (6 × 16 register tiles, weights packed once a step, blocks handed out dynamically) ran at 0.90 to 1.00 of that BLAS's rate on this machine, which is at 85 to 90 % of the multiply-add peak, and was not kept.
* **The step in bf16**: where the CPU has bf16 units (AVX512-BF16, AMX) the products run on them; elsewhere operands are rounded to bf16 and multiplied in fp32, which is exact for each product, while PyTorch takes a slow generic path.
* **Append** writes 12 bytes a sample, checksums them and waits for the disk after every batch.
* **Scan** pays for page-table work on the memory map beyond the bytes themselves.`;
