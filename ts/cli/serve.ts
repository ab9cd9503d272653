import { defineCommand } from 'citty';
import { loadPipeline } from '../config/parse.js';
import { servePipeline } from '../services/serve.js';
import { logTo } from './log.js';
import { runCommand, sharedArgs } from './run-command.js';

export default defineCommand({
  meta: { name: 'serve', description: 'Run a pipeline in production mode until it is stopped: samples arrive while models are trained' },
  args: {
    file: { type: 'positional', required: true, description: 'Pipeline file; its section serve says how samples arrive' },
    restart: { type: 'boolean', default: false, description: 'Forget the earlier triggers and models of this pipeline; its samples stay' },
    ...sharedArgs,
  },
  run: ({ args }) =>
    runCommand(args, async ({ mode, signal }) => {
      const pipeline = await loadPipeline(args.file);
      await servePipeline(pipeline, { dataFolder: args.data, signal, onEvent: logTo(mode), restart: args.restart });
    }),
});
