// The sample index: append, scan against plain memory, memory held, random gather; by native/bench/index_bench.cpp.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BuildError, capture, root, say } from '../lib/run.mjs';

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
