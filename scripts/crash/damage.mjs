// Torn and flipped last pages: the end of the index, of the last segment and of the state log is damaged in many ways.
import { cpSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError } from '../lib/run.mjs';
import { Checker, runChild } from './scenario.mjs';

const files = ['d/index/data.mdb', 'd/segments/00000000.seg', 'd/state.log'];
const pageBytes = 4096;

export async function damagedEnds(base, { random, many }) {
  const [prepared, folder] = ['prepared', 'folder'].map((part) => join(base, part));
  mkdirSync(prepared, { recursive: true });
  const { code, output } = await runChild(['prepare', 'damage', prepared]);
  if (code !== 0) throw new BuildError(`damage: prepare: ${output}`);
  const checker = new Checker('damage');
  let count = 0;
  try {
    for (const name of files) {
      for (let n = 0; n < many; n++) {
        rmSync(folder, { recursive: true, force: true });
        cpSync(prepared, folder, { recursive: true });
        const what = damage(join(folder, name), n, random);
        const error = await checker.check(folder, { found: what.used });
        if (error !== undefined) throw new BuildError(`${name}, ${what.text}: ${error}`);
        count++;
      }
    }
  } finally {
    checker.close();
  }
  return `torn, cut and flipped last pages: ${count}, each found or without effect, and repaired where there is a second copy`;
}

/** Damages the last page that holds something, or one of the last few. `used`: bytes of it were surely in use. */
function damage(path, n, random) {
  const bytes = readFileSync(path);
  let end = bytes.length;
  while (end > pageBytes && !bytes.subarray(end - pageBytes, end).some((byte) => byte !== 0)) end -= pageBytes;
  const last = Math.max(0, Math.ceil(end / pageBytes) - 1 - Math.floor(3 * random() ** 2)) * pageBytes;
  const page = bytes.subarray(last, last + pageBytes);
  const at = Math.floor(page.length * random());
  switch (n % 4) {
    case 0: {
      page.fill(0, page.length / 2); // its second half was not written
      writeFileSync(path, bytes);
      return { text: `the page at ${last} is torn`, used: false };
    }
    case 1: {
      page[at] ^= 1 << Math.floor(8 * random());
      writeFileSync(path, bytes);
      return { text: `a bit at ${last + at} is flipped`, used: false };
    }
    case 2: {
      page.fill(0);
      writeFileSync(path, bytes);
      return { text: `the page at ${last} is zero`, used: false };
    }
    default: {
      truncateSync(path, last + at);
      return { text: `cut at ${last + at}`, used: path.endsWith('data.mdb') === false };
    }
  }
}
