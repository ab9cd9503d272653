import { defineCommand } from 'citty';
import { SluiceError } from '../errors.js';
import { Dataset } from '../native/dataset.js';
import type { KeyRange, SampleFilter } from '../native/types.js';
import { parseComparisons, parseKeys } from '../pipeline/condition.js';
import { deleteWaiting, timesOf } from '../pipeline/delete-waiting.js';
import { foldersOf } from '../pipeline/folders.js';
import { lengthOf } from '../pipeline/living.js';
import { datasetIds } from './datasets.js';
import { formatCount, type Mode, print } from './output.js';
import { runCommand, sharedArgs } from './run-command.js';

export default defineCommand({
  meta: { name: 'delete', description: 'Delete samples: from scans, selections and recorded values at once, from the disk with compact' },
  args: {
    dataset: { type: 'positional', required: true, description: 'Dataset id' },
    keys: { type: 'string', description: 'Keys and ranges, both ends included', valueHint: '5,10-20' },
    where: { type: 'string', description: 'Comparisons of time, label and key', valueHint: 'time < 2020-01-01 and label = 1' },
    label: { type: 'string', description: 'Samples of this label', valueHint: 'number' },
    ids: { type: 'string', description: 'Samples with these ids that still wait for their labels, and no others', valueHint: 'a-17,a-18' },
    reason: { type: 'string', default: '', description: 'Stands in the audit log', valueHint: 'text' },
    yes: { type: 'boolean', default: false, description: 'Delete; without it the samples are only counted' },
    ...sharedArgs,
  },
  run: ({ args }) =>
    runCommand(args, async ({ mode, signal }) => {
      if (args.ids !== undefined) return await deleteIds(args.ids, args, mode);
      const filter = filterOf(args);
      const [id] = datasetIds(args.data, args.dataset) as [string];
      using dataset = Dataset.open(foldersOf(args.data).dataset(id), { readOnly: !args.yes });
      const found = await find(dataset, filter, signal);
      const samples = lengthOf(found);
      if (!args.yes) {
        const text = `${formatCount(samples)} samples of ${id} fit${shown(found)}${samples === 0 ? '' : '\nnothing was deleted; to delete them, say it again with --yes'}`;
        return print(mode, text, { dataset: id, samples, deleted: false });
      }
      const waiting = await deleteWaiting(dataset, foldersOf(args.data).waiting(id), { times: timesOf(filter), ids: [] });
      const deleted = await dataset.delete(found, args.reason);
      const next = deleted === 0 ? '' : `\nthey are in the bytes on disk until: sluice compact ${id}`;
      const text = `${formatCount(deleted)} samples of ${id} deleted${next}${waitingText(waiting)}`;
      print(mode, text, { dataset: id, samples: deleted, ...(waiting > 0 ? { waiting } : {}), deleted: true });
    }),
});

const waitingText = (waiting: number) =>
  waiting === 0 ? '' : `\n${formatCount(waiting)} that waited for their labels deleted; their bytes go when their window has passed`;

/** Of samples that wait: those in the dataset are not found by their ids. */
async function deleteIds(
  text: string,
  args: { dataset: string; data: string; yes: boolean; keys?: string | undefined; where?: string | undefined; label?: string | undefined },
  mode: Mode,
): Promise<void> {
  if (args.keys !== undefined || args.where !== undefined || args.label !== undefined)
    throw new SluiceError(
      'E_USAGE',
      'delete: --ids names samples that wait for their labels; --keys, --where and --label do not go with it',
    );
  const ids = text.split(',').map((id) => id.trim());
  if (ids.some((id) => id === '' || Buffer.byteLength(id) > 256))
    throw new SluiceError('E_USAGE', 'delete: --ids: expected ids of 1 to 256 bytes');
  if (!args.yes) throw new SluiceError('E_USAGE', 'delete: --ids deletes at once; say it again with --yes');
  const [id] = datasetIds(args.data, args.dataset) as [string];
  using dataset = Dataset.open(foldersOf(args.data).dataset(id));
  const waiting = await deleteWaiting(dataset, foldersOf(args.data).waiting(id), { times: undefined, ids });
  const none = `none of ${formatCount(ids.length)} waits for its label in ${id}`;
  print(mode, waiting === 0 ? none : waitingText(waiting).trim(), { dataset: id, samples: 0, waiting, deleted: true });
}

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
