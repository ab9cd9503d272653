// The report of a run as one HTML document that needs nothing else: no script, no request. Every text is escaped.
import type { RunResult, TrainingRecord } from '../pipeline/results.js';
import { freshnessChart, matrixChart, timelineChart } from './charts.js';
import { type Comparison, compareFreshness } from './comparison.js';
import { type Metric, mainMetric, metricNames } from './matrix.js';
import { styleSheet } from './style.js';
import { escapeXml } from './svg.js';
import { nextWindow } from './tables.js';
import { clean, count, decimal, partialNote, plural, seconds, sentence, signed, statusNote, timeText } from './text.js';

export type Pictures = { matrix: string; timeline: string; freshness: string };

export type ReportExtra = {
  /** Version of Sluice, told in the footer. */
  version?: string | undefined;
  /** When the report was made, as people should read it. Left out by default: the same run gives the same bytes. */
  generated?: string | undefined;
  /** SVG documents that were drawn already; drawn here otherwise. */
  pictures?: Pictures | undefined;
};

/** Text from anywhere, ready for an element or a double-quoted attribute. */
const text = (value: string) => escapeXml(clean(value));

export function drawPictures(result: RunResult): Pictures {
  return { matrix: matrixChart(result, mainMetric(result)), timeline: timelineChart(result), freshness: freshnessChart(result) };
}

/** One self-contained document: headline numbers, pictures, tables of triggers and trainings, and how to run it again. */
export function renderReport(result: RunResult, extra: ReportExtra = {}): string {
  const pictures = extra.pictures ?? drawPictures(result);
  const metric = mainMetric(result);
  const comparison = compareFreshness(result, { metric });
  const title = `${clean(result.pipelineId)}: report of a Sluice run`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${text(title)}</title>
<style>${styleSheet}</style>
</head>
<body>
<main>
${heading(result)}
${headline(result, comparison)}
<h2>Evaluation</h2>
<figure>${pictures.matrix}</figure>
<h2>Freshness</h2>
<figure>${pictures.freshness}</figure>
<h2>Stream</h2>
<figure>${pictures.timeline}</figure>
<h2>Triggers</h2>
${triggerTable(result)}
<h2>Trainings</h2>
${trainingTable(result, metric)}
<h2>Time of each step</h2>
${timeTable(result)}
<h2>Run it again</h2>
${reproduce(result)}
${footer(result, extra)}
</main>
</body>
</html>
`;
}

function heading(result: RunResult): string {
  const { dataset } = result;
  const span = `${timeText(dataset.firstMs, 60_000)} to ${timeText(dataset.lastMs, 60_000)} UTC`;
  const warnings = [statusNote(result), partialNote(result)].filter((n) => n !== null);
  return [
    `<h1>${text(result.pipelineId)}</h1>`,
    `<p class="quiet">Dataset <strong>${text(dataset.id)}</strong>, ${span}. Trigger policy <strong>${text(result.triggerPolicy)}</strong>, selection policy <strong>${text(result.selectionPolicy)}</strong>, seed ${text(String(result.seed))}.</p>`,
    ...warnings.map((w) => `<p class="warn" role="note">${text(`${sentence(w)}.`)}</p>`),
  ].join('\n');
}

function headline(result: RunResult, { metric, points, gain, windows }: Comparison): string {
  const trainings = trainingsOf(result);
  const [first, last] = [points[0], points.at(-1)];
  const trainSeconds = trainings.reduce((sum, t) => sum + t.seconds, 0);
  const trained = trainings.reduce((sum, t) => sum + t.samples, 0);
  const rate = trainSeconds > 0 ? `${count(Math.round(trained / trainSeconds))} samples/s` : '';
  const name = sentence(metricNames[metric]);
  const compared = windows.length > 1 ? `on the last ${windows.length} complete windows` : 'on the last complete window';
  const change = gain === null ? '' : `${signed(gain)} against the first`;
  const numbers = [
    ['Models', count(trainings.length), plural(result.triggers.length, 'trigger')],
    ['Samples in the stream', count(result.dataset.samples), plural(result.windows.length, 'window')],
    [`${name}, first model`, decimal(first?.value), first === undefined ? 'nothing to compare' : compared],
    [`${name}, last model`, decimal(last?.value), change],
    ['Training', seconds(trainSeconds), rate],
  ] as const;
  return `<dl class="numbers">\n${numbers.map(([term, value, note]) => `<div><dt>${text(term)}</dt><dd>${text(value)}<small>${text(note)}</small></dd></div>`).join('\n')}\n</dl>`;
}

const trainingsOf = (result: RunResult): TrainingRecord[] => result.triggers.flatMap((t) => (t.training === null ? [] : [t.training]));

function triggerTable(result: RunResult): string {
  if (result.triggers.length === 0) return '<p class="quiet">The policy did not trigger.</p>';
  const scored = result.triggers.some((t) => t.trigger.score !== undefined);
  const rows = result.triggers.map(({ trigger: t, training }) => [
    String(t.id),
    timeText(t.timeMs, 0),
    count(t.key),
    ...(scored ? [decimal(t.score), decimal(t.threshold)] : []),
    training === null ? 'no' : 'yes',
    t.reason,
  ]);
  const columns = ['Trigger:n', 'Time (UTC)', 'Sample:n', ...(scored ? ['Score:n', 'Threshold:n'] : []), 'Trained', 'Reason:free'];
  return table('Triggers', columns, rows);
}

function trainingTable(result: RunResult, metric: Metric): string {
  const models = new Map(trainingsOf(result).map((t) => [t.modelFile, t.modelId]));
  const rows = result.triggers.flatMap((t) => {
    if (t.training === null) return [];
    const { triggerId, modelId, parent, trainsetSize, steps, loss, seconds: time, samplesPerSecond } = t.training;
    const next = nextWindow(t, result)?.[metric];
    const numbers = [count(trainsetSize), count(steps), decimal(loss), seconds(time), count(Math.round(samplesPerSecond)), decimal(next)];
    const start = parent === null ? 'random weights' : (models.get(parent) ?? parent);
    return [[String(triggerId), modelId, start, ...numbers]];
  });
  if (rows.length === 0) return '<p class="quiet">No model was trained.</p>';
  const columns = [
    'Trigger:n',
    'Model',
    'Started from:free',
    'Training set:n',
    'Steps:n',
    'Loss:n',
    'Time:n',
    'Samples/s:n',
    `${sentence(metricNames[metric])} on the next window:n`,
  ];
  return table('Trainings', columns, rows);
}

function timeTable({ seconds: time }: RunResult): string {
  const steps = [
    ['Trigger policy', time.trigger],
    ['Selection', time.select],
    ['Training', time.train],
    ['Evaluation', time.evaluate],
    ['Everything, of the last run', time.total],
  ] as const;
  return table(
    'Time of each step',
    ['Step', 'Time:n'],
    steps.map(([name, value]) => [name, seconds(value)]),
  );
}

/** Columns as 'Name', 'Name:n' (a number) or 'Name:free' (long text, wrapped). The first cell of a row is its header. */
function table(label: string, columns: string[], rows: string[][]): string {
  const parsed = columns.map((c) => c.split(':') as [name: string, kind?: string]);
  const kinds = parsed.map(([, kind]) => (kind === 'n' ? ' class="number"' : kind === 'free' ? ' class="free"' : ''));
  const head = parsed.map(([name], c) => `<th scope="col"${kinds[c]}>${text(name)}</th>`).join('');
  const cell = (value: string, c: number) =>
    c === 0 ? `<th scope="row"${kinds[c]}>${text(value)}</th>` : `<td${kinds[c]}>${text(value)}</td>`;
  const body = rows.map((row) => `<tr>${row.map(cell).join('')}</tr>`).join('\n');
  return `<div class="table" role="region" aria-label="${text(label)}" tabindex="0"><table>\n<thead><tr>${head}</tr></thead>\n<tbody>\n${body}\n</tbody>\n</table></div>`;
}

/** The journal keeps the pipeline file as it was run; `sluice show` prints it. */
function reproduce(result: RunResult): string {
  const id = clean(result.pipelineId);
  const word = /^[\w.-]+$/.test(id) ? id : `'${id.replace(/'/g, `'\\''`)}'`;
  const file = /^[\w.-]+$/.test(id) ? `${id}.yaml` : 'pipeline.yaml';
  const commands = [
    `sluice show ${word} > ${file}`,
    `sluice run ${file} --data another-folder`,
    `sluice report ${word} --data another-folder`,
  ];
  return `<p>The pipeline file as it was run, the run with the same seed in a new data folder, and this report of it (paths in the file are relative to where it lay):</p>\n<pre>${escapeXml(commands.join('\n'))}</pre>`;
}

function footer(result: RunResult, { version, generated }: ReportExtra): string {
  const by = `Made by Sluice${version === undefined ? '' : ` ${version}`}${generated === undefined ? '' : `, ${generated}`}.`;
  const status = result.status === 'live' ? 'The pipeline is in production.' : `The run is ${result.status}.`;
  return `<footer>${text(`${by} ${status} All numbers: result.json beside this file.`)}</footer>`;
}
