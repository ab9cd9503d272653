// Disturbs Sluice in every way that it must survive, and checks what is left against a model kept outside (docs/benchmarks/crash.md).
//   npm run test:crash -- [--kills 200] [--long] [--quick] [--seed 1] [--only kills,power,…] [--keep]
// --quick: what `npm test` runs, some two minutes. --long: 2,000 kills, every moment and every operation.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildFaults } from './crash/faults.mjs';
import { faults, faultsAtEachOperation } from './crash/faulty.mjs';
import { killServe } from './crash/kills.mjs';
import { powerCuts } from './crash/power.mjs';
import { randomFrom } from './crash/random.mjs';
import { BuildError, main, run } from './lib/run.mjs';

const scenarios = ['append', 'deletion', 'repair', 'metadata', 'journal'];
/** What the package lmdb does not survive: an error while it opens a file. */
const unsurvivable = { journal: ['EIO on reading'] };

const sizes = {
  quick: { kills: 15, outcomes: 1, momentStride: 4, faultStride: 31 },
  normal: { kills: 200, outcomes: 2, momentStride: 1, faultStride: 7 },
  long: { kills: 2000, outcomes: 8, momentStride: 1, faultStride: 1 },
};

const parts = {
  kills: (base, size, random, say) => killServe(base, { random, kills: size.kills, say }),

  async power(base, size, random) {
    const all = [];
    for (const name of scenarios) {
      const options = { random, many: size.outcomes, stride: size.momentStride };
      const { operations, moments, images } = await powerCuts(name, join(base, name), options);
      all.push(`${name}: ${images} disks at ${moments} moments of ${operations} operations`);
    }
    return `power cuts: ${all.join('; ')}`;
  },

  async faults(base, size, random) {
    const all = [];
    for (const name of scenarios) {
      const which = Object.keys(faults).filter((what) => !unsurvivable[name]?.includes(what));
      const start = Math.floor(size.faultStride * random());
      const { happened, killed, wentOn, ended } = await faultsAtEachOperation(name, join(base, name), which, {
        stride: size.faultStride,
        start,
      });
      all.push(`${name}: ${happened} (${killed} killed, ${wentOn} went on after an error, ${ended} ended with one)`);
    }
    return `faults at an operation: ${all.join('; ')}`;
  },
};

main(async () => {
  const { values } = parseArgs({
    options: {
      kills: { type: 'string' },
      long: { type: 'boolean' },
      quick: { type: 'boolean' },
      seed: { type: 'string' },
      only: { type: 'string' },
      keep: { type: 'boolean' },
    },
  });
  run(process.execPath, ['scripts/setup.mjs', ...(values.quick ? ['--tests'] : [])], 'set-up stopped.');
  buildFaults();
  const size = sizes[values.long ? 'long' : values.quick ? 'quick' : 'normal'];
  if (values.kills !== undefined) size.kills = Number(values.kills);
  const chosen = values.only?.split(',') ?? Object.keys(parts);
  for (const name of chosen)
    if (parts[name] === undefined) throw new BuildError(`there is no part ${name}; there are ${Object.keys(parts).join(', ')}`);
  const base = mkdtempSync(join(tmpdir(), 'sluice-crash-'));
  try {
    for (const name of chosen) {
      const started = performance.now();
      const result = await parts[name](join(base, name), size, randomFrom(Number(values.seed ?? 1)), (text) => console.log(`  ${text}`));
      console.log(`${result} (${Math.round((performance.now() - started) / 1000)} s)`);
    }
  } finally {
    if (values.keep) console.log(`kept in ${base}`);
    else rmSync(base, { recursive: true, force: true });
  }
});
