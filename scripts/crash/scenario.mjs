// Runs scenarios in processes of their own: a signal there ends no check here.
import { fork, spawn } from 'node:child_process';
import { join } from 'node:path';
import { root } from '../lib/run.mjs';

const child = join(root, 'scripts/crash/child.mjs');

/** Runs `node child.mjs …` and resolves with how it ended and what it said. */
export function runChild(args, env = process.env) {
  const running = spawn(process.execPath, [child, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [running.stdout, running.stderr])
    stream.on('data', (text) => {
      output += text;
    });
  return new Promise((resolve) => running.on('close', (code, signal) => resolve({ code, signal, output })));
}

/** Checks folders of a scenario, one after the other. */
export class Checker {
  #name;
  #process;

  constructor(name) {
    this.#name = name;
  }

  /** What is wrong with the folder, or undefined. */
  async check(folder, marks) {
    if (this.#process?.connected !== true) {
      this.#process = fork(child, ['check', this.#name, '-'], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
      this.#process.output = '';
      for (const stream of [this.#process.stdout, this.#process.stderr])
        stream.on('data', (text) => {
          this.#process.output += text;
        });
    }
    const checking = this.#process;
    return await new Promise((resolve) => {
      const ended = (code, signal) => resolve(`the check ended with ${signal ?? code}: ${checking.output}`);
      checking.once('exit', ended);
      checking.once('message', ({ error }) => {
        checking.off('exit', ended);
        resolve(error);
      });
      checking.send({ folder, marks });
    });
  }

  close() {
    if (this.#process?.connected) this.#process.disconnect();
  }
}
