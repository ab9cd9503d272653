import { defineCommand } from 'citty';
import { SluiceError } from '../errors.js';
import { modelHeader } from '../native/models.js';
import { foldersOf } from '../pipeline/folders.js';
import { readResult } from '../pipeline/journal.js';
import type { TriggerResult, WindowMetrics } from '../pipeline/results.js';
import { clean } from '../report/text.js';
import { formatCount, print } from './output.js';
import { runCommand, sharedArgs } from './run-command.js';
import { withJournal } from './stored.js';

export default defineCommand({
  meta: { name: 'show', description: 'Show a pipeline (its file as it was run), or one trigger: its decision, model and metrics' },
  args: { id: { type: 'positional', required: true, description: '<pipeline> or <pipeline>/<trigger>' }, ...sharedArgs },
  run: ({ args }) =>
    runCommand(args, ({ mode }) =>
      withJournal(args.data, (journal) => {
        const [pipeline = '', trigger] = args.id.split('/');
        const result = readResult(journal, pipeline);
        const record = journal.pipeline(pipeline);
        if (trigger === undefined) {
          const text = `# ${pipeline}: ${result.status}, ${result.triggers.length} triggers; as it was run from ${record?.file}\n${record?.text}`;
          return print(mode, text, record);
        }
        const found = result.triggers[Number(trigger)];
        if (found === undefined)
          throw new SluiceError('E_NOT_FOUND', `pipeline ${pipeline} has no trigger ${trigger}; it has 0 to ${result.triggers.length - 1}`);
        const file = foldersOf(args.data).modelFile(pipeline, found.trigger.id);
        const model = found.training === null ? null : modelHeader(file);
        return print(mode, triggerText(found, model), { ...found, model });
      }),
    ),
});

/** The metrics that the task has. */
function scores({ auc, accuracy, rmse }: WindowMetrics): string {
  if (rmse !== null) return `rmse ${rmse.toFixed(4)}`;
  return `auc ${auc?.toFixed(4) ?? '  -   '}  accuracy ${accuracy?.toFixed(4) ?? '  -   '}`;
}

function triggerText({ trigger, training, evaluation }: TriggerResult, model: ReturnType<typeof modelHeader> | null): string {
  const lines = [
    `trigger ${trigger.id} at sample ${formatCount(trigger.key)}, ${new Date(trigger.timeMs).toISOString()}`,
    `  reason    ${clean(trigger.reason)}`,
  ];
  if (training === null) return [...lines, '  no training'].join('\n');
  const parameters = model?.tensors.reduce((sum, t) => sum + t.shape.reduce((a, b) => a * b, 1), 0) ?? 0;
  lines.push(
    `  set       ${training.trainset} (${formatCount(training.trainsetSize)} samples)`,
    `  training  ${formatCount(training.steps)} steps, ${training.seconds.toFixed(2)} s, loss ${training.loss.toFixed(5)}${training.validationLoss === null ? '' : `, on held-out samples ${training.validationLoss.toFixed(5)}`}`,
    `  model     ${training.modelFile} (${formatCount(parameters)} parameters in ${model?.tensors.length} tensors)`,
    `  parent    ${training.parent ?? 'random initial weights'}`,
    ...(model?.tensors ?? []).map((t) => `  parameter ${t.name} [${t.shape.join(', ')}]`),
  );
  for (const m of evaluation ?? []) {
    lines.push(`  window ${String(m.window).padStart(4)}  ${scores(m)}  loss ${m.loss.toFixed(4)}  ${formatCount(m.samples)} samples`);
  }
  return lines.join('\n');
}
