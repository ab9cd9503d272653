import { defineCommand } from 'citty';
import { loadPipeline } from '../config/parse.js';
import { foldersOf } from '../pipeline/folders.js';
import { runExperiment } from '../pipeline/run.js';
import { writeReport } from '../report/index.js';
import { aucMatrix, freshness } from '../report/tables.js';
import { print, progressFor, useColor } from './output.js';
import { runCommand, sharedArgs } from './run-command.js';

export default defineCommand({
  meta: { name: 'run', description: 'Run a pipeline in experiment mode; goes on where it stopped' },
  args: {
    file: { type: 'positional', required: true, description: 'Pipeline file' },
    restart: { type: 'boolean', default: false, description: 'Forget an earlier run of this pipeline' },
    trace: { type: 'string', description: 'Samples arrive as they did for this pipeline in production', valueHint: 'pipeline' },
    ...sharedArgs,
  },
  run: ({ args }) =>
    runCommand(args, async ({ mode, signal }) => {
      const pipeline = await loadPipeline(args.file);
      const progress = await progressFor(mode);
      try {
        const result = await runExperiment(pipeline, {
          dataFolder: args.data,
          signal,
          onEvent: progress.onEvent,
          restart: args.restart,
          trace: args.trace,
        });
        progress.end();
        const { html } = await writeReport(result, foldersOf(args.data).report(result.pipelineId));
        const width = process.stdout.columns ?? 120;
        const text = `\n${aucMatrix(result, { width, color: useColor() })}\n\n${freshness(result, { color: useColor() })}\n\nreport: ${html}`;
        print(mode, text, { type: 'result', report: html, result });
      } catch (error) {
        progress.end();
        throw error;
      }
    }),
});
