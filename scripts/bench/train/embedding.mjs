// DLRM whose time goes into its embedding tables.
import { batch, raceDlrm, tables } from '../dlrm.mjs';
import { milliseconds, percent } from '../lib.mjs';

export const title = 'DLRM, bound by its embedding tables';
export const order = 20;
export const about = `One step: batch ${batch}, SGD, 13 dense features, ${tables} tables × 1,000,000 rows × 16 (1.7 GB), MLPs 64-16 and 64-1, fp32. Peer: eager PyTorch, same weights and batches.`;

export async function measure({ threads, quick, limits }) {
  const length = quick ? { rounds: 2, steps: 2 } : { rounds: 12, steps: 8 };
  const r = await raceDlrm({ precision: 'fp32', shape: 'embedding', rows: quick ? 100_000 : 1_000_000, threads }, length);
  const { rows64, copy } = await limits();
  const megabytes = (2 * batch * tables * 16 * 4) / 1e6; // each row is read from memory and written back
  const bound = megabytes / 1000 / rows64;
  return [
    {
      work: 'one step, fp32',
      ours: milliseconds(r.ours),
      peer: milliseconds(r.theirs),
      ratio: r.ratio,
      must: 4,
      limit: `its rows alone, ${megabytes.toFixed(1)} MB read and written back at random, take ${milliseconds(bound)} at the ${rows64.toFixed(1)} GB/s measured for that (copying: ${copy.toFixed(1)} GB/s): ${percent(bound / r.ours)} of the step.`,
      note: `Aim: the memory bandwidth. ${r.compiled} ${r.losses}`,
    },
  ];
}
