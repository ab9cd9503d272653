// Training side by side with its peers, in parts: every file of scripts/bench/train/ is one, found by its name, and gives a
// group of rows of docs/benchmarks/train.md. To add one, add a file; nothing else changes:
//
//   export const title = 'DLRM, bound by its matrix products';  // heading of the group
//   export const order = 10;                                    // place on the page: lower is earlier
//   export const about = 'Batch 2,048, SGD, …';                 // a paragraph above the table: sizes, peers, method
//   export async function measure({ threads, quick, limits }) { return [row, …]; }
//
// A row: { work, ours, peer, ratio, unit, lower, must, aim, limit, note }
//   work   what was done                               'one step, fp32'
//   ours, peer   measured, as text with a unit         '153.2 ms'; peer '' where there is none
//   ratio  the number that must and aim are about; lower: true where less is better; unit '×' (default), '' or 'ms'
//   must, aim    what was wanted; left out where a figure only informs
//   limit  what limits the figure, with numbers of this run         note   what else there is to say (losses compared, …)
// Figures are medians of rounds that alternate with the peer's (lib.mjs: Peer, race, alternate). `quick`: seconds instead of minutes.
// `limits()`: what the machine can do, measured once in the run: { fp32, bf16 } GFLOP/s of LibTorch's matrix products, { copy, rows64,
// rows512 } GB/s of memory: copied, and of random rows of 64 and 512 bytes read and written back.
// A native part lies in native/bench/train/<part>.cpp (part.h tells how) and is started by `native(part, threads, …arguments)`.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { BuildError, root, say } from '../lib/run.mjs';
import { markdown, native } from './lib.mjs';

const folder = join(root, 'scripts/bench/train');

async function allParts() {
  const names = readdirSync(folder).filter((file) => file.endsWith('.mjs'));
  const parts = await Promise.all(
    names.map(async (file) => ({ name: file.slice(0, -'.mjs'.length), ...(await import(pathToFileURL(join(folder, file)).href)) })),
  );
  return parts.sort((a, b) => a.order - b.order);
}

async function machineLimits(threads) {
  say('what the machine can do …');
  const part = await native('limits', threads);
  const { fp32, bf16 } = await part.ask('gemm');
  const rate = async (command) => (await part.ask(command)).gigabytesPerSecond;
  const limits = { fp32, bf16, copy: await rate('copy'), rows64: await rate('gather 16'), rows512: await rate('gather 128') };
  await part.stop();
  return limits;
}

/** Measures all parts, or those named; gives { part: { title, order, about, rows, measured } }. */
export async function benchTrain({ threads, quick, only, machine }) {
  const parts = await allParts();
  for (const name of only) {
    if (!parts.some((part) => part.name === name))
      throw new BuildError(`bench: no part ${name} of train; there are ${parts.map((part) => part.name).join(', ')}`);
  }
  let measured;
  const limits = () => {
    measured ??= machineLimits(threads);
    return measured;
  };
  const results = {};
  for (const { name, title, order, about, measure } of parts) {
    if (only.length > 0 && !only.includes(name)) continue;
    say(`${title} …`);
    results[name] = { title, order, about, rows: await measure({ threads, quick, limits }), measured: machine };
  }
  return results;
}

const reached = ({ ratio, lower, must, aim }) => {
  const meets = (wanted) => wanted !== undefined && (lower ? ratio <= wanted : ratio >= wanted);
  if (must === undefined && aim === undefined) return '';
  return meets(aim) ? 'aim' : meets(must) ? 'must' : '**no**';
};

function tableOf({ title, about, rows }, note) {
  const text = (value, unit = '×') => (value === undefined ? '' : `${Number(value.toPrecision(3))}${unit === 'ms' ? ' ms' : unit}`);
  const cells = rows.map((row) => [
    row.work,
    row.ours,
    row.peer,
    `**${text(row.ratio, row.unit)}**`,
    text(row.must, row.unit),
    text(row.aim, row.unit),
    reached(row),
  ]);
  const remarks = rows
    .filter((row) => row.limit || row.note)
    .map((row) => `* **${row.work}**: ${[row.limit, row.note].filter(Boolean).join(' ')}`);
  return [
    `## ${title}`,
    about,
    ...(note ? [note] : []),
    markdown(['', 'Sluice', 'peer', 'figure', 'must', 'aim', 'reached'], cells),
    ...(remarks.length > 0 ? [`What limits it:\n\n${remarks.join('\n')}`] : []),
  ].join('\n\n');
}

/** The page's tables; parts that an earlier run measured say when and where. */
export function trainTables(results, machine) {
  const parts = Object.values(results).sort((a, b) => a.order - b.order);
  return parts
    .map((part) => {
      const { date, cpu, cores } = part.measured;
      const elsewhere = date !== machine.date || cpu !== machine.cpu || cores !== machine.cores;
      return tableOf(part, elsewhere ? `Measured on ${date}: ${cpu}, ${cores} cores.` : '');
    })
    .join('\n\n');
}
