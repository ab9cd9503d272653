// Checks between fields of the pipeline file, and the defaults that depend on other fields.
import { didYouMean } from '../base/nearest.js';
import type { DatasetConfig, FeaturesConfig, LabelConfig, PipelineConfig, PipelineFile } from './schema.js';
import type { TrainingFileConfig } from './schema-training.js';

/** A rule between fields that does not hold. `path` leads to the field to change. */
export type CrossProblem = { path: (string | number)[]; message: string };

/** Number of classes of a label: 2 unless the pipeline names more. */
export function labelClasses(label: LabelConfig): number {
  const classes = 'classes' in label ? label.classes : undefined;
  if (classes === undefined) return 2;
  return typeof classes === 'number' ? classes : classes.length;
}

/** Checks sections against each other. Sections that have errors of their own are left out by the caller. */
export function crossProblems(sections: Partial<PipelineFile>): CrossProblem[] {
  const { dataset, features, training } = sections;
  const problems: CrossProblem[] = [];
  if (dataset) problems.push(...classNameProblems(dataset));
  if (dataset && features) problems.push(...featureProblems(features, dataset.columns));
  if (features) problems.push(...emptyProblems(features), ...repeatProblems(features));
  if (dataset && training) problems.push(...criterionProblems(dataset.label, training));
  if (features && training && sections.model?.id === 'dlrm') problems.push(...optimizerProblems(features, training));
  return problems;
}

/** Fills in the defaults that depend on other fields. */
export function resolveDefaults(file: PipelineFile): PipelineConfig {
  const { label } = file.dataset;
  const criterion = file.training.criterion ?? (isReal(label) ? 'mse' : labelClasses(label) > 2 ? 'cross-entropy' : 'bce');
  return { ...file, training: { ...file.training, criterion } };
}

export const isReal = (label: LabelConfig): boolean => 'real' in label;

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

function featureProblems(features: FeaturesConfig, columns: DatasetConfig['columns']): CrossProblem[] {
  const problems: CrossProblem[] = [];
  const check = (name: string, path: (string | number)[], refused: string, advice: string) => {
    const type = Object.hasOwn(columns, name) ? columns[name] : undefined;
    const stored = Object.keys(columns);
    if (type === undefined) {
      const known = didYouMean(name, stored) || `, which holds ${stored.slice(0, 20).join(', ')}`;
      problems.push({ path, message: `expected a column of dataset.columns${known}` });
    } else if (type === refused) {
      problems.push({ path, message: `expected ${advice}, but dataset.columns stores it as ${type}` });
    }
  };
  features.dense.forEach((feature, i) => {
    if ('column' in feature) check(feature.column, ['features', 'dense', i, 'column'], 'category', 'an f32 or i32 column');
  });
  features.categorical.forEach((feature, i) => {
    const path = ['features', 'categorical', i];
    const advice = 'a category or i32 column';
    if ('column' in feature) check(feature.column, [...path, 'column'], 'f32', advice);
    if ('cross' in feature) for (const [j, name] of feature.cross.entries()) check(name, [...path, 'cross', j], 'f32', advice);
  });
  return problems;
}

function emptyProblems({ dense, categorical }: FeaturesConfig): CrossProblem[] {
  return dense.length + categorical.length > 0 ? [] : [{ path: ['features'], message: 'expected at least one feature' }];
}

function repeatProblems(features: FeaturesConfig): CrossProblem[] {
  const problems: CrossProblem[] = [];
  for (const list of ['dense', 'categorical'] as const) {
    for (const i of repeated<object>(features[list], (feature) => JSON.stringify(feature))) {
      problems.push({ path: ['features', list, i], message: 'expected every feature once; an earlier one is the same' });
    }
  }
  features.categorical.forEach((feature, i) => {
    if ('cross' in feature && feature.cross[0] === feature.cross[1]) {
      problems.push({ path: ['features', 'categorical', i, 'cross', 1], message: 'expected two different columns' });
    }
  });
  return problems;
}

/** Positions of the items whose key occurred before. */
function repeated<T>(items: readonly T[], key: (item: T) => string): number[] {
  const seen = new Set<string>();
  return items.flatMap((item, i) => {
    const k = key(item);
    if (seen.has(k)) return [i];
    seen.add(k);
    return [];
  });
}
