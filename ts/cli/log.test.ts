import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { RunEvent } from '../pipeline/events.js';
import { logTo } from './log.js';

const events: RunEvent[] = [
  { type: 'listening', url: 'https://127.0.0.1:8443' },
  { type: 'arrival', key: 10 },
  { type: 'arrival', key: 20 },
  { type: 'trigger', trigger: { id: 3, key: 19, timeMs: 0, reason: 'r', outcome: 'failed', note: 'E_DIVERGED: no' }, recorded: false },
  { type: 'problem', code: 'E_NO_SPACE', message: 'the disk is full' },
  { type: 'arrival', key: 30 },
];

function logged(mode: 'json' | 'plain'): string[] {
  const lines: string[] = [];
  let now = 0;
  const log = logTo(
    mode,
    (line) => lines.push(line),
    () => (now += 4000),
  );
  for (const event of events) log(event);
  return lines;
}

test('every line has time and level; what comes often is told now and then', () => {
  const lines = logged('json').map((line) => JSON.parse(line));
  assert.equal(
    lines.map(({ time, level, type }) => [time, level, type]),
    [
      ['1970-01-01T00:00:04.000Z', 'info', 'listening'],
      ['1970-01-01T00:00:08.000Z', 'info', 'arrival'],
      ['1970-01-01T00:00:16.000Z', 'warn', 'trigger'],
      ['1970-01-01T00:00:20.000Z', 'error', 'problem'],
      ['1970-01-01T00:00:24.000Z', 'info', 'arrival'],
    ],
  );
  assert.is(lines[3].code, 'E_NO_SPACE');
});

test('text is one line an event, without what only counts', () => {
  assert.equal(logged('plain'), [
    '1970-01-01T00:00:04.000Z samples are taken at https://127.0.0.1:8443/v1/samples\n',
    '1970-01-01T00:00:16.000Z trigger 3 failed: E_DIVERGED: no\n',
    '1970-01-01T00:00:20.000Z problem E_NO_SPACE: the disk is full\n',
  ]);
});

test.run();
