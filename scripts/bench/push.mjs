// Small samples pushed to `sluice serve` by HTTP: how many a second are durable and acknowledged. The client runs on the same machine.
//   node scripts/bench/push.mjs [--quick] [--json] [--batch 1000] [--connections 8] [--keys]
// --keys: each request has an Idempotency-Key.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { main } from '../lib/run.mjs';
import { metricsOf, startServer } from '../lib/server.mjs';
import { machine, median } from './lib.mjs';

const pipeline = `pipeline: { id: push }
dataset:
  id: push
  source: { format: push }
  time: { column: t }
  label: { column: y }
  columns: { x: f32, c: category }
features: { dense: [{ column: x }], categorical: [{ column: c, buckets: 64 }] }
model: { id: dlrm }
training: { batchSize: 512, optimizer: { id: sgd, lr: 0.1 } }
trigger: { id: amount, samples: 1000000000 }
selection: { id: new-data }
serve: { http: { port: 0 } }
`;

function bodyOf(batch, first) {
  let text = '';
  for (let i = first; i < first + batch; i++)
    text += `{"t":${1_700_000_000_000 + i},"x":${(i % 997) / 997},"c":"c${i % 50}","y":${i % 2}}\n`;
  return text;
}

/** One connection that sends requests one after the other; `told` is called with the milliseconds that each took. */
function client(port, bodies, keys, told) {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  let [n, sent] = [0, 0];
  const send = () => {
    const body = bodies[n++ % bodies.length];
    const key = keys ? `Idempotency-Key: ${keys}-${n}\r\n` : '';
    sent = performance.now();
    socket.write(
      `POST /v1/samples HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n${key}Content-Length: ${body.length}\r\n\r\n${body}`,
    );
  };
  socket.on('data', (data) => {
    if (!data.toString('latin1').startsWith('HTTP/1.1 200')) throw new Error(data.toString());
    told(performance.now() - sent);
    send();
  });
  send();
  return socket;
}

async function measure({ batch, connections, seconds, warmUp, keys }) {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  writeFileSync(join(folder, 'p.yaml'), pipeline);
  const { child, exit, url } = startServer(folder);
  try {
    const address = await url;
    if (address === undefined) throw new Error((await exit).errors);
    const port = Number(new URL(address).port);
    const bodies = Array.from({ length: 32 }, (_, i) => bodyOf(batch, i * batch));
    let times = [];
    const sockets = Array.from({ length: connections }, (_, c) => client(port, bodies, keys && `k${c}`, (ms) => times.push(ms)));
    await new Promise((resolve) => setTimeout(resolve, 1000 * warmUp));
    times = [];
    const started = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
    const rate = (times.length * batch) / ((performance.now() - started) / 1000);
    const counted = times.sort((a, b) => a - b);
    for (const socket of sockets) socket.destroy();
    const value = await metricsOf(address);
    const commits = value('sluice_commits_total');
    return {
      samplesPerSecond: Math.round(rate),
      bodyBytes: bodies[0].length,
      medianMs: median(counted),
      p99Ms: counted[Math.floor(counted.length * 0.99)],
      samplesPerCommit: Math.round(value('sluice_pushed_samples_total') / commits),
      residentMiB: Math.round(value('process_resident_memory_bytes') / 2 ** 20),
    };
  } finally {
    child.kill('SIGTERM');
    await exit;
    rmSync(folder, { recursive: true, force: true });
  }
}

main(async () => {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean' },
      json: { type: 'boolean' },
      batch: { type: 'string' },
      connections: { type: 'string' },
      keys: { type: 'boolean' },
    },
  });
  const options = { batch: Number(values.batch ?? 1000), connections: Number(values.connections ?? 8), keys: values.keys };
  const result = await measure({ ...options, ...(values.quick ? { seconds: 2, warmUp: 1 } : { seconds: 10, warmUp: 3 }) });
  if (values.json) return console.log(JSON.stringify({ ...machine(), ...options, ...result }));
  console.log(
    `${result.samplesPerSecond.toLocaleString('en-US')} samples/s in requests of ${options.batch} (${result.bodyBytes} bytes) over ${options.connections} connections; ` +
      `answered after ${result.medianMs.toFixed(1)} ms (median), ${result.p99Ms.toFixed(1)} ms (99 %); ${result.samplesPerCommit} samples a transaction; ${result.residentMiB} MiB resident`,
  );
});
