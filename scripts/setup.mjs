// Makes a fresh clone ready: installs node_modules as the lockfile says (which builds the addon), else builds what
// changed. Every npm script of this repository starts here.
//   node scripts/setup.mjs [--tests] [--bench]
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError, fingerprint, main, root, run, say, unlessStamped } from './lib/run.mjs';

main(() => {
  const [major] = process.versions.node.split('.').map(Number);
  if (major < 20) throw new BuildError(`Node ${process.versions.node} is too old; Sluice needs Node 20 or newer.`);
  const ready = existsSync(join(root, 'node_modules/.package-lock.json'));
  if (!ready) {
    unlessStamped('npm', fingerprint(['package-lock.json']), ['node_modules/.package-lock.json'], () => {
      say('installing node_modules …');
      // Not `npm ci`: it insists on optional packages of other platforms, which some registry mirrors do not carry.
      run('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--ignore-scripts'], 'npm could not install the dependencies; its message stands above.');
    });
  }
  run(process.execPath, ['scripts/build.mjs', ...process.argv.slice(2)], 'set-up stopped.');
});
