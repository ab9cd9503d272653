import { defineCommand } from 'citty';
import { foldersOf } from '../pipeline/folders.js';
import { readResult } from '../pipeline/journal.js';
import { writeReport } from '../report/index.js';
import { aucMatrix, freshness, mainMetric, timings } from '../report/tables.js';
import { print, useColor } from './output.js';
import { runCommand, sharedArgs } from './run-command.js';
import { withJournal } from './stored.js';

export default defineCommand({
  meta: { name: 'report', description: 'The tables of a run again, and an HTML file with pictures' },
  args: {
    pipeline: { type: 'positional', required: true, description: 'Pipeline id' },
    metric: { type: 'enum', options: ['auc', 'accuracy', 'rmse', 'loss'], description: 'Metric of the matrix' },
    out: { type: 'string', description: 'Folder of the files (default: reports/<pipeline> in the data folder)', valueHint: 'folder' },
    ...sharedArgs,
  },
  run: ({ args }) =>
    runCommand(args, async ({ mode }) => {
      const result = await withJournal(args.data, (journal) => readResult(journal, args.pipeline));
      const files = await writeReport(result, args.out ?? foldersOf(args.data).report(result.pipelineId));
      const metric = args.metric ?? mainMetric(result);
      const width = process.stdout.columns ?? 120;
      const tables = [aucMatrix(result, { metric, width, color: useColor() }), freshness(result, { color: useColor() }), timings(result)];
      print(mode, `${tables.join('\n\n')}\n\nreport: ${files.html}`, { ...files, result });
    }),
});
