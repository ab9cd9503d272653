// Writes what a person keeps of a run: the report, its pictures and the numbers.
import { rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { asSluiceError, makeFolder } from '../pipeline/folders.js';
import type { RunResult } from '../pipeline/results.js';

export { type Comparison, type ComparisonOptions, type ComparisonPoint, compareFreshness } from './comparison.js';
export type { Metric } from './matrix.js';
export {
  aucMatrix,
  type FreshnessOptions,
  freshness,
  type MatrixOptions,
  mainMetric,
  timings,
  trainingList,
  triggerList,
} from './tables.js';

/** Paths of the files. */
export type ReportFiles = { html: string; matrix: string; timeline: string; freshness: string; json: string };

/**
 * Writes report.html, matrix.svg, timeline.svg, freshness.svg and result.json into `folder`, which is made when needed.
 * Each file is replaced as a whole: a reader never meets half of one. The same result gives the same bytes.
 * E_READ_ONLY, E_NO_SPACE, E_IO.
 */
export async function writeReport(result: RunResult, folder: string): Promise<ReportFiles> {
  // The chart library takes a tenth of a second to load; a command that draws nothing does not wait for it.
  const { drawPictures, renderReport } = await import('./html.js');
  const pictures = drawPictures(result);
  const html = renderReport(result, { version: version(), pictures });
  const contents = { html, ...pictures, json: `${JSON.stringify(result)}\n` };
  const names = { html: 'report.html', matrix: 'matrix.svg', timeline: 'timeline.svg', freshness: 'freshness.svg', json: 'result.json' };
  await makeFolder(folder);
  const files = { html: '', matrix: '', timeline: '', freshness: '', json: '' };
  for (const key of Object.keys(names) as (keyof typeof names)[]) {
    files[key] = join(folder, names[key]);
    await replaceFile(files[key], contents[key]);
  }
  return files;
}

async function replaceFile(path: string, content: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await writeFile(temporary, content);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw asSluiceError(error, `write ${path}`);
  }
}

const version = (): string => (createRequire(import.meta.url)('sluice/package.json') as { version: string }).version;
