import { defineCommand } from 'citty';
import { SluiceError } from '../errors.js';
import { Dataset } from '../native/dataset.js';
import type { KeyRange, SampleFilter } from '../native/types.js';
import { parseComparisons, parseKeys } from '../pipeline/condition.js';
import { foldersOf } from '../pipeline/folders.js';
import { lengthOf } from '../pipeline/living.js';
import { datasetIds } from './datasets.js';
import { formatCount, print } from './output.js';
import { runCommand, sharedArgs } from './run-command.js';

export default defineCommand({
  meta: { name: 'delete', description: 'Delete samples: from scans, selections and recorded values at once, from the disk with compact' },
  args: {
    dataset: { type: 'positional', required: true, description: 'Dataset id' },
    keys: { type: 'string', description: 'Keys and ranges, both ends included', valueHint: '5,10-20' },
    where: { type: 'string', description: 'Comparisons of time, label and key', valueHint: 'time < 2020-01-01 and label = 1' },
    label: { type: 'string', description: 'Samples of this label', valueHint: 'number' },
    reason: { type: 'string', default: '', description: 'Stands in the audit log', valueHint: 'text' },
    yes: { type: 'boolean', default: false, description: 'Delete; without it the samples are only counted' },
    ...sharedArgs,
  },
  run: ({ args }) =>
    runCommand(args, async ({ mode, signal }) => {
      const filter = filterOf(args);
      const [id] = datasetIds(args.data, args.dataset) as [string];
      using dataset = Dataset.open(foldersOf(args.data).dataset(id), { readOnly: !args.yes });
      const found = await find(dataset, filter, signal);
      const samples = lengthOf(found);
      if (!args.yes) {
        const text = `${formatCount(samples)} samples of ${id} fit${shown(found)}${samples === 0 ? '' : '\nnothing was deleted; to delete them, say it again with --yes'}`;
        return print(mode, text, { dataset: id, samples, deleted: false });
      }
      const deleted = await dataset.delete(found, args.reason);
      const next = deleted === 0 ? '' : `\nthey are in the bytes on disk until: sluice compact ${id}`;
      print(mode, `${formatCount(deleted)} samples of ${id} deleted${next}`, { dataset: id, samples: deleted, deleted: true });
    }),
});

/** All that is given must hold. E_USAGE. */
function filterOf({ keys, where, label }: { keys?: string; where?: string; label?: string }): SampleFilter {
  if (keys === undefined && where === undefined && label === undefined)
    throw new SluiceError('E_USAGE', 'delete: which samples? name them with --keys, --where or --label');
  const all = where === undefined ? [] : parseComparisons(where);
  if (label !== undefined) all.push(...parseComparisons(`label = ${label}`));
  return keys === undefined ? { where: all } : { keys: parseKeys(keys), where: all };
}

async function find(dataset: Dataset, filter: SampleFilter, signal: AbortSignal): Promise<KeyRange[]> {
  using snapshot = dataset.snapshot({ leaseMs: 0 });
  return await snapshot.findRanges(filter, signal);
}

/** The first ranges. */
function shown(ranges: KeyRange[]): string {
  if (ranges.length === 0) return '';
  const text = ranges.slice(0, 5).map(({ first, end }) => (end === first + 1 ? `${first}` : `${first}-${end - 1}`));
  return `: keys ${text.join(', ')}${ranges.length > text.length ? ', …' : ''}`;
}
