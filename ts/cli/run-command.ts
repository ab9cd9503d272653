// What every command shares: options, Ctrl-C, errors to exit codes.
import { SluiceError } from '../errors.js';
import { errorText, type Mode, modeOf } from './output.js';

/** 0 success; 1 something failed; 2 the command line or the pipeline file is wrong; 130 stopped by Ctrl-C, SIGTERM or SIGHUP. */
export const exitCodes = { failure: 1, usage: 2, aborted: 130 } as const;

export const sharedArgs = {
  data: { type: 'string', default: 'sluice-data', description: 'Folder of datasets, models and state', valueHint: 'folder' },
  json: { type: 'boolean', default: false, description: 'One JSON object a line, for machines' },
} as const;

export type CommandContext = { mode: Mode; signal: AbortSignal };

/** SIGHUP: the terminal was closed. */
const stopSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Runs a command; Ctrl-C asks it to stop once and ends the process when pressed again. Errors become exit codes. */
export async function runCommand(args: { json?: boolean | undefined }, work: (context: CommandContext) => Promise<void>): Promise<void> {
  const mode = modeOf(args);
  const controller = new AbortController();
  const stop = () => {
    if (controller.signal.aborted) process.exit(exitCodes.aborted);
    process.stderr.write('stopping; what is finished is kept (press Ctrl-C again to stop at once)\n');
    controller.abort();
  };
  for (const name of stopSignals) process.on(name, stop);
  try {
    await work({ mode, signal: controller.signal });
  } catch (error) {
    process.exitCode = report(error, mode);
  } finally {
    for (const name of stopSignals) process.off(name, stop);
  }
}

/** Tells the error and returns the exit code. */
export function report(error: unknown, mode: Mode): number {
  const known = error instanceof SluiceError;
  const code = known ? error.code : 'E_INTERNAL';
  const message = error instanceof Error ? error.message : String(error);
  const hint = known ? error.hint : 'this is a defect of Sluice; please report it with the text below';
  if (mode === 'json')
    process.stdout.write(
      `${JSON.stringify({ time: new Date().toISOString(), level: 'error', type: 'error', code, message, hint, ...issuesOf(error) })}\n`,
    );
  process.stderr.write(errorText(code, message, hint));
  if (!known && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  if (code === 'E_CONFIG' || code === 'E_USAGE' || code === 'E_MODULE') return exitCodes.usage;
  return code === 'E_ABORTED' ? exitCodes.aborted : exitCodes.failure;
}

function issuesOf(error: unknown): object {
  const issues = (error as { issues?: unknown }).issues;
  return Array.isArray(issues) ? { issues } : {};
}
