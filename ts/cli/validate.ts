import { defineCommand } from 'citty';
import { loadPipeline } from '../config/parse.js';
import { checkModel } from '../pipeline/plan.js';
import { print } from './output.js';
import { runCommand, sharedArgs } from './run-command.js';

export default defineCommand({
  meta: { name: 'validate', description: 'Check a pipeline file: every error with its line and column' },
  args: { file: { type: 'positional', required: true, description: 'Pipeline file' }, json: sharedArgs.json },
  run: ({ args }) =>
    runCommand(args, async ({ mode }) => {
      const pipeline = await loadPipeline(args.file);
      checkModel(pipeline);
      const { config, trigger, selection, hash } = pipeline;
      const text = `${args.file} is valid: pipeline ${config.pipeline.id}, trigger ${trigger.policy.id}, selection ${selection.policy.id}`;
      print(mode, text, { valid: true, pipeline: config.pipeline.id, hash });
    }),
});
