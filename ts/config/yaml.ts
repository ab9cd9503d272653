// YAML text -> plain value, with the position of every node kept. What YAML allows and a configuration must not hold
// (several documents, unknown tags, keys twice, aliases that grow without bound) is an issue like any other.
import { type Document, isAlias, isMap, isNode, isScalar, isSeq, LineCounter, type Node, parseDocument, type YAMLMap } from 'yaml';
import { SluiceError } from '../errors.js';
import { shorten } from './issues.js';

/** Where an issue points: at the value itself, at its key, or at the map that lacks the key. */
export type Anchor = 'value' | 'key' | 'parent';

export type YamlProblem = { offset: number; message: string };

export type YamlFile = {
  value: unknown;
  problems: YamlProblem[];
  /** Line and column (from 1) of an offset in the text. */
  position(offset: number): { line: number; column: number };
  /** Offset of the node at `path`, or of the nearest node above that exists. */
  offset(path: readonly PropertyKey[], anchor: Anchor): number;
};

const maxAliases = 100;

/** Never throws for bad text: `problems` holds what is wrong, and `value` is undefined then. Text at most 1 MiB. */
export function parseYaml(text: string): YamlFile {
  const lineCounter = new LineCounter();
  // yaml compares every key with every other; duplicateKeys() below needs one pass.
  const options = { lineCounter, prettyErrors: false, uniqueKeys: false, stringKeys: true, merge: false, logLevel: 'error' } as const;
  const position = (offset: number) => {
    const { line, col } = lineCounter.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  try {
    const document = parseDocument(text, options);
    const errors = [...document.errors, ...document.warnings];
    if (errors.some((e) => /call stack/.test(e.message))) throw new RangeError('the parser ran out of stack');
    const problems = [...errors.map((e) => ({ offset: e.pos[0], message: yamlMessage(e) })), ...nodeProblems(document)];
    const value: unknown = problems.length > 0 ? undefined : document.toJS({ maxAliasCount: maxAliases });
    return { value, problems, position, offset: offsetsIn(document) };
  } catch (error) {
    // The parser recurses over nested collections, and toJS refuses documents whose aliases multiply.
    const message = error instanceof RangeError ? 'collections are nested too deeply' : 'aliases stand for too much data';
    if (!(error instanceof RangeError || error instanceof ReferenceError)) {
      throw new SluiceError('E_INTERNAL', 'the YAML parser failed', { cause: error });
    }
    return { value: undefined, problems: [{ offset: 0, message }], position, offset: () => 0 };
  }
}

function yamlMessage(error: { code: string; message: string }): string {
  if (error.code === 'MULTIPLE_DOCS') return 'expected one document, found a second one';
  if (error.code === 'NON_STRING_KEY') return 'expected text as the key';
  return error.message.replace(/^./, (c) => c.toLowerCase());
}

/** Keys that occur twice, keys that JavaScript treats specially, aliases that lead nowhere or into themselves. */
function nodeProblems(document: Document): YamlProblem[] {
  const problems: YamlProblem[] = [];
  const pending: unknown[] = [document.contents];
  let aliases = 0;
  // Grows while it is walked: level by level, without recursion.
  for (const node of pending) {
    if (isMap(node)) {
      for (const problem of keyProblems(node)) problems.push(problem);
      for (const pair of node.items) pending.push(pair.value);
    } else if (isSeq(node)) {
      for (const item of node.items) pending.push(item);
    } else if (isAlias(node)) {
      const offset = node.range?.[0] ?? 0;
      if (++aliases > maxAliases) return [{ offset, message: `expected at most ${maxAliases} aliases` }];
      const target = node.resolve(document);
      if (!target) problems.push({ offset, message: `there is no anchor &${node.source} above this alias` });
      else if (target.range && target.range[0] <= offset && offset < target.range[2]) {
        problems.push({ offset, message: `the alias *${node.source} lies within what it stands for` });
      }
    }
  }
  return problems;
}

function keyProblems(map: YAMLMap): YamlProblem[] {
  const seen = new Set<string>();
  return map.items.flatMap((pair) => {
    const key = isScalar(pair.key) ? String(pair.key.value) : undefined;
    if (key === undefined) return [];
    const offset = startOf(pair.key) ?? 0;
    if (key === '__proto__') return [{ offset, message: 'expected a key other than __proto__' }];
    if (seen.has(key)) return [{ offset, message: `expected every key once, found ${shorten(JSON.stringify(key))} again` }];
    seen.add(key);
    return [];
  });
}

const startOf = (node: unknown): number | undefined => (isNode(node) ? node.range?.[0] : undefined);

function offsetsIn(document: Document): YamlFile['offset'] {
  const pairs = new WeakMap<Node, Map<string, { key: unknown; value: unknown }>>();
  const pairOf = (map: YAMLMap, key: string) => {
    const known = pairs.get(map) ?? new Map(map.items.map((pair) => [String(isScalar(pair.key) ? pair.key.value : pair.key), pair]));
    pairs.set(map, known);
    return known.get(key);
  };
  return (path, anchor) => {
    let node: unknown = document.contents;
    let start = startOf(node) ?? 0;
    for (const [depth, key] of path.entries()) {
      const last = depth === path.length - 1;
      if (last && anchor === 'parent') return start;
      if (isAlias(node)) node = node.resolve(document);
      if (isMap(node)) {
        const pair = pairOf(node, String(key));
        if (!pair) return start;
        node = pair.value;
        start = (last && anchor === 'key' ? undefined : startOf(node)) ?? startOf(pair.key) ?? start;
      } else if (isSeq(node)) {
        node = node.items[Number(key)];
        start = startOf(node) ?? start;
      } else return start;
    }
    return start;
  };
}
