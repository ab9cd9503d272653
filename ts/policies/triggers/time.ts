// Trigger by time: at the end of every period of the data's own clock.
import { z } from 'zod';
import { duration, formatDuration } from '../../base/durations.js';
import { defineTrigger } from '../define.js';

const dayMs = 86_400_000;
const dateExpected = 'expected a date such as 2001-01-31 or 2001-01-31T06:00:00Z';

/** A date, or a date and time with its zone, in milliseconds since 1970. */
const date = z
  .string({ error: dateExpected })
  .regex(/^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2}))?$/, { error: dateExpected, abort: true })
  .refine(isDate, { error: dateExpected })
  .transform((text) => Date.parse(text));

/** Date.parse rolls 2001-02-30 over to March. */
function isDate(text: string): boolean {
  const day = text.slice(0, 10);
  const midnight = Date.parse(day);
  return !Number.isNaN(Date.parse(text)) && new Date(midnight).toISOString().startsWith(day);
}

export const time = defineTrigger({
  id: 'time',
  summary: 'Fires at the end of every period of time, as told by the timestamps of the samples.',
  config: z.strictObject({
    every: duration.describe('Length of a period, such as 1h, 1d or 1w.'),
    start: date
      .optional()
      .describe(
        'A date at which a period begins (UTC). Default: the day of the first sample; for periods below a day, a multiple of the period.',
      ),
  }),
  create({ every, start }) {
    let first: number | undefined; // where the period of the first sample begins
    let boundary = 0; // end of the current period
    return {
      *inform(batch) {
        if (batch.length === 0) return;
        if (first === undefined) {
          first = periodStart(batch.time(0), every, start);
          boundary = first + every;
        }
        // A late sample lies before the boundary and changes nothing: no order is assumed within a batch.
        for (let i = 0; i < batch.length; i++) {
          const t = batch.time(i);
          if (t < boundary) continue;
          yield { at: i - 1, reason: `${periodName(every, (boundary - first) / every)} ended (${showTime(boundary)})` };
          boundary += (Math.floor((t - boundary) / every) + 1) * every;
        }
      },
    };
  },
});

/** Beginning of the period that holds time t (ms). */
function periodStart(t: number, every: number, start: number | undefined): number {
  const unit = Math.min(every, dayMs);
  const anchor = start ?? Math.floor(t / unit) * unit;
  return anchor + Math.floor((t - anchor) / every) * every;
}

const units: Record<string, string> = { '1s': 'second', '1m': 'minute', '1h': 'hour', '1d': 'day', '1w': 'week' };

/** 'week 3'; lengths without a name of their own: 'period 3 of 2w'. */
function periodName(every: number, number: number): string {
  const length = formatDuration(every);
  const unit = units[length];
  return unit === undefined ? `period ${number} of ${length}` : `${unit} ${number}`;
}

/** '2001-01-22T00:00Z', with seconds where they are not 0. */
function showTime(ms: number): string {
  const when = new Date(ms);
  if (Number.isNaN(when.getTime())) return `${ms} ms`;
  const text = when.toISOString();
  return text.endsWith(':00.000Z') ? `${text.slice(0, -8)}Z` : text.replace('.000Z', 'Z');
}
