// The sample index by native/bench/index, beside plain LMDB with an entry for each key, SQLite and DuckDB.
import { mkdtempSync, rmSync } from 'node:fs';
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
const seconds = (s) => (s >= 1 ? `${s.toFixed(2)} s` : s >= 1e-3 ? `${(1000 * s).toFixed(1)} ms` : `${(1e6 * s).toFixed(1)} µs`);

/** The JSON that a program prints about a dataset in a folder of its own, which is gone afterwards. */
function measured(command, args, samples) {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  try {
    const result = capture(command, [...args, folder, String(samples)]);
    if (!result.ok) throw new BuildError(result.output);
    return JSON.parse(result.stdout);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** `keys`: how many samples our index gets; the peers get a twentieth, at most 20 million. */
export function benchIndex({ quick, keys }) {
  const samples = keys ?? (quick ? 5_000_000 : 100_000_000);
  const few = Math.min(20_000_000, Math.ceil(samples / 20));
  say(`sample index with ${count(samples)} samples …`);
  const ours = measured(bench, ['ours'], samples);
  const peers = {};
  say(`peers with ${count(few)} samples …`);
  peers['LMDB, an entry for each key'] = measured(bench, ['lmdb'], few);
  peers.SQLite = measured(python(), [peersScript, 'sqlite'], few);
  const hasDuckDb = capture(python(), ['-c', 'import duckdb']).ok;
  if (hasDuckDb) peers.DuckDB = measured(python(), [peersScript, 'duckdb'], few);
  return { ...ours, peers };
}

function ownRows(index) {
  return [
    ['append', millions(index.appendPerSecond), '20 M/s', `${count(index.samples)} samples in batches of 2^20, each durable`],
    [
      'scan of a column ÷ sum over plain memory',
      percent(index.scanShare),
      '80 %',
      `${index.scanGBs} and ${index.memoryGBs} GB/s, one thread`,
    ],
    ['first scan, from disk, verifying checksums', `${index.firstScanGBs} GB/s`, '', ''],
    ['random gather of a million keys, warm', millions(index.gatherPerSecond), '5 M/s', 'timestamp and label'],
    [
      'range of time',
      seconds(index.lookUpSeconds),
      '1 ms',
      `median of 1,000; the first, which reads the chunks that it touches from disk and verifies them: ${seconds(index.firstLookUpSeconds)}`,
    ],
    [
      `freezing ${count(index.frozen)} keys`,
      seconds(index.freezeSeconds),
      '5 s',
      `choosing them uniformly: ${seconds(index.chooseSeconds)}`,
    ],
    ['opening, page cache dropped', seconds(index.openSeconds), '50 ms', 'with a snapshot and the newest timestamp'],
    [
      'memory of the process',
      `${Math.round(index.ownMiB)} MiB`,
      '300 MiB',
      `the most between the steps, of its own, 128 MiB for the bandwidth measurement in it; pages of the index that are mapped and can be given back at any time: ${Math.round(index.mappedMiB)} MiB`,
    ],
    [
      'bytes on disk a sample',
      index.bytesPerSample.toFixed(2),
      '20',
      `${count(criteoSamples)} samples need ${((criteoSamples * index.bytesPerSample) / 1e9).toFixed(0)} GB`,
    ],
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
  return [
    '## Sample index',
    markdown(['', 'measured', 'wanted', 'details'], ownRows(index)),
    '## Beside other stores',
    'The same (key, timestamp, label) appended in commits of 2^20 rows, each durable; SQLite with its index of timestamps; gather and look-up of SQLite and DuckDB from Python. DuckDB compresses its columns and scans them with all cores, ours scans with one thread.',
    markdown(['', 'samples', 'append', 'scan of timestamps', 'random gather', 'range of time', 'bytes a sample'], peerRows(index)),
    '## What limits each figure',
    '* **Append** writes 12 bytes a sample, checksums them and waits for the disk after every batch.\n* **Scan** pays for page-table work on the memory map beyond the bytes themselves.\n* **Gather** misses the cache once a value; its first pass verifies the chunks that it touches.',
  ].join('\n\n');
}
