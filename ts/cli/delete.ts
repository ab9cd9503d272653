import { defineCommand } from 'citty';
import { SluiceError } from '../errors.js';
import { Dataset } from '../native/dataset.js';
import type { KeyRange, SampleFilter } from '../native/types.js';
import { filterOf } from '../pipeline/condition.js';
import { foldersOf } from '../pipeline/folders.js';
import { lengthOf } from '../pipeline/living.js';
import { checkWanted } from '../services/administration.js';
import { deleteSamples } from '../services/control.js';
import { datasetIds } from './datasets.js';
import { byText, formatCount, print } from './output.js';
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
      const { keys, where, label, ids, reason } = args;
      const wanted = { keys, where, label, ids };
      checkWanted(wanted);
      const [id] = datasetIds(args.data, args.dataset) as [string];
      if (!args.yes) {
        if (ids !== undefined) throw new SluiceError('E_USAGE', 'delete: --ids deletes at once; say it again with --yes');
        const found = await find(foldersOf(args.data).dataset(id), filterOf(wanted), signal);
        const samples = lengthOf(found);
        const text = `${formatCount(samples)} samples of ${id} fit${shown(found)}${samples === 0 ? '' : '\nnothing was deleted; to delete them, say it again with --yes'}`;
        return print(mode, text, { dataset: id, samples, deleted: false });
      }
      const { samples, models, waiting = 0, by } = await deleteSamples(args.data, id, { ...wanted, reason }, { signal });
      const next = samples === 0 ? '' : `${knownTo(models)}\nthey are in the bytes on disk until: sluice compact ${id}`;
      const text =
        ids !== undefined && waiting === 0
          ? `none of ${formatCount(ids.split(',').length)} waits for its label in ${id}`
          : `${formatCount(samples)} samples of ${id} deleted${byText(by)}${next}${waitingText(waiting)}`;
      const value = { dataset: id, samples, ...(waiting > 0 ? { waiting } : {}), deleted: true, models, by };
      print(mode, text, value);
    }),
});

const waitingText = (waiting: number) =>
  waiting === 0 ? '' : `\n${formatCount(waiting)} that waited for their labels deleted; their bytes go when their window has passed`;

const knownTo = (models: readonly string[]) =>
  models.length === 0
    ? ''
    : `\nmodels that know them: ${models.slice(0, 5).join(', ')}${models.length > 5 ? `, … (${formatCount(models.length)} in all)` : ''}`;

async function find(path: string, filter: SampleFilter, signal: AbortSignal): Promise<KeyRange[]> {
  using dataset = Dataset.open(path, { readOnly: true });
  using snapshot = dataset.snapshot({ leaseMs: 0 });
  return await snapshot.findRanges(filter, signal);
}

/** The first ranges. */
function shown(ranges: KeyRange[]): string {
  if (ranges.length === 0) return '';
  const text = ranges.slice(0, 5).map(({ first, end }) => (end === first + 1 ? `${first}` : `${first}-${end - 1}`));
  return `: keys ${text.join(', ')}${ranges.length > text.length ? ', …' : ''}`;
}
