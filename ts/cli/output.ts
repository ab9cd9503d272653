// How a command speaks: progress bars on a terminal, plain lines elsewhere, one JSON object a line with --json.
// Results go to stdout, progress and errors to stderr.
import { styleText } from 'node:util';
import type { OnEvent, RunEvent } from '../pipeline/events.js';
import type { WindowMetrics } from '../pipeline/results.js';

export type Mode = 'terminal' | 'plain' | 'json';

export function modeOf(args: { json?: boolean | undefined }): Mode {
  if (args.json) return 'json';
  return process.stderr.isTTY && !process.env['CI'] ? 'terminal' : 'plain';
}

export const useColor = () => Boolean(process.stdout.isTTY) && !process.env['NO_COLOR'];

/** A result for people (text) or for machines (value). */
export function print(mode: Mode, text: string, value: unknown): void {
  process.stdout.write(`${mode === 'json' ? JSON.stringify(value) : text}\n`);
}

export type Progress = { onEvent: OnEvent; end(): void };

export async function progressFor(mode: Mode): Promise<Progress> {
  if (mode === 'json') return { onEvent: (event) => process.stdout.write(`${JSON.stringify(event)}\n`), end() {} };
  return mode === 'terminal' ? await terminalProgress() : plainProgress();
}

export const formatCount = (n: number) => n.toLocaleString('en-US');
export const formatBytes = (n: number) =>
  n < 1e6 ? `${(n / 1e3).toFixed(1)} kB` : n < 1e9 ? `${(n / 1e6).toFixed(1)} MB` : `${(n / 1e9).toFixed(2)} GB`;
export const formatDay = (ms: number) => new Date(ms).toISOString().slice(0, 10);

/** Of what a process in production did, since it has the dataset open. */
export const byText = (pid: number | null) => (pid === null ? '' : ` by sluice serve (process ${pid})`);

export const skippedText = (samples: number) =>
  samples === 1
    ? '1 sample, whose picture cannot be decoded, left out'
    : `${formatCount(samples)} samples, whose pictures cannot be decoded, left out`;

/** The metric of the next window: what a person watches while a run goes on. */
export function nextWindow(evaluation: WindowMetrics[]): string {
  const [next] = evaluation;
  return next === undefined ? 'no following window' : `next window: ${scoresOf(next)}`;
}

function scoresOf({ auc, accuracy, rmse, loss }: WindowMetrics): string {
  const shown = (name: string, value: number | null) => (value === null ? '' : `${name} ${value.toFixed(3)}, `);
  return `${shown('AUC', auc)}${shown('accuracy', accuracy)}${shown('RMSE', rmse)}loss ${loss.toFixed(4)}`;
}

/** What a checkpoint of another program left to random weights. */
const untouchedText = (names: string[] = []) =>
  names.length === 0 ? '' : `; not in model.weights, so from random weights: ${names.join(', ')}`;

/** The line that tells an event, or null when it is not worth one. Recorded steps of an earlier run are not told again. */
export function describe(event: RunEvent): string | null {
  switch (event.type) {
    case 'start': {
      const where = event.device === 'cpu' ? '' : `, trains on ${event.device}`;
      const resumed = event.recorded > 0 ? `, going on after trigger ${event.recorded - 1}` : '';
      return `pipeline ${event.pipelineId}: ${formatCount(event.samples)} samples, ${formatDay(event.firstMs)} to ${formatDay(event.lastMs)}, ${event.windows} windows${where}${resumed}`;
    }
    case 'skipped':
      return skippedText(event.samples);
    case 'trigger': {
      const { id, key, reason, outcome, note } = event.trigger;
      if (event.recorded) return null;
      return outcome === undefined ? `trigger ${id} at sample ${formatCount(key)}: ${reason}` : `trigger ${id} ${outcome}: ${note}`;
    }
    case 'trained': {
      const { training: t } = event;
      const rate = formatCount(Math.round(t.samplesPerSecond));
      return event.recorded
        ? null
        : `  trained on ${formatCount(t.trainsetSize)} samples in ${t.seconds.toFixed(1)} s (${rate} samples/s), loss ${t.loss.toFixed(4)}${untouchedText(t.untouched)}`;
    }
    case 'discarded':
      return `  trigger ${event.triggerId}: a sample of the training set was deleted; its training begins again without it`;
    case 'evaluated':
      return event.recorded
        ? null
        : `  evaluated on ${event.evaluation.length} window${event.evaluation.length === 1 ? '' : 's'}; ${nextWindow(event.evaluation)}`;
    case 'leading':
      return `the policy is led to where it was: ${formatCount(event.key)} of ${formatCount(event.samples)} samples`;
    case 'serving': {
      const where = event.device === 'cpu' ? '' : `, trains on ${event.device}`;
      const waiting = event.waiting === 0 ? '' : `, ${event.waiting} of them to be trained`;
      return `pipeline ${event.pipelineId} in production: ${formatCount(event.samples)} samples, ${event.triggers} triggers${waiting}${where}`;
    }
    case 'listening':
      return `samples are taken at ${event.url}${event.url.startsWith('http') ? '/v1/samples' : ''}`;
    case 'connected':
      return `messages of ${event.stream} are taken from ${event.url}`;
    case 'available':
      return `  model ${event.modelId} is current`;
    case 'window': {
      const { window, triggerId, metrics } = event;
      return `window ${window.index}, from ${new Date(window.startMs).toISOString().slice(0, 16)}: model ${triggerId}, ${scoresOf(metrics)}`;
    }
    case 'deleted': {
      const { samples, waiting, reason, models } = event;
      const known = models.length === 0 ? '' : `; ${formatCount(models.length)} models know them`;
      const unlabelled = waiting === 0 ? '' : `, and ${formatCount(waiting)} that waited for their labels`;
      return `${formatCount(samples)} samples deleted${unlabelled}${reason === '' ? '' : ` (${reason})`}${known}`;
    }
    case 'compacted':
      return `compacted: ${formatCount(event.samples)} deleted samples taken out; ${formatBytes(event.bytesBefore)} before, ${formatBytes(event.bytesAfter)} now`;
    case 'problem':
      return `problem ${event.code}: ${event.message}`;
    case 'expired': {
      const samples = `${formatCount(event.samples)} samples without a label ${event.missing === 'drop' ? 'dropped' : `got the label ${event.missing}`}`;
      const labels = `${formatCount(event.labels)} labels without a sample dropped`;
      return [...(event.samples > 0 ? [samples] : []), ...(event.labels > 0 ? [labels] : [])].join(', ');
    }
    case 'stopped':
      return `stopped: ${formatCount(event.samples)} samples, ${event.triggers} triggers; the same command goes on`;
    case 'done':
      return `${event.triggers} triggers, ${event.status}, ${event.seconds.toFixed(1)} s`;
    default:
      return null;
  }
}

/** Ingestion reports often; a line for every tenth of a part is enough. */
function ingestLines(): (event: RunEvent) => string | null {
  let last = '';
  return (event) => {
    if (event.type !== 'ingest') return null;
    const tenth = event.rowsTotal === null ? Math.floor(event.rowsDone / 1e6) : Math.floor((10 * event.rowsDone) / event.rowsTotal);
    const line = event.rowsTotal === null ? `${formatCount(event.rowsDone)} rows` : `${10 * tenth} %`;
    const key = `${event.part} ${tenth}`;
    if (key === last) return null;
    last = key;
    return `ingest ${event.part}: ${line} (${formatCount(event.samples)} samples)`;
  };
}

function plainProgress(): Progress {
  const ingestLine = ingestLines();
  return {
    onEvent(event) {
      const line = describe(event) ?? ingestLine(event);
      if (line !== null) process.stderr.write(`${line}\n`);
    },
    end() {},
  };
}

async function terminalProgress(): Promise<Progress> {
  const { log, progress } = await import('@clack/prompts');
  let bar: ReturnType<typeof progress> | undefined;
  let done = 0;
  const to = (value: number, message: string) => {
    bar?.advance(Math.max(0, value - done), message);
    done = Math.max(done, value);
  };
  const begin = (max: number, message: string) => {
    bar?.stop('');
    bar = progress({ max, indicator: 'timer', output: process.stderr });
    done = 0;
    bar.start(message);
  };
  let part = '';
  const steps = 1000;
  return {
    onEvent(event) {
      if (event.type === 'ingest') {
        if (event.part !== part) begin(steps, `ingest ${event.part}`);
        part = event.part;
        to(
          (steps * event.rowsDone) / (event.rowsTotal ?? Math.max(1, event.rowsDone)),
          `ingest ${part}: ${formatCount(event.samples)} samples`,
        );
      } else if (event.type === 'skipped' || event.type === 'discarded') {
        log.warn(describe(event) ?? '', { output: process.stderr });
      } else if (event.type === 'start') {
        bar?.stop(part === '' ? '' : `ingested ${part}`);
        bar = undefined;
        log.info(describe(event) ?? '', { output: process.stderr });
        begin(event.samples, 'replay');
      } else if (event.type === 'replay') {
        to(event.key, `replay ${formatDay(event.timeMs)}`);
      } else if (event.type === 'train') {
        to(
          done,
          `trigger ${event.triggerId}: training ${Math.round((100 * event.steps) / event.totalSteps)} %, loss ${event.loss.toFixed(4)}`,
        );
      } else if (event.type === 'evaluate') {
        to(done, `trigger ${event.triggerId}: evaluating window ${event.done} of ${event.total}`);
      } else if (event.type === 'evaluated' && !event.recorded) {
        to(done, `trigger ${event.triggerId}: ${nextWindow(event.evaluation)}`);
      } else if (event.type === 'done') {
        bar?.stop(describe(event) ?? '');
        bar = undefined;
      }
    },
    end() {
      bar?.stop('stopped');
    },
  };
}

/** A bar for work whose share is known; nothing where nobody watches. */
export async function barFor(mode: Mode, title: string): Promise<{ to(share: number): void; end(): void }> {
  if (mode !== 'terminal') return { to() {}, end() {} };
  const { progress } = await import('@clack/prompts');
  const steps = 1000;
  const bar = progress({ max: steps, indicator: 'timer', output: process.stderr });
  let done = 0;
  bar.start(title);
  return {
    to(share) {
      const next = Math.floor(share * steps);
      bar.advance(Math.max(0, next - done));
      done = Math.max(done, next);
    },
    end: () => bar.stop(title),
  };
}

/** `error E_CODE: message`, the causes and what to do next. */
export function errorText(code: string, message: string, hint: string | undefined): string {
  const label = process.stderr.isTTY ? styleText(['red', 'bold'], 'error') : 'error';
  return `${label} ${code}: ${message}${hint === undefined ? '' : `\n  ${hint}`}\n`;
}
