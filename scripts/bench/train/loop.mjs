// What stands around a step: feeding from disk, scoring, selection within the training, recording.
import { alternate, median, milliseconds, native, scoringRow, selectionRow, withFolder } from '../lib.mjs';

export const title = 'Around the step';
export const order = 40;
export const about = 'DLRM, NVIDIA’s small shape, batch 2,048, fp32, as above; ratios of alternating rounds.';

async function feeding(part, quick) {
  const rates = { memory: [], disk: [] };
  for (let i = 0; i < (quick ? 1 : 5); i++)
    for (const from of ['memory', 'disk']) rates[from].push((await part.ask(`${from} ${quick ? 4 : 40}`)).samplesPerSecond);
  return {
    work: 'training from disk ÷ from memory',
    ours: `${median(rates.disk).toFixed(0)} samples/s`,
    peer: `${median(rates.memory).toFixed(0)} samples/s`,
    ratio: median(rates.disk.map((d, i) => d / rates.memory[i])),
    unit: '',
    must: 0.97,
    aim: 0.99,
    limit: 'the loader works on one of the cores that the step needs.',
    note: 'The page cache is dropped before each round.',
  };
}

export async function measure({ threads, quick }) {
  return withFolder(async (folder) => {
    const part = await native('dlrm', threads, 'fp32', 'small', quick ? 10_000 : 100_000, folder);
    const length = quick ? { rounds: 1, steps: 3 } : { rounds: 6, steps: 8 };
    const [infer, score] = await alternate(part, ['infer', 'score'], length);
    const [all, half] = await alternate(part, ['run', 'select'], length);
    const [plain, record] = await alternate(part, ['run', 'record'], length);
    const feed = await feeding(part, quick);
    await part.stop();
    return [
      feed,
      scoringRow(
        'scoring ÷ inference, in speed',
        infer,
        score,
        'losses, gradients at the logits and embeddings of every sample are written beyond the forward pass.',
      ),
      selectionRow('batch-then-sample, half by gradient norm ÷ training on all, in time', { all, half, infer }),
      {
        work: 'step that records losses and gradients ÷ step, in time',
        ours: milliseconds(record),
        peer: milliseconds(plain),
        ratio: record / plain,
        unit: '',
        lower: true,
        must: 1.03,
        limit: 'loss and gradient of 2,048 logits more.',
        note: '',
      },
    ];
  });
}
