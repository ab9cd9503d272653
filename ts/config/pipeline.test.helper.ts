// A small pipeline file for tests, and what parsing a changed one of it reports.
import { ConfigError, type ConfigIssue } from './issues.js';
import { parsePipeline } from './parse.js';

export const smallPipeline = `pipeline: { id: small, seed: 7 }
dataset:
  id: numbers
  source: { format: csv, path: numbers.csv }
  time: { column: when }
  label: { column: y }
  columns: { a: f32, n: i32, c: category }
features:
  dense: [{ column: a }]
  categorical: [{ column: c, buckets: 10 }]
model: { id: dlrm }
training:
  optimizer: { id: sgd, lr: 0.1 }
trigger: { id: amount, samples: 10 }
selection: { id: new-data }
`;

/** The text with one part replaced; throws where the part does not occur. */
export function changed(part: string, by: string): string {
  if (!smallPipeline.includes(part)) throw new Error(`smallPipeline lacks ${part}`);
  return smallPipeline.replace(part, by);
}

/** The ConfigError that a text gives. */
export async function configError(text: string, dir?: string): Promise<ConfigError> {
  try {
    await parsePipeline(text, 'p.yaml', dir === undefined ? {} : { dir });
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('expected a ConfigError');
}

/** Issues as 'line:column path: message'. */
export async function issuesOf(text: string, dir?: string): Promise<string[]> {
  const show = (i: ConfigIssue) => `${i.line}:${i.column} ${i.path === '' ? '' : `${i.path}: `}${i.message}`;
  return (await configError(text, dir)).issues.map(show);
}
