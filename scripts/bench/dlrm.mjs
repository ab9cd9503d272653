// What the parts on DLRM share: our process and PyTorch's, from the same weights and batches.
import { join } from 'node:path';
import { python } from '../lib/dependencies.mjs';
import { capture, root } from '../lib/run.mjs';
import { lossDifference, median, native, Peer, race, seedSpread, withFolder } from './lib.mjs';

export const batch = 2048;
export const tables = 26;

/** Whether torch.compile can work here: it needs a C++ compiler. */
export const hasCompiler = () => capture('g++', ['--version']).ok;

const torch = (folder, { precision, shape, rows, threads }, mode) =>
  Peer.start(python(), [join(root, 'scripts/bench/dlrm_torch.py'), folder, precision, String(threads), shape, String(rows), mode], {
    env: { ...process.env, TORCHINDUCTOR_CACHE_DIR: join(folder, 'inductor') },
  });

/** A step of ours beside eager PyTorch, then beside torch.compile; `more` as in race(); `after` is asked of our process at the end. */
export async function raceDlrm(what, length, { more = {}, after = () => ({}) } = {}) {
  return withFolder(async (folder) => {
    const ours = await native('dlrm', what.threads, what.precision, what.shape, what.rows, folder);
    await ours.ask('export');
    const eager = await torch(folder, what, 'eager');
    const result = await race(ours, eager, length, more);
    const seeds = what.precision === 'bf16' ? ` ${await seedSpread(eager, 3 * length.steps)}` : '';
    await eager.stop();
    const compiled = hasCompiler() ? await raceCompiled(ours, folder, what, length) : 'torch.compile was not measured: no g++.';
    const rest = await after(ours);
    await ours.stop();
    return {
      ...result,
      ...rest,
      ratio: result.theirs / result.ours,
      torch: eager.hello.torch,
      compiled,
      losses: lossDifference(result.losses) + seeds,
    };
  });
}

async function raceCompiled(ours, folder, what, { rounds, steps }) {
  const compiled = await torch(folder, what, 'compile');
  const { ours: mine, theirs } = await race(ours, compiled, { rounds: Math.ceil(rounds / 3), steps, warmUp: 3 });
  await compiled.stop();
  return `torch.compile: ${(1000 * theirs).toPrecision(4)} ms (${(theirs / mine).toFixed(2)}×).`;
}

export const middle = (answers, name) => median(answers.map((answer) => answer[name]));
