import { defineCommand } from 'citty';
import { loadPipeline } from '../config/parse.js';
import { foldersOf } from '../pipeline/folders.js';
import { ingestPipeline } from '../pipeline/ingest.js';
import { formatCount, print, progressFor, skippedText } from './output.js';
import { runCommand, sharedArgs } from './run-command.js';

export default defineCommand({
  meta: { name: 'ingest', description: "Bring a pipeline's dataset up to its source; goes on where it stopped" },
  args: { file: { type: 'positional', required: true, description: 'Pipeline file' }, ...sharedArgs },
  run: ({ args }) =>
    runCommand(args, async ({ mode, signal }) => {
      const pipeline = await loadPipeline(args.file);
      const progress = await progressFor(mode);
      try {
        const result = await ingestPipeline(pipeline, foldersOf(args.data), { signal, onEvent: progress.onEvent });
        progress.end();
        const { appended, total, skipped } = result;
        const left = skipped === 0 ? '' : `; ${skippedText(skipped)}`;
        const text = `dataset ${pipeline.config.dataset.id}: ${formatCount(appended)} samples appended, ${formatCount(total)} in all${left}`;
        print(mode, text, { type: 'ingested', dataset: pipeline.config.dataset.id, appended, total, skipped });
      } catch (error) {
        progress.end();
        throw error;
      }
    }),
});
