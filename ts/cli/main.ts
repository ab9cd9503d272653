#!/usr/bin/env node
// The command `sluice`. Commands are loaded when they are called.
import { readFileSync } from 'node:fs';
import { type ArgsDef, type CommandDef, defineCommand, renderUsage, runCommand } from 'citty';
import { SluiceError } from '../errors.js';
import { report } from './run-command.js';

type Loader = () => Promise<CommandDef<ArgsDef>>;
const command =
  (load: () => Promise<{ default: unknown }>): Loader =>
  async () =>
    (await load()).default as CommandDef<ArgsDef>;

const subCommands: Record<string, Loader> = {
  init: command(() => import('./init.js')),
  validate: command(() => import('./validate.js')),
  ingest: command(() => import('./ingest.js')),
  run: command(() => import('./run.js')),
  serve: command(() => import('./serve.js')),
  report: command(() => import('./report.js')),
  ls: command(() => import('./ls.js')),
  show: command(() => import('./show.js')),
  delete: command(() => import('./delete.js')),
  compact: command(() => import('./compact.js')),
  models: command(() => import('./models.js')),
  fsck: command(() => import('./fsck.js')),
  backup: command(() => import('./backup.js')),
  restore: command(() => import('./restore.js')),
  policies: command(() => import('./policies.js')),
  schema: command(() => import('./schema.js')),
};

const version = (): string => JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version;

const main = defineCommand({
  meta: {
    name: 'sluice',
    version: version(),
    description: 'Train models on datasets that change: when to train, on what, and what it bought.',
  },
  subCommands,
});

async function start(argv: string[]): Promise<void> {
  const [name] = argv;
  if (name === '--version' || name === '-v') return void process.stdout.write(`${version()}\n`);
  const loader = name === undefined ? undefined : subCommands[name];
  if (name === undefined || name === '--help' || name === '-h' || name === 'help')
    return void process.stdout.write(`${await renderUsage(main)}\n`);
  if (loader === undefined)
    throw new SluiceError('E_USAGE', `unknown command '${name}'`, { hint: `commands: ${Object.keys(subCommands).join(', ')}` });
  const definition = await loader();
  if (argv.includes('--help') || argv.includes('-h')) return void process.stdout.write(`${await renderUsage(definition, main)}\n`);
  checkFlags(definition, argv.slice(1));
  await runCommand(definition, { rawArgs: argv.slice(1) });
}

/** citty takes unknown options silently; a misspelt one must not. */
function checkFlags(definition: CommandDef<ArgsDef>, argv: string[]): void {
  const known = Object.keys((definition.args ?? {}) as ArgsDef);
  for (const word of argv) {
    if (word === '--') return;
    const flag = /^--(?:no-)?([^=]+)/.exec(word)?.[1];
    if (flag !== undefined && !known.includes(flag)) {
      throw new SluiceError('E_USAGE', `unknown option --${flag}`, { hint: `options: ${known.map((k) => `--${k}`).join(', ')}` });
    }
  }
}

// Whoever read the output is gone, or its terminal is: what is under way goes on, and ends as it would.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

try {
  await start(process.argv.slice(2));
} catch (error) {
  const usage = (error as { name?: string }).name === 'CLIError';
  const mode = process.argv.includes('--json') ? 'json' : 'plain';
  process.exitCode = report(usage ? new SluiceError('E_USAGE', (error as Error).message) : error, mode);
}
