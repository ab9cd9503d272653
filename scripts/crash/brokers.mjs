// Kills `sluice serve` at random moments while it takes messages of a broker, which goes on: each must land once, in their order.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { root } from '../lib/run.mjs';
import { batch, batchesOfTrigger, bodyOf, check, Production } from './production.mjs';

/** By name: starts a broker, or says why there is none. `publish` sends rows, one a message, and resolves when the broker has them. */
export const brokers = {
  async nats(folder) {
    if (spawnSync('nats-server', ['--version']).status !== 0) return { missing: 'nats-server is not installed (apt install nats-server)' };
    const child = spawn('nats-server', ['-js', '-sd', join(folder, 'nats'), '-a', '127.0.0.1', '-p', '-1'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const port = await new Promise((resolve, reject) => {
      let bound;
      createInterface({ input: child.stderr }).on('line', (line) => {
        bound = /Listening for client connections on 127\.0\.0\.1:(\d+)/.exec(line)?.[1] ?? bound;
        if (line.includes('Server is ready')) resolve(bound);
      });
      child.on('close', () => reject(new Error('nats-server ended')));
    });
    const { connect } = await import('@nats-io/transport-node');
    const { jetstream, jetstreamManager } = await import('@nats-io/jetstream');
    const url = `nats://127.0.0.1:${port}`;
    const connection = await connect({ servers: url });
    await (await jetstreamManager(connection)).streams.add({ name: 'crash', subjects: ['crash'] });
    return {
      section: `, nats: { url: "${url}", stream: crash, batch: 70 }`,
      publish: (lines) => Promise.all(lines.map((line) => jetstream(connection).publish('crash', line))),
      async stop() {
        await connection.close();
        child.kill('SIGKILL');
      },
    };
  },

  /** The cluster of the tests, with one partition, so that there is one order. */
  async kafka() {
    const { StubCluster } = await import(join(root, 'dist/services/kafka/broker.test.helper.js'));
    const cluster = await StubCluster.start('crash');
    return {
      section: `, kafka: { brokers: ["127.0.0.1:${cluster.ports[0]}"], topic: crash, batch: 70, maxBytes: 8192 }`,
      publish: async (lines) => cluster.produce(0, lines),
      stop: () => cluster.stop(),
    };
  },
};

export async function killWithBroker(base, name, { random, kills, say }) {
  mkdirSync(base, { recursive: true });
  const broker = await brokers[name](base);
  if (broker.missing !== undefined) return broker.missing;
  try {
    const production = new Production(base, broker.section);
    for (let kill = 1; kill <= kills; kill++) {
      await disturbed(production, broker, random);
      if (kill % 100 === 0) say(`${name}: ${kill} kills, ${production.samples} samples`);
    }
    const { child, exit, url } = production.start();
    const address = await url;
    check(address !== undefined, 'it ended');
    do await publish(production, broker);
    while (production.acknowledged.size % batchesOfTrigger !== 0);
    await production.settle({ child, exit, address });
    const { samples, triggers } = await production.verify();
    return `${kills} kills while messages of ${name} arrive: ${samples} samples, ${triggers} triggers, each there once; sets and weights as undisturbed`;
  } finally {
    await broker.stop();
  }
}

/** The next batch, which the broker then has. */
async function publish(production, broker) {
  const n = production.acknowledged.size;
  await broker.publish(bodyOf(n).trimEnd().split('\n'));
  production.acknowledged.set(n, n * batch);
}

/** Batches arrive until the server is killed. */
async function disturbed(production, broker, random) {
  const server = production.start();
  let ended = false;
  server.exit.then(() => {
    ended = true;
  });
  const kill = () => server.child.kill('SIGKILL');
  const early = random() < 0.15 ? setTimeout(kill, 200 + 600 * random()) : undefined;
  await server.url;
  const timer = early ?? setTimeout(kill, 900 * random() ** 2);
  while (!ended) {
    await publish(production, broker);
    await new Promise((resolve) => setTimeout(resolve, 20 * random()));
  }
  const { code, signal, errors } = await server.exit;
  clearTimeout(timer);
  check(signal === 'SIGKILL', `it ended by itself with ${code}:\n${errors}`);
}
