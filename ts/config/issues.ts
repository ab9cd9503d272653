// Errors of a pipeline file: where each is, what was expected, what was found, and how they are shown.
import { SluiceError } from '../errors.js';

export type ConfigIssue = {
  file: string;
  /** Line and column of the value (of the key where the key is wrong), from 1; columns count UTF-16 code units. */
  line: number;
  column: number;
  /** Such as `features.dense[0].column`; empty for the file as a whole. */
  path: string;
  /** What is there, shortened: `"many"`, `a list of 3`; empty where nothing is. */
  found: string;
  expected: string;
  /** The whole sentence without path and position. */
  message: string;
};

const maxIssues = 50;
const maxShown = 60;
const maxLine = 120;

/** Every error of one pipeline file, in order of position; more than 50 are cut and counted in `omitted`. */
export class ConfigError extends SluiceError {
  readonly issues: readonly ConfigIssue[];
  readonly omitted: number;

  constructor(issues: readonly ConfigIssue[], text: string, cause?: unknown) {
    const sorted = [...issues].sort((a, b) => a.line - b.line || a.column - b.column);
    const kept = sorted.slice(0, maxIssues);
    const omitted = sorted.length - kept.length;
    const lines = text.split(/\r\n|\r|\n/);
    const blocks = kept.map((issue) => formatIssue(issue, lines[issue.line - 1] ?? ''));
    if (omitted > 0) blocks.push(`and ${omitted} more`);
    super('E_CONFIG', blocks.join('\n'), { hint: 'correct the file and run the command again', cause });
    this.name = 'ConfigError';
    this.issues = kept;
    this.omitted = omitted;
  }
}

function formatIssue(issue: ConfigIssue, source: string): string {
  const path = issue.path === '' ? '' : `${issue.path}: `;
  const head = `${issue.file}:${issue.line}:${issue.column}  ${path}${issue.message}`;
  if (source.trim() === '') return head;
  // A window around the column keeps a minified line readable.
  const start = issue.column > maxLine ? issue.column - 1 - maxLine / 2 : 0;
  const shown = printable(source.slice(start, start + maxLine));
  const caret = printable(source.slice(start, issue.column - 1)).replace(/[^\t]/gu, (c) => ' '.repeat(cells(c)));
  return `${head}\n    ${shown}\n    ${caret}^`;
}

/** Columns of a terminal that a character takes: 2 for East Asian wide characters and pictures. */
function cells(character: string): number {
  return /[\p{Emoji_Presentation}\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\uff00-\uff60\uffe0-\uffe6]/u.test(character) ? 2 : 1;
}

/** Text from a file may hold terminal control sequences: they are shown as a replacement character. */
export function printable(text: string): string {
  return text.replace(/(?!\t)[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu, '\ufffd');
}

/** A value as an error shows it. */
export function showValue(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : `a list of ${value.length}`;
  if (typeof value === 'object') {
    const keys = Object.keys(value);
    return keys.length === 0 ? 'an empty map' : shorten(`a map with ${keys.slice(0, 20).join(', ')}`);
  }
  return shorten(typeof value === 'string' ? JSON.stringify(value) : String(value));
}

/** One line of at most 60 characters. */
export function shorten(text: string): string {
  const line = printable(text);
  return line.length <= maxShown ? line : `${line.slice(0, maxShown - 1)}…`;
}

/** ['features', 'dense', 0, 'column'] -> 'features.dense[0].column' */
export function showPath(path: readonly PropertyKey[]): string {
  let text = '';
  for (const key of path) {
    if (typeof key === 'number') text += `[${key}]`;
    else if (/^[A-Za-z_][\w-]*$/.test(String(key))) text += text === '' ? String(key) : `.${String(key)}`;
    else text += `[${shorten(JSON.stringify(String(key)))}]`;
  }
  return text;
}
