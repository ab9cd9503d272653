// A pipeline in production within a test: started, waited for by its events, stopped.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type LoadedPipeline, loadPipeline } from '../config/parse.js';
import type { RunEvent } from '../pipeline/events.js';
import { changed, csv, type Workplace } from '../pipeline/fixture.test.helper.js';
import { type ServeOptions, servePipeline } from './serve.js';

/** A test that waits for longer has failed. */
const patienceMs = 60_000;

const [header = '', ...lines] = csv().trimEnd().split('\n');

/** Rows [first, end) of the small stream, as a CSV file. */
export const csvRows = (first: number, end: number): string => `${[header, ...lines.slice(first, end)].join('\n')}\n`;

/** The same rows as JSON lines. */
export function jsonRows(first: number, end: number): string {
  const names = header.split(',');
  const object = (line: string) =>
    Object.fromEntries(line.split(',').map((cell, c) => [names[c], names[c] === 'x' || names[c] === 'y' ? Number(cell) : cell]));
  return lines
    .slice(first, end)
    .map((line) => `${JSON.stringify(object(line))}\n`)
    .join('');
}

/** Sections of the pipeline file that make it one for production. */
export const watching = {
  'selection: { id: new-data }\n': 'selection: { id: new-data }\nserve: { watch: { every: 1h } }\n',
  'path: d.csv': 'path: "in/*.csv"',
};
export const pushing = (http = 'port: 0') => ({
  'selection: { id: new-data }\n': `selection: { id: new-data }\nserve: { http: { ${http} } }\n`,
  'source: { format: csv, path: d.csv }': 'source: { format: push }',
});

export type Serving = {
  events: RunEvent[];
  /** Resolves with the first event, also an earlier one, that fits. Rejects when production mode ends before. */
  until(fits: (event: RunEvent) => boolean): Promise<RunEvent>;
  /** Asks it to stop and waits for its end. */
  stop(): Promise<void>;
  /** Its end. */
  ended: Promise<void>;
};

export async function serving(
  place: Workplace,
  changes: Record<string, string>,
  { change, ...options }: Partial<ServeOptions> & { change?: (pipeline: LoadedPipeline) => LoadedPipeline } = {},
): Promise<Serving> {
  const loaded = await loadPipeline(place.write('p.yaml', changed(changes)));
  const pipeline = change?.(loaded) ?? loaded;
  const controller = new AbortController();
  const events: RunEvent[] = [];
  const waiting = new Set<(event: RunEvent) => void>();
  const onEvent = (event: RunEvent) => {
    events.push(event);
    for (const look of [...waiting]) look(event);
    options.onEvent?.(event);
  };
  const ended = servePipeline(pipeline, { dataFolder: place.data, retryMs: 5, ...options, signal: controller.signal, onEvent });
  ended.catch(() => {});
  const until = (fits: (event: RunEvent) => boolean) =>
    new Promise<RunEvent>((resolve, reject) => {
      const earlier = events.find(fits);
      if (earlier !== undefined) return resolve(earlier);
      const fail = (what: string) => reject(new Error(`${what}; events: ${events.map((e) => e.type).join(' ')}`));
      const timer = setTimeout(() => fail(`nothing came for ${patienceMs} ms`), patienceMs);
      const look = (event: RunEvent) => {
        if (!fits(event)) return;
        clearTimeout(timer);
        waiting.delete(look);
        resolve(event);
      };
      waiting.add(look);
      ended.then(() => fail('it ended'), reject).finally(() => clearTimeout(timer));
    });
  const stop = async () => {
    controller.abort();
    await ended;
  };
  return { events, until, stop, ended };
}

export const arrivedAt = (key: number) => (event: RunEvent) => event.type === 'arrival' && event.key >= key;
export const trainedTrigger = (id: number) => (event: RunEvent) => event.type === 'trained' && event.training.triggerId === id;

export type Answer = { status: number; headers: Record<string, string | string[] | undefined>; text: string; json: any };

/** One request. `body` may be sent in pieces. */
export function ask(
  url: string,
  path: string,
  { method = 'GET', headers = {}, body }: { method?: string; headers?: Record<string, string>; body?: string | Buffer } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(new URL(path, url), { method, headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => {
        const json = response.headers['content-type'] === 'application/json' ? JSON.parse(text) : undefined;
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json });
      });
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

export const push = (url: string, body: string | Buffer, headers: Record<string, string> = {}): Promise<Answer> =>
  ask(url, '/v1/samples', { method: 'POST', headers: { 'content-type': 'application/x-ndjson', ...headers }, body });

export async function urlOf({ until }: Serving): Promise<string> {
  const event = await until((e) => e.type === 'listening');
  await until((e) => e.type === 'serving');
  return event.type === 'listening' ? event.url : '';
}

/** Lets a file of the watched folder appear as a whole. */
export function appear({ folder }: Workplace, name: string, text: string): void {
  mkdirSync(join(folder, 'in'), { recursive: true });
  writeFileSync(join(folder, 'in', `${name}.tmp`), text);
  renameSync(join(folder, 'in', `${name}.tmp`), join(folder, 'in', name));
}

const main = fileURLToPath(new URL('../cli/main.js', import.meta.url));

export type Spawned = { child: ChildProcess; exit: Promise<number | null>; url: string; events: RunEvent[] };

/** `sluice serve p.yaml` in a process of its own, once it takes samples or has ended. `onEvent` is told of each event. */
export async function spawned(folder: string, onEvent: (event: RunEvent, child: ChildProcess) => void = () => {}): Promise<Spawned> {
  const child = spawn(process.execPath, [main, 'serve', 'p.yaml', '--json'], { cwd: folder, stdio: ['ignore', 'pipe', 'ignore'] });
  const exit = new Promise<number | null>((resolve) => child.on('close', resolve));
  const events: RunEvent[] = [];
  const url = await new Promise<string>((resolve) => {
    let address = '';
    createInterface({ input: child.stdout }).on('line', (line) => {
      const event = JSON.parse(line) as RunEvent;
      events.push(event);
      if (event.type === 'listening') address = event.url;
      if (event.type === 'serving') resolve(address);
      onEvent(event, child);
    });
    exit.then(() => resolve(address));
  });
  return { child, exit, url, events };
}
