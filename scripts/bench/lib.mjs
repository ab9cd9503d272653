// What the benchmarks share: a child that answers one line of JSON to each command, medians, the table, the file.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { cpus, totalmem } from 'node:os';

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
