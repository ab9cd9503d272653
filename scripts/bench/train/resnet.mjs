// ResNet-18 on small images: bound by its convolutions, which both sides take from oneDNN.
import { join } from 'node:path';
import { python } from '../../lib/dependencies.mjs';
import { root } from '../../lib/run.mjs';
import { hasCompiler } from '../dlrm.mjs';
import { alternate, lossDifference, milliseconds, native, Peer, race, scoringRow, seedSpread, selectionRow, withFolder } from '../lib.mjs';

export const title = 'ResNet-18';
export const order = 30;
export const about =
  'One step: batch 128, images of 32 × 32 (stem of 3 × 3, no pooling), SGD with momentum and weight decay. Peer: eager PyTorch as it comes (channels first; bf16: autocast), same weights and batches.';

const torch = (folder, precision, threads, mode) =>
  Peer.start(python(), [join(root, 'scripts/bench/resnet_torch.py'), folder, precision, String(threads), mode], {
    env: { ...process.env, TORCHINDUCTOR_CACHE_DIR: join(folder, 'inductor') },
  });

/** What another way of running PyTorch takes, and how much faster our step is. */
async function other(ours, { folder, precision, threads, mode, length }) {
  const peer = await torch(folder, precision, threads, mode);
  const { ours: mine, theirs } = await race(ours, peer, { ...length, warmUp: mode === 'compile' ? 3 : 1 });
  await peer.stop();
  return `${mode === 'compile' ? 'torch.compile' : mode}: ${milliseconds(theirs)} (${(theirs / mine).toFixed(2)}×).`;
}

async function rows(precision, { threads, quick }) {
  const length = quick ? { rounds: 1, steps: 1 } : { rounds: 5, steps: 3 };
  return withFolder(async (folder) => {
    const ours = await native('resnet', threads, precision, folder);
    await ours.ask('export');
    const eager = await torch(folder, precision, threads, 'eager');
    const r = await race(ours, eager, length);
    const seeds = precision === 'bf16' ? ` ${await seedSpread(eager, r.losses[0].length)}` : '';
    await eager.stop();
    const short = { ...length, rounds: Math.ceil(length.rounds / 3) };
    const peers = [];
    for (const mode of ['channels-last', ...(hasCompiler() ? ['compile'] : [])]) {
      peers.push(await other(ours, { folder, precision, threads, mode, length: short }));
    }
    const [infer, score] = await alternate(ours, ['infer', 'score'], length);
    const [all, half] = await alternate(ours, ['run', 'select'], length);
    await ours.stop();
    return [
      {
        work: `one step, ${precision}`,
        ours: milliseconds(r.ours),
        peer: milliseconds(r.theirs),
        ratio: r.theirs / r.ours,
        must: 1.05,
        aim: 1.2,
        limit:
          "oneDNN's convolutions are the same on both sides; channels last spares their reordering, one pass for batch norm, sum and ReLU some memory traffic.",
        note: `PyTorch ${eager.hello.torch}; ${peers.join(' ')} ${lossDifference(r.losses)}${seeds}`,
      },
      scoringRow(`scoring ÷ inference in speed, ${precision}`, infer, score),
      selectionRow(`batch-then-sample, half by gradient norm ÷ training on all, in time, ${precision}`, { all, half, infer }),
    ];
  });
}

export async function measure(context) {
  return [...(await rows('fp32', context)), ...(await rows('bf16', context))];
}
