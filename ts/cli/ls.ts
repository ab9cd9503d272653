import { defineCommand } from 'citty';
import { SluiceError } from '../errors.js';
import { readResult } from '../pipeline/journal.js';
import { trainingList, triggerList } from '../report/tables.js';
import { datasetText, storedDatasets } from './datasets.js';
import { formatCount, formatDay, print } from './output.js';
import { runCommand, sharedArgs } from './run-command.js';
import { datasetStatistics, statisticsText } from './statistics.js';
import { withJournal } from './stored.js';

export default defineCommand({
  meta: { name: 'ls', description: 'List pipelines, datasets with their columns, or the triggers or models of a pipeline' },
  args: {
    what: { type: 'positional', required: false, default: 'pipelines', description: 'pipelines, datasets, triggers or models' },
    pipeline: { type: 'positional', required: false, description: 'Pipeline id, for triggers and models; dataset id, for datasets' },
    stats: { type: 'boolean', default: false, description: 'Datasets with statistics: labels, bytes, deleted samples, values, models' },
    ...sharedArgs,
  },
  run: ({ args }) =>
    runCommand(args, async ({ mode, signal }) => {
      if (args.stats && !['datasets', 'pipelines'].includes(args.what))
        throw new SluiceError('E_USAGE', `ls: --stats is of datasets, not of ${args.what}`, { hint: 'sluice ls datasets [id] --stats' });
      if (args.stats || args.what === 'datasets') {
        const all = storedDatasets(args.data, args.pipeline);
        if (!args.stats) return print(mode, all.map(datasetText).join('\n') || 'no datasets', all);
        const known = [];
        for (const dataset of all) known.push('error' in dataset ? dataset : await datasetStatistics(args.data, dataset, signal));
        const text = known.map((dataset) => ('error' in dataset ? datasetText(dataset) : statisticsText(dataset))).join('\n');
        return print(mode, text || 'no datasets', known);
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
