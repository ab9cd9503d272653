import { defineCommand } from 'citty';
import { SluiceError } from '../errors.js';
import { affectedModels } from '../pipeline/affected.js';
import { parseKeys } from '../pipeline/condition.js';
import { foldersOf } from '../pipeline/folders.js';
import { formatCount, print } from './output.js';
import { runCommand, sharedArgs } from './run-command.js';
import { withJournal } from './stored.js';

export default defineCommand({
  meta: { name: 'models', description: 'affected: the models that were trained on a sample, or began from one that was' },
  args: {
    what: { type: 'positional', required: true, description: 'affected' },
    dataset: { type: 'string', required: true, description: 'Dataset id', valueHint: 'id' },
    key: { type: 'string', required: true, description: 'Keys and ranges of samples', valueHint: '5,10-20' },
    ...sharedArgs,
  },
  run: ({ args }) =>
    runCommand(args, async ({ mode }) => {
      if (args.what !== 'affected') throw new SluiceError('E_USAGE', `models: expected affected, got '${args.what}'`);
      const keys = parseKeys(args.key);
      const affected = await withJournal(args.data, (journal) => affectedModels(journal, foldersOf(args.data), args.dataset, keys));
      const lines = affected.map(({ modelId, samples, parent, modelFile }) => {
        const own = samples === null ? 'its training set is gone' : samples === 0 ? '' : `trained on ${formatCount(samples)} of them`;
        const begun = parent === null ? '' : `began from ${parent}`;
        return `${modelId.padEnd(32)} ${[own, begun].filter((part) => part !== '').join(', ')}  ${modelFile}`;
      });
      print(mode, lines.join('\n') || 'no model was trained on these samples', affected);
    }),
});
