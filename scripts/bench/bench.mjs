// Sluice beside its peers in one run. Prints tables and writes them to docs/benchmarks/<part>.md.
//   npm run bench, npm run bench:train, npm run bench:index    -- [--json] [--quick] [--threads N]
// --quick: small sizes, prints only. --json: one line for machines instead of the tables.
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { BuildError, main, root, run, say } from '../lib/run.mjs';
import { benchIndex, indexTables } from './index.mjs';
import { machine } from './lib.mjs';
import { benchTrain, trainTables } from './train.mjs';

const parts = {
  train: { title: 'Training', measure: benchTrain, tables: trainTables },
  index: { title: 'Data', measure: benchIndex, tables: indexTables },
};

function page(name, title, m, tables) {
  const note = `Made by \`npm run bench:${name}\`; do not edit by hand. Figures of a shared machine move by ten percent and more: compare the ratios, which are taken side by side.`;
  const where = `Measured on ${m.date}: ${m.cpu}, ${m.cores} cores, ${m.memoryGiB} GiB; Node ${m.node}, ${m.threads} threads.`;
  return [`# Benchmarks: ${title.toLowerCase()}`, note, where, tables].join('\n\n');
}

main(async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { json: { type: 'boolean' }, quick: { type: 'boolean' }, threads: { type: 'string' } },
  });
  const chosen = positionals.length > 0 ? positionals : Object.keys(parts);
  for (const name of chosen)
    if (!Object.hasOwn(parts, name)) throw new BuildError(`bench: expected ${Object.keys(parts).join(' or ')}, got ${name}`);
  run(process.execPath, ['scripts/setup.mjs', '--bench'], 'set-up stopped.', {
    stdio: ['inherit', values.json ? 2 : 'inherit', 'inherit'],
  });
  const options = { threads: Number(values.threads ?? availableParallelism()), quick: values.quick ?? false };
  const results = { machine: { ...machine(), threads: options.threads } };
  const log = console.log;
  if (values.json) console.log = console.error;
  for (const name of chosen) {
    const { title, measure, tables } = parts[name];
    results[name] = await measure(options);
    const text = page(name, title, results.machine, tables(results[name]));
    if (!values.json) console.log(`\n${text}\n`);
    if (options.quick) continue;
    mkdirSync(join(root, 'docs/benchmarks'), { recursive: true });
    const file = join(root, 'docs/benchmarks', `${name}.md`);
    writeFileSync(file, `${text}\n`);
    say(`written to ${file}`);
  }
  console.log = log;
  if (values.json) console.log(JSON.stringify(results));
});
