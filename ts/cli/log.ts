// The log of a process that goes on for weeks: a line for each event, with time and level, whatever it is written to. What comes many times a
// second is told now and then.
import type { OnEvent, RunEvent } from '../pipeline/events.js';
import { describe, type Mode } from './output.js';

type Level = 'info' | 'warn' | 'error';

const frequent = new Set<RunEvent['type']>(['arrival', 'train', 'evaluate', 'ingest']);
/** Time between two lines of a frequent kind, ms. */
const spacingMs = 10_000;

export function levelOf(event: RunEvent): Level {
  if (event.type === 'problem') return 'error';
  const { outcome } = event.type === 'trigger' ? event.trigger : {};
  return event.type === 'discarded' || event.type === 'skipped' || outcome === 'failed' || outcome === 'dropped' ? 'warn' : 'info';
}

/**
 * `json`: objects on stdout, the event with `time` (ISO 8601, UTC) and `level`; otherwise text on stderr. `write` and `now` (ms) are for tests.
 */
export function logTo(mode: Mode, write: (line: string) => void = writerOf(mode), now: () => number = Date.now): OnEvent {
  const toldMs = new Map<string, number>();
  return (event) => {
    const at = now();
    if (frequent.has(event.type)) {
      if (at - (toldMs.get(event.type) ?? Number.NEGATIVE_INFINITY) < spacingMs) return;
      toldMs.set(event.type, at);
    }
    const time = new Date(at).toISOString();
    if (mode === 'json') return write(`${JSON.stringify({ time, level: levelOf(event), ...event })}\n`);
    const text = describe(event) ?? progressText(event);
    if (text !== null) write(`${time} ${text.trimStart()}\n`);
  };
}

const writerOf = (mode: Mode) => (line: string) => void (mode === 'json' ? process.stdout : process.stderr).write(line);

function progressText(event: RunEvent): string | null {
  switch (event.type) {
    case 'ingest':
      return `ingest ${event.part}: ${event.rowsDone} rows${event.rowsTotal === null ? '' : ` of ${event.rowsTotal}`}`;
    case 'train':
      return `trigger ${event.triggerId}: training, step ${event.steps} of ${event.totalSteps}, loss ${event.loss.toFixed(4)}`;
    default:
      return null;
  }
}
