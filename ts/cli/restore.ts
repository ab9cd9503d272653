import { defineCommand } from 'citty';
import { restore } from '../backup/restore.js';
import { foldersOf } from '../pipeline/folders.js';
import { storeArgs } from './backup.js';
import { barFor, formatBytes, formatCount, print } from './output.js';
import { runCommand, sharedArgs } from './run-command.js';

export default defineCommand({
  meta: { name: 'restore', description: 'Bring back what backup wrote, where nothing is; every byte is checked' },
  args: {
    source: { type: 'positional', required: true, description: 's3://bucket/prefix, or a folder' },
    ...storeArgs,
    ...sharedArgs,
  },
  run: ({ args }) =>
    runCommand(args, async ({ mode, signal }) => {
      const { source, endpoint, region, data } = args;
      const bar = await barFor(mode, `restore ${source}`);
      try {
        const result = await restore(foldersOf(data), { source, s3: { endpoint, region }, signal, onProgress: bar.to });
        bar.end();
        const what = result.dataset === null ? data : `dataset ${result.dataset} of ${data}`;
        print(mode, `${what}: ${formatCount(result.files)} files, ${formatBytes(result.bytes)}, restored from ${source}`, {
          restored: source,
          ...result,
        });
      } catch (error) {
        bar.end();
        throw error;
      }
    }),
});
