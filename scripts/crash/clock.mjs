// The clock is set back and forth while samples are pushed, models trained, and the process killed.
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError } from '../lib/run.mjs';
import { Control, faultEnv } from './faults.mjs';
import { check, Production } from './production.mjs';

const hour = 3_600_000;
const offsets = [0, 5 * hour, -30 * 24 * hour, 300 * 24 * hour, -20 * 365 * 24 * hour, 1000, -1000];

export async function setBack(base, { random, rounds }) {
  mkdirSync(base, { recursive: true });
  const production = new Production(base);
  const shared = join(base, 'control');
  const control = new Control(shared);
  let seen = 0;
  for (let round = 0; round < rounds; round++) {
    const server = production.start({ env: faultEnv(base, { control: shared }) });
    const url = await server.url;
    if (url === undefined) throw new BuildError(`it did not start: ${(await server.exit).errors}`);
    for (const offset of offsets) {
      control.clockMs = offset;
      for (let n = 2 + Math.floor(8 * random()); n > 0; n--) {
        const again = production.acknowledged.size > 0 && random() < 0.2;
        await production.mustPush(url, again ? Math.floor(random() * production.acknowledged.size) : undefined);
      }
      if (shifted(base, offset)) seen++;
    }
    server.child.kill(random() < 0.5 ? 'SIGKILL' : 'SIGTERM');
    await server.exit;
  }
  control.close();
  await production.finish();
  const { samples, triggers } = await production.verify();
  check(seen > 0 || rounds < 3, 'no model was dated by a shifted clock: is it shifted?');
  return `clock: set ${rounds * offsets.length} times by up to 20 years back: ${samples} samples and ${triggers} triggers as undisturbed`;
}

/** Whether the newest model is dated by a clock that is so far off. */
function shifted(base, offset) {
  if (Math.abs(offset) < hour) return false;
  try {
    const { sinceMs } = JSON.parse(readFileSync(join(base, 'sluice-data/models/crash/current'), 'utf8'));
    return Math.abs(sinceMs - Date.now() - offset) < hour / 60;
  } catch {
    return false;
  }
}
