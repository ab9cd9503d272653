// The sample index: append, scan against plain memory, memory held, random gather; by native/bench/index_bench.cpp.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BuildError, capture, root, say } from '../lib/run.mjs';
import { fixed, markdown, percent } from './lib.mjs';

const millions = (value) => `${(value / 1e6).toFixed(1)} M/s`;

export function benchIndex({ quick }) {
  const samples = quick ? 5_000_000 : 100_000_000;
  say(`sample index with ${samples.toLocaleString('en-US')} samples …`);
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  try {
    const result = capture(join(root, 'build/index_bench'), [join(folder, 'dataset'), String(samples)]);
    if (!result.ok) throw new BuildError(result.output);
    return JSON.parse(result.stdout);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export function indexTables(index) {
  const rows = [
    ['append', millions(index.appendPerSecond), '10 M/s', `${(index.samples / 1e6).toFixed(0)} M samples in batches of 2^20, each durable`],
    [
      'scan of a column ÷ sum over plain memory',
      percent(index.scanShare),
      '50 %',
      `${fixed(1)(index.scanGBs)} and ${fixed(1)(index.memoryGBs)} GB/s, one thread`,
    ],
    ['first scan, verifying checksums', `${fixed(1)(index.firstScanGBs)} GB/s`, '', ''],
    [
      'resident memory before and after the scans',
      `${index.residentBeforeMiB.toFixed(0)} → ${index.residentAfterMiB.toFixed(0)} MiB`,
      'flat',
      `peak ${index.peakMiB.toFixed(0)} MiB; the column has ${((index.samples * 8) / 2 ** 20).toFixed(0)} MiB`,
    ],
    ['random gather, warm', millions(index.gatherPerSecond), '', 'timestamp and label'],
  ];
  return [
    '## Sample index',
    markdown(['', 'measured', 'wanted', 'details'], rows),
    '## What limits each figure',
    '* **Append** writes 12 bytes a sample, checksums them and waits for the disk after every batch.\n* **Scan** pays for page-table work on the memory map beyond the bytes themselves.',
  ].join('\n\n');
}
