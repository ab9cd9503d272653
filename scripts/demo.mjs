// `npm run demo`: sets everything up, then replays three million US flights of 2001 week by week.
// Arguments are handed on to `sluice run`, e.g. npm run demo -- --restart
import { BuildError, main, root, run, say } from './lib/run.mjs';

main(() => {
  run(process.execPath, ['scripts/setup.mjs'], 'set-up stopped; its message stands above.');
  say('sluice run examples/flights/pipeline.yaml');
  const args = ['dist/cli/main.js', 'run', 'examples/flights/pipeline.yaml', ...process.argv.slice(2)];
  try {
    run(process.execPath, args, 'the demo stopped; run it again, it goes on where it was.', { cwd: root });
  } catch (error) {
    throw error instanceof BuildError ? error : new BuildError(String(error));
  }
});
