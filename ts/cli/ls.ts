import { defineCommand } from 'citty';
import { SluiceError } from '../errors.js';
import { readResult } from '../pipeline/journal.js';
import { trainingList, triggerList } from '../report/tables.js';
import { datasetText, storedDatasets } from './datasets.js';
import { formatCount, formatDay, print } from './output.js';
import { runCommand, sharedArgs } from './run-command.js';
import { withJournal } from './stored.js';

export default defineCommand({
  meta: { name: 'ls', description: 'List pipelines, datasets with their columns, or the triggers or models of a pipeline' },
  args: {
    what: { type: 'positional', required: false, default: 'pipelines', description: 'pipelines, datasets, triggers or models' },
    pipeline: { type: 'positional', required: false, description: 'Pipeline id, for triggers and models; dataset id, for datasets' },
    ...sharedArgs,
  },
  run: ({ args }) =>
    runCommand(args, async ({ mode }) => {
      if (args.what === 'datasets') {
        const all = storedDatasets(args.data, args.pipeline);
        return print(mode, all.map(datasetText).join('\n') || 'no datasets', all);
      }
      await withJournal(args.data, (journal) => {
        if (args.what === 'pipelines') {
          const all = journal.pipelines().map((p) => readResult(journal, p.id));
          const lines = all.map((r) => {
            const span = `${formatDay(r.dataset.firstMs)} to ${formatDay(r.dataset.lastMs)}`;
            return `${r.pipelineId.padEnd(24)} ${r.status.padEnd(10)} ${String(r.triggers.length).padStart(5)} triggers  ${r.triggerPolicy} / ${r.selectionPolicy}  ${r.dataset.id} (${formatCount(r.dataset.samples)} samples, ${span})`;
          });
          return print(
            mode,
            lines.join('\n') || 'no pipelines',
            all.map(({ triggers, windows: _, ...r }) => ({ ...r, triggers: triggers.length })),
          );
        }
        if (args.what !== 'triggers' && args.what !== 'models')
          throw new SluiceError('E_USAGE', `ls: expected pipelines, datasets, triggers or models, got '${args.what}'`);
        if (args.pipeline === undefined)
          throw new SluiceError('E_USAGE', `ls ${args.what}: a pipeline id is missing`, { hint: `sluice ls ${args.what} <pipeline>` });
        const result = readResult(journal, args.pipeline);
        if (args.what === 'triggers')
          return print(
            mode,
            triggerList(result),
            result.triggers.map((t) => t.trigger),
          );
        return print(
          mode,
          trainingList(result),
          result.triggers.flatMap((t) => (t.training === null ? [] : [t.training])),
        );
      });
    }),
});
