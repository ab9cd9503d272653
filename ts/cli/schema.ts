import { defineCommand } from 'citty';
import { pipelineJsonSchema } from '../config/json-schema.js';
import { runCommand } from './run-command.js';

export default defineCommand({
  meta: { name: 'schema', description: 'Print the JSON Schema of pipeline files, for editors' },
  run: () =>
    runCommand({}, async () => {
      process.stdout.write(`${JSON.stringify(pipelineJsonSchema(), null, 2)}\n`);
    }),
});
