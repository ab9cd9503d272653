// The flights pipeline from TypeScript, with a trigger and a selection of our own:
//   a trigger that fires when the share of late flights in the last 20,000 differs from that in the model's last
//   training window by more than three points, and a selection that weights late flights double.
//
//   npm run build && node examples/run.mjs examples/api/run.ts
import { defineSelection, defineTrigger, loadPipeline, runExperiment, withPolicies, writeReport } from 'sluice';
import { z } from 'zod';

const labelShift = defineTrigger({
  id: 'label-shift',
  summary: 'Fires when the share of positive labels moves away from what it was at the last trigger.',
  config: z.strictObject({ window: z.int().min(100), points: z.number().gt(0) }),
  create({ window, points }) {
    let reference: number | undefined;
    let seen = 0;
    let positive = 0;
    return {
      *inform(batch) {
        for (let i = 0; i < batch.length; i++) {
          positive += batch.labels[i]!;
          if (++seen < window) continue;
          const share = (100 * positive) / seen;
          const change = reference === undefined ? Number.POSITIVE_INFINITY : Math.abs(share - reference);
          seen = positive = 0;
          if (change < points) continue;
          reference = share;
          yield { at: i, reason: `${share.toFixed(1)} % positive labels`, score: share, threshold: points };
        }
      },
    };
  },
});

const weighted = defineSelection({
  id: 'weighted-positives',
  summary: 'New data; samples with label 1 count several times.',
  config: z.strictObject({ weight: z.number().gt(0) }),
  reset: true,
  select({ weight }, { first, end, labels }) {
    const keys = BigUint64Array.from({ length: end - first }, (_, i) => BigInt(first + i));
    return { keys, weights: labels(first, end).map((label) => (label === 1 ? weight : 1)) };
  },
});

const pipeline = withPolicies(await loadPipeline(new URL('../flights/pipeline.yaml', import.meta.url).pathname), {
  id: 'flights-label-shift',
  trigger: { policy: labelShift, config: { window: 20_000, points: 3 } },
  selection: { policy: weighted, config: { weight: 2 } },
});

const result = await runExperiment(pipeline, {
  onEvent: (event) => {
    if (event.type === 'trained')
      console.log(`model ${event.training.modelId}: ${event.training.trainsetSize} samples, loss ${event.training.loss.toFixed(4)}`);
  },
});
const files = await writeReport(result, `sluice-data/reports/${result.pipelineId}`);
console.log(`${result.triggers.length} models; report: ${files.html}`);
