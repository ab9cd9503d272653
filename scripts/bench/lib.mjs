// What the benchmarks share: a child that answers one line of JSON to each command, medians, the table, the file.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { cpus, tmpdir, totalmem } from 'node:os';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../lib/run.mjs';

/** A benchmark process; ask(command) resolves with its answer. */
export class Peer {
  static async start(command, args, options = {}) {
    const peer = new Peer(spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], ...options }));
    peer.hello = await peer.#answer();
    return peer;
  }

  constructor(child) {
    this.child = child;
    this.waiting = [];
    const fail = (error) => {
      this.failure = error;
      for (const { reject } of this.waiting.splice(0)) reject(error);
    };
    createInterface({ input: child.stdout }).on('line', (line) => this.waiting.shift()?.resolve(JSON.parse(line)));
    child.on('error', fail);
    child.on('exit', (code) => fail(new Error(`${child.spawnfile} ended with code ${code}`)));
  }

  ask(command) {
    const answer = this.#answer();
    this.child.stdin.write(`${command}\n`);
    return answer;
  }

  stop() {
    this.child.removeAllListeners('exit');
    this.child.stdin.end();
    return new Promise((resolve) => this.child.once('exit', resolve));
  }

  #answer() {
    if (this.failure) return Promise.reject(this.failure);
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
  }
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The machine, as it stands above every table of figures. */
export function machine() {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    date: new Date().toISOString().slice(0, 10),
  };
}

export const percent = (value) => `${(100 * value).toFixed(0)} %`;
export const fixed = (digits) => (value) => value.toFixed(digits);

/** Rows as a Markdown table. */
export function markdown(head, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** A part of native/bench/train as a process. */
export const native = (part, threads, ...args) => Peer.start(join(root, 'build/train_bench'), [part, String(threads), ...args.map(String)]);

/** work(folder) with a folder of its own, which is gone afterwards. */
export async function withFolder(work) {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Rounds of `run <steps>` of both processes in turn, after one step that is not timed; medians of seconds a step, and both
 * loss curves. More commands of ours ({ name: command }) run once a round, their answers are collected by name.
 */
export async function race(ours, theirs, { rounds, steps, warmUp = 1 }, more = {}) {
  const seconds = [[], []];
  const losses = [[], []];
  const answers = Object.fromEntries(Object.keys(more).map((name) => [name, []]));
  for (const [i, peer] of [ours, theirs].entries()) losses[i].push(...(await peer.ask(`run ${warmUp}`)).losses);
  for (let round = 0; round < rounds; round++) {
    for (const [i, peer] of [ours, theirs].entries()) {
      const result = await peer.ask(`run ${steps}`);
      seconds[i].push(...result.seconds);
      losses[i].push(...result.losses);
    }
    for (const [name, command] of Object.entries(more)) answers[name].push(await ours.ask(command));
  }
  return { ours: median(seconds[0]), theirs: median(seconds[1]), losses, ...answers };
}

/** Rounds of the commands of one process in turn; medians of seconds a step. */
export async function alternate(peer, commands, { rounds, steps }) {
  const seconds = commands.map(() => []);
  for (const command of commands) await peer.ask(`${command} 1`);
  for (let round = 0; round < rounds; round++) {
    for (const [i, command] of commands.entries()) seconds[i].push(...(await peer.ask(`${command} ${steps}`)).seconds);
  }
  return seconds.map(median);
}

/** The largest relative difference of two loss curves, as text. */
export function lossDifference([ours, theirs]) {
  const largest = Math.max(...ours.map((loss, i) => Math.abs(loss - theirs[i]) / Math.abs(theirs[i])));
  return `losses over ${ours.length} steps differ by at most ${largest.toExponential(1)} (relative).`;
}

/**
 * How far PyTorch's own runs lie apart when only the seed that deals the samples to batches differs, over the first `steps`
 * steps: the median over steps of (largest - least) / mean loss of three seeds, as text.
 */
export async function seedSpread(peer, steps) {
  const curves = [];
  for (const seed of [1, 2, 3]) {
    await peer.ask(`deal ${seed}`);
    curves.push((await peer.ask(`run ${steps}`)).losses);
  }
  const spreads = curves[0].map((_, i) => {
    const losses = curves.map((curve) => curve[i]);
    return (3 * (Math.max(...losses) - Math.min(...losses))) / losses.reduce((a, b) => a + b, 0);
  });
  return `Runs of PyTorch that differ only in the seed which deals samples to batches lie ${median(spreads).toExponential(1)} apart.`;
}

/** Rows of what stands around a step of `work`, from medians of seconds: scoring beside inference, and half of each batch beside all of it. */
export function scoringRow(work, infer, score, limit = '') {
  return {
    work,
    ours: milliseconds(score),
    peer: milliseconds(infer),
    ratio: infer / score,
    unit: '',
    must: 0.9,
    aim: 0.95,
    limit,
  };
}

export function selectionRow(work, { all, half, infer }) {
  return {
    work,
    ours: milliseconds(half),
    peer: milliseconds(all),
    ratio: half / all,
    unit: '',
    lower: true,
    must: 0.9,
    aim: 0.83,
    limit: `a forward pass more (${percent(infer / all)} of a step, measured) and half of a step.`,
  };
}

export const milliseconds = (seconds) => `${(1000 * seconds).toPrecision(4)} ms`;
