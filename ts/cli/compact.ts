import { defineCommand } from 'citty';
import { Dataset } from '../native/dataset.js';
import { foldersOf } from '../pipeline/folders.js';
import { datasetIds } from './datasets.js';
import { barFor, formatBytes, formatCount, print } from './output.js';
import { runCommand, sharedArgs } from './run-command.js';

export default defineCommand({
  meta: { name: 'compact', description: 'Take deleted samples out of the bytes on disk, and free pages out of the index' },
  args: { dataset: { type: 'positional', required: true, description: 'Dataset id' }, ...sharedArgs },
  run: ({ args }) =>
    runCommand(args, async ({ mode, signal }) => {
      const [id] = datasetIds(args.data, args.dataset) as [string];
      const bar = await barFor(mode, `compact ${id}`);
      const onProgress = (p: { segments: number; totalSegments: number }) => bar.to(p.segments / Math.max(1, p.totalSegments));
      try {
        const report = await Dataset.compact(foldersOf(args.data).dataset(id), { signal, onProgress });
        bar.end();
        const { samples, segments, bytesBefore, bytesAfter } = report;
        const text = `${id}: ${formatCount(samples)} deleted samples taken out of ${formatCount(segments)} segments; ${formatBytes(bytesBefore)} before, ${formatBytes(bytesAfter)} now`;
        print(mode, text, { dataset: id, ...report });
      } catch (error) {
        bar.end();
        throw error;
      }
    }),
});
