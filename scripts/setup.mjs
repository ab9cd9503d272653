// Makes a fresh clone ready: installs node_modules as the lockfile says (which builds the addon), else builds what
// changed. Every npm script of this repository starts here.
//   node scripts/setup.mjs [--tests] [--bench]
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError, main, root, run, say } from './lib/run.mjs';

const modified = (path) => statSync(join(root, path), { throwIfNoEntry: false })?.mtimeMs ?? 0;

main(() => {
  const [major] = process.versions.node.split('.').map(Number);
  if (major < 20) throw new BuildError(`Node ${process.versions.node} is too old; Sluice needs Node 20 or newer.`);
  if (modified('node_modules/.package-lock.json') < Math.max(modified('package-lock.json'), modified('package.json'))) {
    say('installing node_modules …');
    // Not `npm ci`: it insists on optional packages of other platforms, which some registry mirrors do not carry.
    run(
      'npm',
      ['install', '--no-save', '--no-audit', '--no-fund', '--ignore-scripts'],
      'npm could not install the dependencies; its message stands above.',
    );
  }
  run(process.execPath, ['scripts/build.mjs', ...process.argv.slice(2)], 'set-up stopped.');
});
