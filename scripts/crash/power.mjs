// Power cuts: a scenario is recorded once, and before each of its operations the folders that a disk might hold then are made and checked.
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError } from '../lib/run.mjs';
import { Disk, outcomes } from './disk.mjs';
import { faultEnv } from './faults.mjs';
import { readOperations, types } from './operations.mjs';
import { Checker, runChild } from './scenario.mjs';

/** Resolves with how many moments and folders were checked. `stride`: only each so-manieth moment; `many`: outcomes by chance at each. */
export async function powerCuts(name, base, { random, many, stride = 1, keep = false }) {
  const folder = join(base, 'recorded');
  const log = join(base, 'operations');
  const image = join(base, 'image');
  mkdirSync(folder, { recursive: true });
  await ended(runChild(['prepare', name, folder]), `${name}: prepare`);
  const disk = new Disk(folder);
  await ended(runChild(['work', name, folder, log], faultEnv(folder, { log, sync: false })), `${name}: work`);
  const checker = new Checker(name);
  const marks = {};
  const done = { moments: 0, images: 0, operations: 0 };
  const look = async (kinds, extra) => {
    done.moments++;
    for (const [what, keepData, names] of outcomes(kinds, random, extra)) {
      rmSync(image, { recursive: true, force: true });
      disk.write(image, keepData, names);
      if (keep) cpSync(image, `${image}.before`, { recursive: true, force: true });
      const error = await checker.check(image, marks);
      done.images++;
      if (error !== undefined)
        throw new BuildError(
          `${name}, power cut before operation ${done.operations + 1}, ${what}, told were ${JSON.stringify(marks)}: ${error}`,
        );
    }
  };
  try {
    for (const operation of readOperations(log)) {
      if (operation.type === types.mark) {
        Object.assign(marks, operation.mark);
        continue;
      }
      const chosen = done.operations % stride === 0;
      if (chosen) await look(disk.unsure, many);
      disk.apply(operation);
      done.operations++;
      // A write that is durable once it returns may be torn until then.
      if (chosen && operation.type === types.write && operation.flags === 1) {
        const settle = disk.unsettle(operation.inode);
        await look(disk.unsure, many);
        settle();
      }
    }
    await look(disk.unsure, many);
  } finally {
    checker.close();
  }
  return done;
}

async function ended(running, what) {
  const { code, signal, output } = await running;
  if (code !== 0) throw new BuildError(`${what} ended with ${signal ?? code}: ${output}`);
}
