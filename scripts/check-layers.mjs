// Imports follow the arrows native/src <- bindings <- ts/native <- the rest of ts; napi.h has one include site; only
// ts/native knows the addon; the folders of ts import each other without cycles. Prints file:line, exits with 1.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const violations = [];
const edges = new Map(); // folder of ts -> Map(folder it imports -> where)

function* lines(folder, extensions) {
  for (const entry of readdirSync(path.join(root, folder), { recursive: true })) {
    if (!extensions.includes(path.extname(entry))) continue;
    const file = path.join(folder, entry);
    const text = readFileSync(path.join(root, file), 'utf8').split('\n');
    for (const [i, line] of text.entries()) yield { file, where: `${file}:${i + 1}`, line };
  }
}

function checkInclude({ file, where, line }) {
  const included = /^\s*#\s*include\s*[<"]([^>"]+)[>"]/.exec(line)?.[1];
  if (included === undefined) return;
  if (/^(napi|node_api|js_native_api)\b/.test(included) && file !== 'bindings/napi_setup.h')
    violations.push(`${where}: only bindings/napi_setup.h includes ${included}`);
  if (file.startsWith('native') && /bindings|\.\.\//.test(included)) violations.push(`${where}: the core includes ${included}`);
  if (file.startsWith('bindings') && /^(torch|ATen|c10)\//.test(included)) violations.push(`${where}: bindings include no torch header`);
}

function checkImport({ file, where, line }) {
  const specifier = /(?:\bfrom|^\s*import|\bimport\(|\brequire\()\s*['"](\.[^'"]*)['"]/.exec(line)?.[1];
  const target = specifier && path.join(path.dirname(file), specifier);
  if (!target) return;
  const [from, to] = [file, target].map((p) => path.dirname(p).split(path.sep)[1]);
  if (!target.startsWith('ts/')) violations.push(`${where}: ${specifier} lies outside ts`);
  else if (from !== 'native' && /^ts\/native\/(raw|addon|call)(\.|$)/.test(target))
    violations.push(`${where}: only ts/native imports ${target}`);
  else if (from === 'native' && to !== undefined && to !== 'native') violations.push(`${where}: ts/native imports ts/${to}`);
  // ts/index.ts and ts/errors.ts lie in no folder; tests may look anywhere.
  else if (from && to && from !== to && !file.includes('.test.')) edges.set(from, (edges.get(from) ?? new Map()).set(to, where));
}

function findCycle(folder, trail = []) {
  if (trail.includes(folder)) return trail.slice(trail.indexOf(folder));
  for (const next of edges.get(folder)?.keys() ?? []) {
    const cycle = findCycle(next, [...trail, folder]);
    if (cycle) return cycle;
  }
}

for (const folder of ['native', 'bindings']) for (const line of lines(folder, ['.h', '.cpp', '.cu'])) checkInclude(line);
for (const line of lines('ts', ['.ts'])) checkImport(line);
for (const folder of edges.keys()) {
  const cycle = findCycle(folder);
  if (cycle?.[0] === folder)
    violations.push(`${edges.get(folder).get(cycle[1] ?? folder)}: the folders ${[...cycle, folder].join(' -> ')} import each other`);
}
if (violations.length > 0) {
  console.error(violations.join('\n'));
  process.exit(1);
}
