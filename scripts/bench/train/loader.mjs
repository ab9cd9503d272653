// Images from disk with augmentation: our loader beside a PyTorch DataLoader; training fed by it beside training from memory.
import { join } from 'node:path';
import { python } from '../../lib/dependencies.mjs';
import { root } from '../../lib/run.mjs';
import { median, native, Peer, percent, withFolder } from '../lib.mjs';

export const title = 'The loader: images';
export const order = 50;
export const about =
  'Random images from the page cache, a fresh order every epoch, normalised. CIFAR: 32 × 32, padded by 4, random crop and flip, batches of 128. ImageNet: 256 × 256, a random area resized to 224 × 224 (bilinear) and flip, batches of 64. One loader thread beside one DataLoader worker process; rounds alternate.';

const batch = { cifar: 128, imagenet: 64 };

/** Mean seconds a batch: threads work ahead, so that single batches say little. */
const perBatch = ({ seconds }) => seconds.reduce((a, b) => a + b, 0) / seconds.length;

async function rate(kind, folder, { rounds, batches }) {
  const ours = await native('loader', 1, kind, 1, folder);
  const theirs = await Peer.start(python(), [join(root, 'scripts/bench/loader_torch.py'), kind, '1', folder]);
  const seconds = { ours: [], theirs: [], memory: [] };
  for (let i = 0; i < rounds; i++) {
    seconds.ours.push(perBatch(await ours.ask(`run ${20 * batches}`)));
    seconds.theirs.push(perBatch(await theirs.ask(`run ${batches}`)));
    seconds.memory.push(perBatch(await ours.ask(`memory ${20 * batches}`)));
  }
  await theirs.stop();
  await ours.stop();
  const speed = (list) => batch[kind] / median(list);
  const show = (list) => `${speed(list).toFixed(0)} images/s`;
  return {
    work: `${kind === 'cifar' ? 'CIFAR' : 'ImageNet'} batches, one thread`,
    ours: show(seconds.ours),
    peer: show(seconds.theirs),
    ratio: median(seconds.theirs) / median(seconds.ours),
    must: 1,
    aim: 2,
    limit: `copying the stored bytes alone: ${show(seconds.memory)}; as fp32 a batch is four times as large.`,
    note: `PyTorch ${theirs.hello.torch}, transforms of ${theirs.hello.library}.`,
  };
}

async function feeding(threads, folder, { rounds, steps }) {
  const part = await native('loader', threads, 'cifar', 1, folder);
  const seconds = { fed: [], held: [] };
  await part.ask('held 1');
  for (let i = 0; i < rounds; i++) for (const from of ['fed', 'held']) seconds[from].push(perBatch(await part.ask(`${from} ${steps}`)));
  await part.stop();
  const show = (list) => `${(batch.cifar / median(list)).toFixed(0)} images/s`;
  const ratio = median(seconds.held.map((held, i) => held / seconds.fed[i]));
  return {
    work: 'ResNet-18 fed by the loader ÷ from memory',
    ours: show(seconds.fed),
    peer: show(seconds.held),
    ratio,
    unit: '',
    must: 0.97,
    aim: 0.99,
    limit: `the loader shares the cores with the step: ${percent(1 - Math.min(1, ratio))} of it.`,
    note: '',
  };
}

export async function measure({ threads, quick }) {
  return withFolder(async (folder) => {
    const cifar = await rate('cifar', folder, quick ? { rounds: 1, batches: 5 } : { rounds: 7, batches: 40 });
    const fed = await feeding(threads, folder, quick ? { rounds: 1, steps: 2 } : { rounds: 5, steps: 6 });
    return [
      cifar,
      await withFolder((other) => rate('imagenet', other, quick ? { rounds: 1, batches: 2 } : { rounds: 7, batches: 10 })),
      fed,
    ];
  });
}
