// Sluice beside its peers in one run. Prints tables and writes them to docs/benchmarks/<part>.md, figures to <part>.json.
//   npm run bench, npm run bench:train, npm run bench:index    -- [--json] [--quick] [--threads N]
//   node scripts/bench/bench.mjs train --only dlrm [--only fixed]     one part of the page; the others stay as they were
//   npm run bench:index -- --keys 1e9                  the index with so many samples; 15 GB on disk for 1e9, in TMPDIR, until it is done
// --quick: small sizes, prints only. --json: one line for machines instead of the tables.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { BuildError, main, root, run, say } from '../lib/run.mjs';
import { benchIndex, indexTables } from './index.mjs';
import { machine } from './lib.mjs';
import { benchTrain, trainTables } from './train.mjs';

const pages = {
  train: { title: 'Training', measure: benchTrain, tables: trainTables, parted: true },
  index: { title: 'Data', measure: benchIndex, tables: indexTables, parted: false },
};

function page(name, title, m, tables) {
  const note = `Made by \`npm run bench:${name}\`; do not edit by hand. Figures of a shared machine move by ten percent and more: compare the ratios, which are taken side by side.`;
  const where = `Measured on ${m.date}: ${m.cpu}, ${m.cores} cores, ${m.memoryGiB} GiB; Node ${m.node}, ${m.threads} threads.`;
  return [`# Benchmarks: ${title.toLowerCase()}`, note, where, tables].join('\n\n');
}

/** The figures of a page that is made of parts: those of earlier runs, then the new ones. */
function withEarlier(file, results) {
  return { ...(existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {}), ...results };
}

main(async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean' },
      quick: { type: 'boolean' },
      threads: { type: 'string' },
      keys: { type: 'string' },
      only: { type: 'string', multiple: true },
    },
  });
  const chosen = positionals.length > 0 ? positionals : Object.keys(pages);
  for (const name of chosen)
    if (!Object.hasOwn(pages, name)) throw new BuildError(`bench: expected ${Object.keys(pages).join(' or ')}, got ${name}`);
  run(process.execPath, ['scripts/setup.mjs', '--bench'], 'set-up stopped.', {
    stdio: ['inherit', values.json ? 2 : 'inherit', 'inherit'],
  });
  const threads = Number(values.threads ?? availableParallelism());
  const where = { ...machine(), threads };
  const keys = values.keys === undefined ? undefined : Number(values.keys);
  if (keys !== undefined && !(Number.isSafeInteger(keys) && keys >= 1_000_000))
    throw new BuildError(`bench: --keys: expected a whole number from 1e6 on, got ${values.keys}`);
  const options = { threads, keys, quick: values.quick ?? false, only: values.only ?? [], machine: where };
  if (options.only.length > 0 && chosen.some((name) => !pages[name].parted))
    throw new BuildError('bench: --only chooses parts of train: node scripts/bench/bench.mjs train --only dlrm');
  const all = { machine: where };
  const log = console.log;
  if (values.json) console.log = console.error;
  for (const name of chosen) {
    const { title, measure, tables, parted } = pages[name];
    const results = await measure(options);
    all[name] = results;
    if (!values.json) console.log(`\n${page(name, title, where, tables(results, where))}\n`);
    if (options.quick) continue;
    const folder = join(root, 'docs/benchmarks');
    const figures = join(folder, `${name}.json`);
    const kept = parted ? withEarlier(figures, results) : results;
    mkdirSync(folder, { recursive: true });
    writeFileSync(figures, `${JSON.stringify(kept, null, 1)}\n`);
    writeFileSync(join(folder, `${name}.md`), `${page(name, title, where, tables(kept, where))}\n`);
    say(`written to ${join(folder, `${name}.md`)}`);
  }
  console.log = log;
  if (values.json) console.log(JSON.stringify(all));
});
