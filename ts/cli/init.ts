import { access, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { defineCommand } from 'citty';
import { pipelineJsonSchema } from '../config/json-schema.js';
import { pipelineTemplate } from '../config/template.js';
import { productionTemplate } from '../config/template-production.js';
import { SluiceError } from '../errors.js';
import { asSluiceError } from '../pipeline/folders.js';
import { print } from './output.js';
import { runCommand, sharedArgs } from './run-command.js';

export default defineCommand({
  meta: { name: 'init', description: 'Write a commented pipeline file and the schema that editors complete it with' },
  args: {
    file: { type: 'positional', required: false, default: 'pipeline.yaml', description: 'File to write' },
    production: { type: 'boolean', default: false, description: 'A pipeline for sluice serve, to which samples are pushed' },
    force: { type: 'boolean', default: false, description: 'Overwrite an existing file' },
    json: sharedArgs.json,
  },
  run: ({ args }) =>
    runCommand(args, async ({ mode }) => {
      const file = resolve(args.file);
      const schema = join(dirname(file), 'sluice.schema.json');
      if (!args.force && (await exists(file)))
        throw new SluiceError('E_EXISTS', `${args.file} exists already`, { hint: 'choose another name, or overwrite it with --force' });
      try {
        await writeFile(schema, `${JSON.stringify(pipelineJsonSchema(), null, 2)}\n`);
        await writeFile(file, args.production ? productionTemplate : pipelineTemplate);
      } catch (error) {
        throw asSluiceError(error, `write ${args.file}`);
      }
      print(mode, `wrote ${args.file} and ${basename(schema)}; next: sluice ${args.production ? 'serve' : 'validate'} ${args.file}`, {
        file,
        schema,
      });
    }),
});

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );
