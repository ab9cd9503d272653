// The sample index by native/bench/index, beside plain LMDB with an entry for each key, SQLite and DuckDB.
import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { python } from '../lib/dependencies.mjs';
import { BuildError, capture, root, say } from '../lib/run.mjs';
import { markdown, percent } from './lib.mjs';

const criteoSamples = 4.32e9; // 24 days
const bench = join(root, 'build/index_bench');
const peersScript = join(root, 'scripts/bench/index_peers.py');

const count = (n) => n.toLocaleString('en-US');
const millions = (value) => (value === undefined ? '' : `${(value / 1e6).toPrecision(3)} M/s`);
const gigabytes = (bytes) => `${(bytes / 1e9).toPrecision(3)} GB`;
const seconds = (s) => (s >= 1 ? `${s.toFixed(2)} s` : s >= 1e-3 ? `${(1000 * s).toFixed(1)} ms` : `${(1e6 * s).toFixed(1)} µs`);

/** The JSON that a program prints about a dataset in a folder of its own, which is gone afterwards, also where it is interrupted. */
function measured(command, args, samples) {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  try {
    const result = capture(command, [...args, folder, String(samples)]);
    if (!result.ok) throw new BuildError(result.output.trim() || `${command} ${args.join(' ')} was ended before it had measured anything`);
    return JSON.parse(result.stdout);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** E_NO_SPACE in the middle of a long run is a pity. */
function checkRoom(samples) {
  const needed = 12.3 * samples + 8 * frozen(samples) + 2e9;
  const { bavail, bsize } = statfsSync(tmpdir());
  if (bavail * bsize < needed) {
    const has = `${tmpdir()} has ${gigabytes(bavail * bsize)}`;
    throw new BuildError(`bench: ${count(samples)} samples take ${gigabytes(needed)} on disk, ${has}: set TMPDIR to a folder with more`);
  }
}

const frozen = (samples) => Math.min(1e8, samples / 2);
/** Peers are slower by one to two orders of magnitude: at a billion they would take hours. */
const peerSamples = (samples) => Math.min(20_000_000, Math.ceil(samples / 20));

/** `keys`: how many samples our index gets. */
export function benchIndex({ quick, keys }) {
  const samples = keys ?? (quick ? 5_000_000 : 100_000_000);
  const few = peerSamples(samples);
  checkRoom(samples);
  const stay = () => {}; // an interrupt ends the program that measures, and then this one, which removes its files first
  process.on('SIGINT', stay);
  try {
    say(
      `sample index with ${count(samples)} samples, ${gigabytes(12.2 * samples)} in ${tmpdir()}; about ${Math.ceil(samples / 1e7) + 10} s …`,
    );
    const ours = measured(bench, ['ours'], samples);
    say(`peers with ${count(few)} samples …`);
    const peers = {
      'LMDB, an entry for each key': measured(bench, ['lmdb'], few),
      SQLite: measured(python(), [peersScript, 'sqlite'], few),
    };
    const hasDuckDb = capture(python(), ['-c', 'import duckdb']).ok;
    if (hasDuckDb) peers.DuckDB = measured(python(), [peersScript, 'duckdb'], few);
    return { ...ours, peers };
  } finally {
    process.off('SIGINT', stay);
  }
}

/** One line of the table; met: whether what is wanted holds. */
const row = (what, value, wanted, met, details) => [what, value, wanted, met ? 'yes' : 'NO', details];

function ownRows(index) {
  const {
    appendPerSecond,
    scanShare,
    scanGBs,
    memoryGBs,
    largePagesGBs,
    labelScanGBs,
    firstScanGBs,
    gatherPerSecond,
    lookUpSeconds,
    firstLookUpSeconds,
    freezeSeconds,
    chooseSeconds,
    openSeconds,
    ownMiB,
    mappedMiB,
    bytesPerSample,
  } = index;
  return [
    row('append', millions(appendPerSecond), '≥ 20 M/s', appendPerSecond >= 20e6, 'batches of 2^20 samples, each durable'),
    row(
      'scan of the timestamps ÷ sum over plain memory',
      percent(scanShare),
      '≥ 80 %',
      scanShare >= 0.8,
      `${scanGBs} and ${memoryGBs} GB/s, one thread, in turns; over memory in pages of 2 MiB, which a program has to ask for: ${largePagesGBs} GB/s. The first scan, from disk, which verifies checksums: ${firstScanGBs} GB/s`,
    ),
    ['counting the samples of a label', `${labelScanGBs} GB/s`, '', '', `${millions((labelScanGBs * 1e9) / 4)} samples`],
    row('random gather of a million keys, warm', millions(gatherPerSecond), '≥ 5 M/s', gatherPerSecond >= 5e6, 'timestamp and label'),
    row(
      'look-up of a range of time',
      seconds(lookUpSeconds),
      '< 1 ms',
      lookUpSeconds < 1e-3,
      `median of 1,000; the first, which reads the chunks that it touches from disk and verifies them: ${seconds(firstLookUpSeconds)}`,
    ),
    row(
      `freezing ${count(index.frozen)} keys`,
      seconds(freezeSeconds),
      '< 5 s',
      freezeSeconds < 5,
      `chosen uniformly before, in ${seconds(chooseSeconds)}`,
    ),
    row('opening, page cache dropped', seconds(openSeconds), '< 50 ms', openSeconds < 0.05, 'with a snapshot and the newest timestamp'),
    row(
      'memory of the process',
      `${Math.round(ownMiB)} MiB`,
      '< 300 MiB',
      ownMiB < 300,
      `its own, the most between the steps: 128 MiB of the measurement of memory and 12 MiB of the batch are in it; the list of keys that are frozen (8 bytes each) comes on top. Pages of the index in the page cache that were mapped at most, and can be given back at any time: ${Math.round(mappedMiB)} MiB`,
    ),
    row(
      'bytes on disk a sample',
      bytesPerSample.toFixed(2),
      '≤ 20',
      bytesPerSample <= 20,
      `24 days of Criteo, ${count(criteoSamples)} samples, need ${gigabytes(criteoSamples * bytesPerSample)}`,
    ),
  ];
}

function peerRows(index) {
  const scanned = (index.scanGBs * 1e9) / 8;
  const row = (name, p) => [
    name,
    count(p.samples),
    millions(p.appendPerSecond),
    millions(p.scanPerSecond),
    millions(p.gatherPerSecond),
    p.lookUpSeconds === undefined ? '' : seconds(p.lookUpSeconds),
    p.bytesPerSample.toFixed(1),
  ];
  return [row('Sluice', { ...index, scanPerSecond: scanned }), ...Object.entries(index.peers).map(([name, p]) => row(name, p))];
}

export function indexTables(index) {
  const rows = ownRows(index);
  const missed = rows.filter(([, , , met]) => met === 'NO').map(([what]) => what);
  const few = count(Object.values(index.peers)[0].samples);
  return [
    `## Sample index with ${count(index.samples)} samples`,
    `Generated samples (timestamp and label, no columns), appended in order and read back. ${missed.length === 0 ? 'All that is wanted holds.' : `What is wanted does not hold for: ${missed.join('; ')}.`}`,
    markdown(['', 'measured', 'wanted', 'met', 'details'], rows),
    '## Beside other stores',
    `The same (key, timestamp, label) appended in commits of 2^20 rows, each durable; SQLite with its index of timestamps; gather and look-up of SQLite and DuckDB from Python. The others have ${few} samples: they take from ten to a hundred times as long, so that with many samples they get a twentieth, at most 20 million, and what they show is their best, since trees and indices slow down as they grow. DuckDB compresses its columns and scans them with all cores, ours scans with one thread.`,
    markdown(['', 'samples', 'append', 'scan of timestamps', 'random gather', 'range of time', 'bytes a sample'], peerRows(index)),
    '## What limits each figure',
    '* **Append** writes 12 bytes a sample, checksums them and waits for the disk after every batch.\n* **Scan** reads the page cache through a memory map, which it asks for in pages of 2 MiB ahead of itself, and lets go of what it left behind, so that memory stays flat; finding the next chunk, mapping and letting go cost what is missing.\n* **Gather** misses the cache once a value; its first pass verifies the chunks that it touches.\n* **Opening** reads the last chunk from disk and verifies it.',
    'Run it yourself: `npm run bench:index -- --keys 1e9` takes some minutes and 15 GB of disk (TMPDIR says where), which it gives back, also when it is interrupted.',
  ].join('\n\n');
}
