// Disturbs Sluice in every way that it must survive, and checks what is left against a model kept outside: docs/benchmarks/crash.md.
//   npm run test:crash -- [--quick | --long] [--kills 200] [--seed 1] [--only kills,power,…] [--keep]
// --quick: what `npm test` runs, some minutes. --long: 2,000 kills of production, every moment and every operation; hours.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { brokers, killWithBroker } from './crash/brokers.mjs';
import { setBack } from './crash/clock.mjs';
import { killCommands } from './crash/commands.mjs';
import { damagedEnds } from './crash/damage.mjs';
import { buildFaults } from './crash/faults.mjs';
import { faults, faultsAtEachOperation } from './crash/faulty.mjs';
import { killServe } from './crash/kills.mjs';
import { powerCuts } from './crash/power.mjs';
import { randomFrom } from './crash/random.mjs';
import { fullDisk, troubledServer } from './crash/trouble.mjs';
import { twoProcesses } from './crash/two.mjs';
import { BuildError, main, run } from './lib/run.mjs';

/** Small scenarios, each checked in some milliseconds; and a whole experiment, which takes longer. */
const scenarios = ['append', 'deletion', 'repair', 'metadata', 'journal', 'run'];
/** What the package lmdb does not survive: an error of the disk while it opens a file. */
const unsurvivable = { journal: ['EIO on reading'], run: ['EIO on reading'] };

const sizes = {
  quick: { kills: 12, commands: 6, outcomes: 1, stride: { small: 9, run: 90 }, faults: { small: 121, run: 500 }, rounds: 5, damages: 12 },
  normal: { kills: 200, commands: 60, outcomes: 2, stride: { small: 1, run: 16 }, faults: { small: 7, run: 61 }, rounds: 40, damages: 80 },
  long: { kills: 2000, commands: 400, outcomes: 6, stride: { small: 1, run: 1 }, faults: { small: 1, run: 7 }, rounds: 400, damages: 1000 },
};

/** By name: does it, and resolves with what was done in a sentence. */
const parts = {
  kills: (base, { size, random, say }) => killServe(base, { random, kills: size.kills, say }),
  brokers: (base, { size, random, say }) => eachBroker(base, { size, random, say }),
  commands: (base, { size, random }) => killCommands(base, { random, kills: size.commands }),
  power: (base, { size, random, say }) => eachScenario(base, say, 'power cuts', (name, folder) => cutPower(name, folder, size, random)),
  faults: (base, { size, random, say }) =>
    eachScenario(base, say, 'faults at an operation', (name, folder) => failOperations(name, folder, size, random)),
  errors: (base, { size, random }) => troubledServer(base, { random, rounds: size.rounds }),
  disk: (base, { size }) => fullDisk(base, { rounds: Math.ceil(size.rounds / 10) + 1 }),
  damage: (base, { size, random }) => damagedEnds(base, { random, many: size.damages }),
  clock: (base, { size, random }) => setBack(base, { random, rounds: Math.ceil(size.rounds / 10) }),
  two: (base) => twoProcesses(base),
};

async function eachBroker(base, { size, random, say }) {
  const kills = Math.ceil(size.kills / 4);
  for (const name of Object.keys(brokers)) say(await killWithBroker(join(base, name), name, { random, kills, say }));
  return 'kills while messages of a broker arrive';
}

async function eachScenario(base, say, title, work) {
  for (const name of scenarios) say(`${title}, ${name}: ${await work(name, join(base, name))}`);
  return title;
}

async function cutPower(name, folder, { outcomes, stride }, random) {
  const { operations, moments, images } = await powerCuts(name, folder, { random, many: outcomes, stride: stride[name] ?? stride.small });
  return `${images} disks at ${moments} moments of ${operations} operations, nothing lost`;
}

async function failOperations(name, folder, size, random) {
  const which = Object.keys(faults).filter((what) => !unsurvivable[name]?.includes(what));
  const stride = size.faults[name] ?? size.faults.small;
  const start = Math.floor(Math.min(stride, 12) * random());
  const { happened, killed, wentOn, ended } = await faultsAtEachOperation(name, folder, which, { stride, start });
  return `${happened}, of them ${killed} killed, ${wentOn} went on after an error, ${ended} ended with one; nothing lost`;
}

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
  const size = { ...sizes[values.long ? 'long' : values.quick ? 'quick' : 'normal'] };
  if (values.kills !== undefined) size.kills = Number(values.kills);
  const chosen = values.only?.split(',') ?? Object.keys(parts);
  for (const name of chosen)
    if (parts[name] === undefined) throw new BuildError(`there is no part ${name}; there are ${Object.keys(parts).join(', ')}`);
  const base = mkdtempSync(join(tmpdir(), 'sluice-crash-'));
  try {
    for (const name of chosen) {
      const started = performance.now();
      const say = (text) => console.log(`  ${text}`);
      const result = await parts[name](join(base, name), { size, random: randomFrom(Number(values.seed ?? 1)), say });
      console.log(`${result} (${Math.round((performance.now() - started) / 1000)} s)`);
    }
  } finally {
    if (values.keep) console.log(`kept in ${base}`);
    else rmSync(base, { recursive: true, force: true });
  }
});
