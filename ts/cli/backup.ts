import { defineCommand } from 'citty';
import { backup } from '../backup/backup.js';
import { foldersOf } from '../pipeline/folders.js';
import { datasetIds } from './datasets.js';
import { barFor, formatBytes, formatCount, print } from './output.js';
import { runCommand, sharedArgs } from './run-command.js';

export const storeArgs = {
  endpoint: {
    type: 'string',
    description: 'Address of the object store; default: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, else AWS',
    valueHint: 'url',
  },
  region: { type: 'string', description: 'Default: AWS_REGION, else us-east-1', valueHint: 'name' },
} as const;

export default defineCommand({
  meta: { name: 'backup', description: 'Back up a dataset, or all, to s3://bucket/prefix or a folder; may run while a pipeline does' },
  args: {
    what: { type: 'positional', required: true, description: 'Dataset id, or all: datasets, models, training sets and journal' },
    target: { type: 'positional', required: true, description: 's3://bucket/prefix, or a folder' },
    ...storeArgs,
    ...sharedArgs,
  },
  run: ({ args }) =>
    runCommand(args, async ({ mode, signal }) => {
      const { what, target, endpoint, region } = args;
      const dataset = what === 'all' ? undefined : datasetIds(args.data, what)[0];
      const bar = await barFor(mode, `back up ${what}`);
      try {
        const result = await backup(foldersOf(args.data), { dataset, target, s3: { endpoint, region }, signal, onProgress: bar.to });
        bar.end();
        const { files, bytes, resumed } = result;
        const again = resumed ? ', going on with the copy of an earlier try' : '';
        print(mode, `${what}: ${formatCount(files)} files, ${formatBytes(bytes)}, are in ${target}${again}`, {
          backup: what,
          target,
          ...result,
        });
      } catch (error) {
        bar.end();
        throw error;
      }
    }),
});
