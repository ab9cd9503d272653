import { existsSync, readdirSync } from 'node:fs';
import { relative } from 'node:path';
import { defineCommand } from 'citty';
import { SluiceError } from '../errors.js';
import { Dataset } from '../native/dataset.js';
import { checkTrainset } from '../native/trainset.js';
import type { CheckReport, Damage } from '../native/types.js';
import { type Folders, foldersOf } from '../pipeline/folders.js';
import { datasetIds } from './datasets.js';
import { barFor, formatBytes, formatCount, print } from './output.js';
import { type CommandContext, exitCodes, runCommand, sharedArgs } from './run-command.js';

export default defineCommand({
  meta: { name: 'fsck', description: 'Check every byte of datasets and training sets; --repair mends what can be' },
  args: {
    dataset: { type: 'positional', required: false, description: 'Dataset id; default: all datasets and training sets' },
    repair: { type: 'boolean', default: false, description: 'Make damaged parts anew from what is sound' },
    ...sharedArgs,
  },
  run: ({ args }) =>
    runCommand(args, async (context) => {
      const folders = foldersOf(args.data);
      const ids = datasetIds(args.data, args.dataset);
      if (ids.length === 0 && !existsSync(folders.trainsets))
        throw new SluiceError('E_NOT_FOUND', `there are no datasets in ${args.data}`, { hint: 'name the data folder with --data' });
      let sound = true;
      for (const id of ids) {
        const report = await checkDataset(folders, id, args.repair, context);
        print(context.mode, datasetText(id, report, folders), { type: 'checked', dataset: id, ...report });
        sound &&= report.damages.every((damage) => damage.repaired);
      }
      if (args.dataset === undefined) {
        const { checked, damages } = await checkTrainsets(folders, context);
        print(context.mode, trainsetsText(checked, damages), { type: 'checked', trainsets: checked, damages });
        sound &&= damages.length === 0;
      }
      if (!sound) process.exitCode = exitCodes.failure;
    }),
});

async function checkDataset(folders: Folders, id: string, repair: boolean, { mode, signal }: CommandContext): Promise<CheckReport> {
  const bar = await barFor(mode, `check ${id}`);
  const onProgress = (p: { bytes: number; totalBytes: number }) => bar.to(p.bytes / Math.max(1, p.totalBytes));
  try {
    return await Dataset.check(folders.dataset(id), { repair, signal, onProgress });
  } finally {
    bar.end();
  }
}

type TrainsetDamage = { trainset: string; what: string };

async function checkTrainsets(folders: Folders, { signal }: CommandContext): Promise<{ checked: number; damages: TrainsetDamage[] }> {
  const names = existsSync(folders.trainsets) ? readdirSync(folders.trainsets) : [];
  const ids = names.filter((name) => /^[0-9a-f]{32}\.trainset$/.test(name)).map((name) => name.slice(0, 32));
  const damages: TrainsetDamage[] = [];
  for (const id of ids) {
    if (signal.aborted) throw new SluiceError('E_ABORTED', 'stopped on request');
    try {
      await checkTrainset(folders.trainsets, id);
    } catch (error) {
      if (!(error instanceof SluiceError) || error.code !== 'E_CORRUPT') throw error;
      damages.push({ trainset: id, what: error.message });
    }
  }
  return { checked: ids.length, damages };
}

function datasetText(id: string, report: CheckReport, folders: Folders): string {
  const { damages } = report;
  const verdict = damages.length === 0 ? 'sound' : damages.every((d) => d.repaired) ? 'repaired' : 'damaged';
  const head = `${id}: ${formatCount(report.samples)} samples, ${formatBytes(report.bytes)} read, ${verdict}`;
  return [head, ...damages.map((damage) => `  ${damageText(damage, folders.dataset(id))}`), ...adviceFor(id, damages)].join('\n');
}

function damageText({ part, file, what, first, end, remedy, repaired }: Damage, folder: string): string {
  const samples = first === end ? '' : ` (${end === first + 1 ? `sample ${first}` : `samples ${first} to ${end - 1}`})`;
  const state = repaired ? 'repaired' : remedy === 'none' ? 'cannot be repaired' : 'can be repaired';
  return `${part === 'files' ? file : relative(folder, file)}: ${what}${samples}: ${state}`;
}

function adviceFor(id: string, damages: Damage[]): string[] {
  const left = damages.filter((damage) => !damage.repaired);
  const lost = left.filter((damage) => damage.remedy === 'none');
  const advice = [];
  if (left.length > lost.length) advice.push(`  repair with: sluice fsck ${id} --repair`);
  if (lost.some((d) => d.part === 'files'))
    advice.push(
      "  files in place: bring them back as they were (where they are elsewhere now, the pipeline's dataset.source.path tells), or remove the dataset and ingest it again",
    );
  if (lost.some((d) => d.part !== 'metadata' && d.part !== 'files'))
    advice.push('  what cannot be repaired: bring the file back from a backup, or remove the dataset and ingest it again');
  if (lost.some((d) => d.part === 'metadata')) advice.push('  values of samples: remove the folder; trainings record them anew');
  return advice;
}

function trainsetsText(checked: number, damages: TrainsetDamage[]): string {
  const head = `training sets: ${formatCount(checked)} checked, ${damages.length === 0 ? 'sound' : `${damages.length} damaged`}`;
  const advice = damages.length === 0 ? [] : ['  remove the damaged files; a run of their pipelines freezes the sets again'];
  return [head, ...damages.map(({ what }) => `  ${what}`), ...advice].join('\n');
}
