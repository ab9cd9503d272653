// Labels that come later than their samples, by HTTP: how many samples without a label, and how many labels, are durable and acknowledged a second,
// and how long pushes of labelled samples take meanwhile. The client runs on the same machine.
//   node scripts/bench/labels.mjs [--samples 2000000] [--batch 1000] [--connections 8] [--json]
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { main } from '../lib/run.mjs';
import { startServer } from '../lib/server.mjs';
import { machine } from './lib.mjs';

const pipeline = `pipeline: { id: labels }
dataset:
  id: labels
  source: { format: push }
  time: { column: t }
  label: { column: y, late: { id: i, within: 1d } }
  columns: { x: f32, c: category }
features: { dense: [{ column: x }], categorical: [{ column: c, buckets: 64 }] }
model: { id: dlrm }
training: { batchSize: 512, optimizer: { id: sgd, lr: 0.1 } }
trigger: { id: amount, samples: 1000000000 }
selection: { id: new-data }
serve: { http: { port: 0 } }
`;

/** A permutation of 0 … n-1 for n a power of ten: ids that say nothing about their order. */
const mixed = (i) => ((i * 7_368_787) % 100_000_007).toString(36);

const sampleOf = (i, label) =>
  `{"t":${1_700_000_000_000 + i},"x":${(i % 997) / 997},"c":"c${i % 50}","i":"id-${mixed(i)}"${label ? `,"y":${i % 2}` : ''}}\n`;
const labelOf = (i) => `{"i":"id-${mixed(i)}","y":${i % 2}}\n`;

/** Sends the requests over several connections, one after the other on each; resolves with the milliseconds that each took. */
async function send(port, path, count, bodyOf, connections) {
  const times = [];
  let next = 0;
  const client = () =>
    new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true });
      let sent = 0;
      const more = () => {
        if (next === count) return resolve(socket.end());
        const body = bodyOf(next++);
        sent = performance.now();
        socket.write(
          `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
        );
      };
      socket.on('error', reject);
      socket.on('data', (data) => {
        if (!data.toString('latin1').startsWith('HTTP/1.1 200')) return reject(new Error(data.toString()));
        times.push(performance.now() - sent);
        more();
      });
      more();
    });
  const began = performance.now();
  await Promise.all(Array.from({ length: connections }, client));
  return { seconds: (performance.now() - began) / 1000, times: times.sort((a, b) => a - b) };
}

const quantile = (times, q) => times[Math.min(times.length - 1, Math.floor(q * times.length))];

main(async () => {
  const { values } = parseArgs({
    options: {
      samples: { type: 'string', default: '2000000' },
      batch: { type: 'string', default: '1000' },
      connections: { type: 'string', default: '8' },
      json: { type: 'boolean', default: false },
    },
  });
  const [samples, batch, connections] = [Number(values.samples), Number(values.batch), Number(values.connections)];
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  writeFileSync(join(folder, 'p.yaml'), pipeline);
  const { child, exit, url } = startServer(folder);
  try {
    const address = await url;
    if (address === undefined) throw new Error((await exit).errors);
    const port = Number(new URL(address).port);
    const bodies = (of) => (n) => Array.from({ length: batch }, (_, k) => of(n * batch + k)).join('');
    const requests = Math.floor(samples / batch);
    const results = [];
    const measure = async (what, path, count, of) => {
      const made = Array.from({ length: count }, (_, n) => bodies(of)(n));
      const { seconds, times } = await send(port, path, count, (n) => made[n], connections);
      results.push({
        what,
        perSecond: Math.round((count * batch) / seconds),
        medianMs: quantile(times, 0.5),
        p99Ms: quantile(times, 0.99),
      });
    };
    await measure('samples without a label', '/v1/samples', requests, (i) => sampleOf(i, false));
    await measure('labels', '/v1/labels', Math.floor(requests / 2), labelOf);
    const labelled = (n) => bodies((i) => sampleOf(samples + i, true))(n);
    const alone = await send(port, '/v1/samples', 200, labelled, 1);
    const rest = Array.from({ length: Math.floor(requests / 2) }, (_, n) =>
      bodies((i) => labelOf(Math.floor(requests / 2) * batch + i))(n),
    );
    const [beside] = await Promise.all([
      send(port, '/v1/samples', 200, (n) => labelled(200 + n), 1),
      send(port, '/v1/labels', rest.length, (n) => rest[n], connections),
    ]);
    for (const [what, { times }] of [
      ['labelled samples, alone', alone],
      ['labelled samples, beside labels', beside],
    ])
      results.push({ what, perSecond: null, medianMs: quantile(times, 0.5), p99Ms: quantile(times, 0.99) });
    if (values.json) return console.log(JSON.stringify({ machine: machine(), samples, batch, connections, results }));
    for (const { what, perSecond, medianMs, p99Ms } of results)
      console.log(
        `${what.padEnd(32)} ${perSecond === null ? ''.padStart(9) : `${Math.round(perSecond / 1000)} k/s`.padStart(9)}   median ${medianMs.toFixed(1)} ms, 99 % ${p99Ms.toFixed(1)} ms`,
      );
  } finally {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
});
