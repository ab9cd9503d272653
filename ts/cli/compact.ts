import { defineCommand } from 'citty';
import { compactDataset } from '../services/control.js';
import { datasetIds } from './datasets.js';
import { barFor, byText, formatBytes, formatCount, print } from './output.js';
import { runCommand, sharedArgs } from './run-command.js';

export default defineCommand({
  meta: { name: 'compact', description: 'Take deleted samples out of the bytes on disk, and free pages out of the index' },
  args: {
    dataset: { type: 'positional', required: true, description: 'Dataset id' },
    copy: {
      type: 'boolean',
      default: false,
      description: 'Take records in that lie in files in place, where samples were deleted among them',
    },
    ...sharedArgs,
  },
  run: ({ args }) =>
    runCommand(args, async ({ mode, signal }) => {
      const [id] = datasetIds(args.data, args.dataset) as [string];
      const bar = await barFor(mode, `compact ${id}`);
      try {
        const report = await compactDataset(args.data, id, { copy: args.copy, signal, onProgress: (done) => bar.to(done) });
        bar.end();
        const { samples, segments, inFiles, bytesBefore, bytesAfter, valuesInUse, by } = report;
        const text = `${id}: ${formatCount(samples)} deleted samples taken out of ${formatCount(segments)} segments${byText(by)}; ${formatBytes(bytesBefore)} before, ${formatBytes(bytesAfter)} now`;
        print(mode, `${text}${inFiles === 0 ? '' : inFilesText(id, inFiles)}${inUseText(valuesInUse)}`, report);
      } catch (error) {
        bar.end();
        throw error;
      }
    }),
});

const inFilesText = (id: string, samples: number) =>
  `\n  ${formatCount(samples)} of the deleted samples have their records in files that are not Sluice's, which stay as they are\n  take the records around them in, and then remove them from the files: sluice compact ${id} --copy`;

/** Whose values stay as they are. */
function inUseText(pipelines: readonly string[]): string {
  if (pipelines.length === 0) return '';
  return `\nin use, and left as they are: values of ${pipelines.join(', ')}; compact again when no training of theirs runs`;
}
