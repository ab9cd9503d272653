// DLRM in NVIDIA's small shape: bound by the matrix products of its MLPs.
import { batch, middle, raceDlrm, tables } from '../dlrm.mjs';
import { milliseconds, percent } from '../lib.mjs';

export const title = 'DLRM, NVIDIA’s small shape';
export const order = 10;
export const about = `One step: batch ${batch}, SGD, 13 dense features, ${tables} tables × 100,000 rows × 128, MLPs 512-256-128 and 1024-1024-512-256-1. Peer: eager PyTorch (\`nn.EmbeddingBag(sparse=True)\`, \`nn.Linear\`; bf16: autocast), same weights and batches.`;

async function row(precision, { threads, quick, limits }) {
  const length = quick ? { rounds: 2, steps: 2 } : { rounds: 12, steps: 8 };
  const what = { precision, shape: 'small', rows: quick ? 10_000 : 100_000, threads };
  const r = await raceDlrm(what, length, { more: { products: 'products' } });
  const machine = (await limits())[precision];
  const products = middle(r.products, 'seconds');
  const rate = middle(r.products, 'gflops');
  const best = Math.max(rate, machine);
  const whole = (rate * products) / r.ours;
  return {
    work: `one step, ${precision}`,
    ours: milliseconds(r.ours),
    peer: milliseconds(r.theirs),
    ratio: r.ratio,
    must: 1.5,
    aim: 2,
    limit: `the MLPs alone (forward, backward, update) take ${milliseconds(products)}: ${rate.toFixed(0)} GFLOP/s, where LibTorch's product of 2,048 × 1,024 × 1,024 reaches ${machine.toFixed(0)}; counted over the whole step they run at ${percent(whole / best)} of the better rate (wanted: 80 %). The rest is the gather, interaction and update of 27 MB of embedding rows.`,
    note: `${r.compiled} PyTorch ${r.torch}; ${r.losses}`,
  };
}

export async function measure(context) {
  return [await row('fp32', context), await row('bf16', context)];
}
