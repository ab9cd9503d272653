import { defineCommand } from 'citty';
import { selectionPolicies, triggerPolicies } from '../policies/registry.js';
import { print } from './output.js';
import { runCommand, sharedArgs } from './run-command.js';

export default defineCommand({
  meta: { name: 'policies', description: 'List the built-in triggering and selection policies' },
  args: { json: sharedArgs.json },
  run: ({ args }) =>
    runCommand(args, async ({ mode }) => {
      const all = [...triggerPolicies, ...selectionPolicies];
      const text = all.map((p) => `${p.kind.padEnd(10)} ${p.id.padEnd(12)} ${p.summary}`).join('\n');
      print(
        mode,
        text,
        all.map(({ kind, id, summary }) => ({ kind, id, summary })),
      );
    }),
});
