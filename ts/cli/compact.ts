import { defineCommand } from 'citty';
import { compactDataset } from '../services/control.js';
import { datasetIds } from './datasets.js';
import { barFor, byText, formatBytes, formatCount, print } from './output.js';
import { runCommand, sharedArgs } from './run-command.js';

export default defineCommand({
  meta: { name: 'compact', description: 'Take deleted samples out of the bytes on disk, and free pages out of the index' },
  args: { dataset: { type: 'positional', required: true, description: 'Dataset id' }, ...sharedArgs },
  run: ({ args }) =>
    runCommand(args, async ({ mode, signal }) => {
      const [id] = datasetIds(args.data, args.dataset) as [string];
      const bar = await barFor(mode, `compact ${id}`);
      try {
        const report = await compactDataset(args.data, id, { signal, onProgress: (done) => bar.to(done) });
        bar.end();
        const { samples, segments, bytesBefore, bytesAfter, by } = report;
        const text = `${id}: ${formatCount(samples)} deleted samples taken out of ${formatCount(segments)} segments${byText(by)}; ${formatBytes(bytesBefore)} before, ${formatBytes(bytesAfter)} now`;
        print(mode, text, report);
      } catch (error) {
        bar.end();
        throw error;
      }
    }),
});
