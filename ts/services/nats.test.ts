// Against a real nats-server, where there is one on the PATH (Debian's package nats-server).
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Dataset } from '../native/dataset.js';
import { inWorkplace, type Workplace } from '../pipeline/fixture.test.helper.js';
import { foldersOf } from '../pipeline/folders.js';
import { arrivedAt, jsonRows, pushing, type Serving, serving } from './fixture.test.helper.js';

const test = suite('nats');
const installed = spawnSync('nats-server', ['--version']).status === 0;
if (!installed) console.log('nats-server is not installed: the tests of NATS JetStream are left out (apt install nats-server)');

type Server = { url: string; port: number; kill(signal: NodeJS.Signals): Promise<void> };

async function startServer({ folder }: Workplace, port = -1): Promise<Server> {
  const child: ChildProcess = spawn('nats-server', ['-js', '-sd', join(folder, 'nats'), '-a', '127.0.0.1', '-p', String(port)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const exit = new Promise<void>((resolve) => child.on('close', () => resolve()));
  let bound = 0;
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stderr! }).on('line', (line) => {
      bound = Number(/Listening for client connections on 127\.0\.0\.1:(\d+)/.exec(line)?.[1] ?? bound);
      if (line.includes('Server is ready')) resolve();
    });
    exit.then(() => reject(new Error('nats-server ended')));
  });
  const kill = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    await exit;
  };
  return { url: `nats://127.0.0.1:${bound}`, port: bound, kill };
}

/** Publishes rows [first, end), one a message; resolves once the server has stored them. */
async function publish(connection: NatsConnection, first: number, end: number): Promise<void> {
  const client = jetstream(connection);
  const lines = jsonRows(first, end).trimEnd().split('\n');
  await Promise.all(lines.map((line) => client.publish('rows.test', line)));
}

const pulling = (url: string, more = '') => ({
  ...pushing(),
  'serve: { http: { port: 0 } }': `serve: { nats: { url: "${url}", stream: rows, batch: 100${more} } }`,
});

function times({ data }: Workplace): bigint[] {
  using dataset = Dataset.open(foldersOf(data).dataset('tiny'), { readOnly: true });
  using snapshot = dataset.snapshot();
  return [...snapshot.timestamps()];
}

const expectedTimes = (first: number, end: number) =>
  jsonRows(first, end)
    .trimEnd()
    .split('\n')
    .map((line) => BigInt(Date.parse(JSON.parse(line).t)));

async function withServer(work: (place: Workplace, server: Server, connection: NatsConnection) => Promise<void>): Promise<void> {
  await inWorkplace(async (place) => {
    const server = await startServer(place);
    const connection = await connect({ servers: server.url });
    await (await jetstreamManager(connection)).streams.add({ name: 'rows', subjects: ['rows.>'] });
    try {
      await work(place, server, connection);
    } finally {
      await connection.close();
      await server.kill('SIGKILL');
    }
  });
}

const problem = (text: string) => (event: Serving['events'][number]) => event.type === 'problem' && event.message.includes(text);

if (installed) {
  test('each message lands once, over stops of the consumer and kills of the server', () =>
    withServer(async (place, first, connection) => {
      await publish(connection, 0, 450);
      let serve = await serving(place, pulling(first.url));
      await serve.until(arrivedAt(100));
      await serve.stop();
      await publish(connection, 450, 700);
      serve = await serving(place, pulling(first.url));
      await serve.until(arrivedAt(700));
      await connection.close();
      await first.kill('SIGTERM');
      await serve.until((e) => e.type === 'problem' && e.code === 'E_IO');
      const second = await startServer(place, first.port);
      const again = await connect({ servers: second.url });
      await publish(again, 700, 1000);
      await serve.until(arrivedAt(1000));
      await serve.until((e) => e.type === 'trained');
      await serve.stop();
      await again.close();
      await second.kill('SIGKILL');
      assert.equal(times(place), expectedTimes(0, 1000));
    }));

  test('messages that cannot be taken are told and passed over; one may hold several samples', () =>
    withServer(async (place, { url }, connection) => {
      const client = jetstream(connection);
      await client.publish('rows.a', jsonRows(0, 3));
      await client.publish('rows.a', 'nonsense');
      await client.publish('rows.b', jsonRows(3, 4));
      await client.publish('rows.a', jsonRows(4, 5).replace(/"y":[01]/, '"y":7'));
      await client.publish('rows.a', jsonRows(5, 6));
      let serve = await serving(place, pulling(url, ', subject: rows.a'));
      await serve.until(problem('message 2 of rows is passed over'));
      await serve.until(problem('message 4 of rows is passed over'));
      await serve.until(arrivedAt(4));
      await serve.stop();
      assert.equal(times(place), [...expectedTimes(0, 3), ...expectedTimes(5, 6)]);
      serve = await serving(place, pulling(url, ', subject: rows.a'));
      await client.publish('rows.a', jsonRows(6, 7));
      await serve.until(arrivedAt(5));
      assert.not(serve.events.some((e) => e.type === 'problem'));
      await serve.stop();
    }));

  test('a stream that is missing, lost messages, or was made anew is told', () =>
    withServer(async (place, { url }, connection) => {
      const manager = await jetstreamManager(connection);
      await publish(connection, 0, 10);
      let serve = await serving(place, pulling(url));
      await serve.until(arrivedAt(10));
      await serve.stop();
      await publish(connection, 10, 20);
      await manager.streams.purge('rows', { seq: 16 });
      serve = await serving(place, pulling(url));
      await serve.until(problem('no longer holds the messages 11 to 15'));
      await serve.until(arrivedAt(15));
      await serve.stop();
      await manager.streams.delete('rows');
      serve = await serving(place, pulling(url));
      await serve.until(problem('stream rows: '));
      await manager.streams.add({ name: 'rows', subjects: ['rows.>'] });
      await serve.until((e) => e.type === 'problem' && e.code === 'E_CHANGED');
      await serve.stop();
      assert.is(times(place).length, 15);
    }));

  test('messages may be samples without a label, or labels of others', () =>
    withServer(async (place, server, connection) => {
      const rows = jsonRows(0, 40)
        .trimEnd()
        .split('\n')
        .map((line, i) => ({ ...(JSON.parse(line) as { t: string; y: string }), imp: i }));
      const client = jetstream(connection);
      const send = (value: object) => client.publish('rows.test', JSON.stringify(value));
      for (const { y, ...sample } of rows.slice(0, 20)) {
        if (sample.imp % 2 === 0) await send({ imp: sample.imp, y });
        await send(sample);
      }
      const changes = { ...pulling(server.url), 'label: { column: y }': 'label: { column: y, late: { id: imp, within: 1d } }' };
      let serve = await serving(place, changes);
      await serve.until(arrivedAt(10));
      await send({ imp: 0, y: rows[0]!.y === '1' ? '0' : '1' });
      await serve.until(problem('imp "0": its label is'));
      await serve.stop();
      for (const { imp, y } of rows.slice(0, 20)) if (imp % 2 === 1) await send({ imp, y });
      for (const row of rows.slice(20)) await send(row);
      serve = await serving(place, changes);
      await serve.until(arrivedAt(40));
      await serve.stop();
      assert.equal(times(place).map(Number).sort(), expectedTimes(0, 40).map(Number).sort());
      assert.not(serve.events.some((e) => e.type === 'problem'));
    }));
}

test('a server that cannot be reached is told once, and it stops well', () =>
  inWorkplace(async (place) => {
    const serve = await serving(place, pulling('nats://127.0.0.1:1'));
    await serve.until((e) => e.type === 'problem' && e.code === 'E_IO');
    await serve.stop();
  }));

test.run();
