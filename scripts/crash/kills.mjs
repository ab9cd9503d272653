// Kills `sluice serve` at random moments while samples are pushed and models trained.
import { mkdirSync } from 'node:fs';
import { check, Production } from './production.mjs';

/** Says every 100 kills how far it is. */
export async function killServe(base, { random, kills, say }) {
  mkdirSync(base, { recursive: true });
  const production = new Production(base);
  for (let kill = 1; kill <= kills; kill++) {
    await disturbed(production, random);
    if (kill % 100 === 0) say(`${kill} kills, ${production.samples} samples`);
  }
  await production.finish();
  const { samples, triggers, resumed } = await production.verify();
  return `${kills} kills: ${samples} samples, ${triggers} triggers, each there once; sets and weights as undisturbed (${resumed} trainings went on from a checkpoint)`;
}

/** Pushes batches, sometimes one again, until the server is killed. */
async function disturbed(production, random) {
  const server = production.start();
  const kill = () => server.child.kill('SIGKILL');
  // Some are killed while they begin.
  const early = random() < 0.15 ? setTimeout(kill, 200 + 600 * random()) : undefined;
  const url = await server.url;
  const timer = early ?? setTimeout(kill, 900 * random() ** 2);
  for (let going = url !== undefined; going; ) {
    const next = production.acknowledged.size;
    const again = next > 0 && random() < 0.1;
    const { status, text } = await production.push(url, again ? Math.floor(random() * next) : next);
    check(status === 200 || status === undefined, `${status} ${text}`);
    going = status === 200;
    if (going && random() < 0.3) await new Promise((resolve) => setTimeout(resolve, 30 * random()));
  }
  const { code, signal, errors } = await server.exit;
  clearTimeout(timer);
  check(signal === 'SIGKILL', `it ended by itself with ${code}:\n${errors}`);
}
