// Checks between fields of the pipeline file, and the defaults that depend on other fields.
import { isS3 } from '../s3/address.js';
import { isFrequent } from '../sources/forms.js';
import { placementProblem } from '../sources/in-place.js';
import { type CrossProblem, columnProblems, featureProblems, repeated } from './feature-checks.js';
import type { DatasetConfig, FeaturesConfig, LabelConfig, PipelineConfig, PipelineFile } from './schema.js';
import { ofClasses, type TrainingFileConfig } from './schema-training.js';

/** Number of classes of a label: 2 unless the pipeline names more. */
function labelClasses(label: LabelConfig): number {
  const classes = 'classes' in label ? label.classes : undefined;
  if (classes === undefined) return 2;
  return typeof classes === 'number' ? classes : classes.length;
}

/** Checks sections against each other. Sections that have errors of their own are left out by the caller. */
export function crossProblems(sections: Partial<PipelineFile>): CrossProblem[] {
  const { dataset, features, training } = sections;
  const problems: CrossProblem[] = [];
  if (dataset) problems.push(...classNameProblems(dataset));
  if (dataset && features) problems.push(...columnProblems(features, dataset.columns));
  if (features) problems.push(...featureProblems(features, sections.model?.id));
  if (dataset && training)
    problems.push(...criterionProblems(dataset.label, training), ...recordProblems(dataset.label, training, sections.selection));
  if (dataset) problems.push(...servingProblems(dataset, sections.serve), ...placementProblems(dataset));
  if (features && training && sections.model?.id === 'dlrm') problems.push(...optimizerProblems(features, training));
  return problems;
}

/** Fills in the defaults that depend on other fields. */
export function resolveDefaults(file: PipelineFile): PipelineConfig {
  const { label } = file.dataset;
  const criterion = file.training.criterion ?? (isReal(label) ? 'mse' : labelClasses(label) > 2 ? 'cross-entropy' : 'bce');
  return { ...file, training: { ...file.training, criterion } };
}

const isReal = (label: LabelConfig): boolean => 'real' in label;

/** Values that stay where they are must be what the model gets. */
function placementProblems({ columns, label, time, ...data }: DatasetConfig): CrossProblem[] {
  if (!('source' in data) || !('inPlace' in data.source) || !data.source.inPlace) return [];
  const problems: CrossProblem[] = [];
  if (data.source.path.some(isS3))
    problems.push({ path: ['dataset', 'source', 'path'], message: 'expected files of this machine, because of inPlace' });
  for (const [name, form] of Object.entries(columns)) {
    const problem = placementProblem(form);
    if (problem !== undefined) problems.push({ path: ['dataset', 'columns', name], message: `expected ${problem}` });
  }
  if ('classes' in label && Array.isArray(label.classes))
    problems.push({
      path: ['dataset', 'label', 'classes'],
      message: 'expected a number of classes, because with inPlace labels stay numbers',
    });
  if ('format' in time)
    problems.push({ path: ['dataset', 'time', 'format'], message: 'expected a unit instead, because with inPlace times are numbers' });
  return problems;
}

/** Pushed samples bring their times; what is watched must be a source. */
function servingProblems({ time, ...data }: DatasetConfig, serve: PipelineFile['serve']): CrossProblem[] {
  const pushed = 'source' in data && data.source.format === 'push';
  const taking = [serve?.http, serve?.grpc, serve?.nats, serve?.kafka].some((section) => section !== undefined);
  const problems: CrossProblem[] = [];
  if ((pushed || taking) && 'step' in time)
    problems.push({ path: ['dataset', 'time'], message: 'expected a column, because samples that are pushed bring their times' });
  const counted = Object.keys(data.columns).find((name) => isFrequent(data.columns[name]!));
  if ((pushed || taking) && counted !== undefined)
    problems.push({
      path: ['dataset', 'columns', counted],
      message: 'expected category or { hash: n }, because how often values were seen is counted in files only',
    });
  if (pushed && serve?.watch !== undefined)
    problems.push({ path: ['serve', 'watch'], message: 'expected none: samples that are pushed come from no files' });
  if (!('source' in data) && serve?.watch?.manifest !== undefined)
    problems.push({
      path: ['serve', 'watch', 'manifest'],
      message: 'expected none, because the module of the dataset says which parts there are',
    });
  return problems;
}

/** A policy that selects by what is recorded needs it recorded; a regression has no confidence, margin or entropy. */
function recordProblems(
  label: LabelConfig,
  { record, inTraining }: TrainingFileConfig,
  selection: PipelineFile['selection'] | undefined,
): CrossProblem[] {
  const problems: CrossProblem[] = [];
  const none = (path: CrossProblem['path'], value: string) =>
    problems.push({ path, message: `expected loss or gradient-norm: a regression has no ${value}` });
  if (isReal(label)) {
    record.forEach((value, i) => {
      if (ofClasses.includes(value)) none(['training', 'record', i], value);
    });
    if (inTraining && ofClasses.includes(inTraining.score)) none(['training', 'inTraining', 'score'], inTraining.score);
  }
  const by = selection?.id === 'recorded' ? (selection as { by?: unknown }).by : undefined;
  if (typeof by === 'string' && !(record as readonly string[]).includes(by))
    problems.push({ path: ['training', 'record'], message: `expected ${by} among them, because selection goes by it` });
  return problems;
}

function criterionProblems(label: LabelConfig, { criterion }: TrainingFileConfig): CrossProblem[] {
  const path = ['training', 'criterion'];
  if (criterion === undefined) return [];
  const id = typeof criterion === 'string' ? criterion : criterion.id;
  const regression = ['mse', 'l1', 'huber'].includes(id);
  if (isReal(label)) return regression ? [] : [{ path, message: 'expected mse, l1 or huber, because dataset.label is real' }];
  if (regression)
    return [{ path, message: 'expected bce or cross-entropy, because dataset.label has classes (real: true makes it a number)' }];
  if (id === 'bce' && labelClasses(label) > 2)
    return [{ path, message: `expected cross-entropy, because dataset.label has ${labelClasses(label)} classes` }];
  return [];
}

/** One optimizer for everything must be one that embedding tables can have: it may not change rows that no sample touched. */
function optimizerProblems(features: FeaturesConfig, { optimizer }: TrainingFileConfig): CrossProblem[] {
  if (!('id' in optimizer) || features.categorical.length === 0) return [];
  const path = ['training', 'optimizer'];
  const message = 'expected an optimizer each for mlp and embedding: embedding tables take neither adamw nor momentum nor weight decay';
  const unfit = optimizer.id === 'adamw' || optimizer.weightDecay > 0 || ('momentum' in optimizer && optimizer.momentum > 0);
  return unfit ? [{ path, message }] : [];
}

function classNameProblems({ label }: DatasetConfig): CrossProblem[] {
  if (!('classes' in label) || !Array.isArray(label.classes)) return [];
  const path = (i: number) => ['dataset', 'label', 'classes', i];
  return repeated(label.classes, (name) => name).map((i) => ({ path: path(i), message: 'expected every class once' }));
}
