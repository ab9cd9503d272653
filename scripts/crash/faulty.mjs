// Kills and failures aimed at the n-th operation on files of a scenario, for each n: in the midst of native code, of a commit, of a compaction.
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError } from '../lib/run.mjs';
import { actions, changes, Control, errors, faultEnv, growth, kinds } from './faults.mjs';
import { readOperations } from './operations.mjs';
import { Checker, runChild } from './scenario.mjs';

/** What may happen at an operation. `of`: the operations that count; `lasting`: it goes on until the program has met it. */
export const faults = {
  killed: { action: actions.killBefore, of: changes },
  'killed halfway': { action: actions.killHalfway, of: kinds.write },
  'a full disk': { action: actions.fail, error: errors.ENOSPC, of: growth, lasting: true },
  EIO: { action: actions.fail, error: errors.EIO, of: changes },
  'EIO on reading': { action: actions.fail, error: errors.EIO, of: kinds.read },
  'short writes': { action: actions.short, of: kinds.write, lasting: true },
};

/** Resolves with how often each fault happened, and how many programs went on after an error and how many ended. */
export async function faultsAtEachOperation(name, base, which, { stride = 1, start = 0 } = {}) {
  const [prepared, folder, log, shared] = ['prepared', 'folder', 'log', 'control'].map((part) => join(base, part));
  mkdirSync(prepared, { recursive: true });
  const { code, output } = await runChild(['prepare', name, prepared]);
  if (code !== 0) throw new BuildError(`${name}: prepare: ${output}`);
  const control = new Control(shared);
  const checker = new Checker(name);
  const done = { happened: 0, wentOn: 0, ended: 0, killed: 0 };
  /** Runs the scenario with a fault. */
  const once = async (fault) => {
    for (const path of [folder, log]) rmSync(path, { recursive: true, force: true });
    cpSync(prepared, folder, { recursive: true });
    control.arm(fault);
    return await runChild(['work', name, folder, log, shared], faultEnv(folder, { control: shared }));
  };
  try {
    for (const what of which) {
      const fault = faults[what];
      for (let n = 1 + start; ; n += stride) {
        const end = await once({ ...fault, at: n });
        if (control.happened === 0 && control.count < n) break;
        const { finished, failed, ...marks } = marksOf(log);
        const problem = wrongEnd(end, fault, finished) ?? (await checker.check(folder, marks));
        if (problem !== undefined)
          throw new BuildError(`${name}, ${what} at operation ${n}, told were ${JSON.stringify(marks)}: ${problem}`);
        done.happened++;
        if (end.signal === 'SIGKILL') done.killed++;
        else if (!finished) done.ended++;
        else if (failed !== undefined) done.wentOn++;
      }
    }
  } finally {
    checker.close();
    control.close();
  }
  return done;
}

function marksOf(log) {
  const marks = {};
  try {
    for (const operation of readOperations(log)) Object.assign(marks, operation.mark);
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
  return marks;
}

/** A program is killed, or ends well, or with an error that says what it is. */
function wrongEnd({ code, signal, output }, { action }, finished) {
  const kill = action !== actions.fail && action !== actions.short;
  if (signal === 'SIGKILL' && kill) return undefined;
  if (signal !== null) return `it ended with ${signal}: ${output}`;
  if (code === 0 && finished) return undefined;
  return !kill && /code: 'E_(IO|NO_SPACE)'/.test(output) ? undefined : `it ended with ${code}: ${output}`;
}
