// Times in the names of files: `IMG_{YYYY}{MM}{DD}_{hh}{mm}{ss}` finds the digits that stand for each part.
const parts: Record<string, { name: string; digits: string }> = {
  YYYY: { name: 'year', digits: '\\d{4}' },
  MM: { name: 'month', digits: '\\d{2}' },
  DD: { name: 'day', digits: '\\d{2}' },
  hh: { name: 'hour', digits: '\\d{2}' },
  mm: { name: 'minute', digits: '\\d{2}' },
  ss: { name: 'second', digits: '\\d{2}' },
  unix: { name: 'unix', digits: '\\d{1,12}' },
};

const placeholder = /\{([^{}]*)\}/g;

/** What is wrong with a pattern, as words after "expected"; undefined for a good one. */
export function timePatternError(pattern: string): string | undefined {
  const names = [...pattern.matchAll(placeholder)].map((match) => match[1]!);
  const unknown = names.find((name) => !Object.hasOwn(parts, name));
  if (unknown !== undefined) return `{YYYY}, {MM}, {DD}, {hh}, {mm}, {ss} or {unix}, not {${unknown}}`;
  if (new Set(names).size < names.length) return 'each part of the time once';
  if (!names.includes('unix') && !['YYYY', 'MM', 'DD'].every((name) => names.includes(name)))
    return 'at least {YYYY}, {MM} and {DD}, or {unix} for seconds since 1970';
  return undefined;
}

/**
 * A function from a path to the time in it, as text that timeMs() reads with the unit s; undefined where the pattern does
 * not occur. The pattern may stand anywhere in the path; `*` matches any text within a part of the path.
 */
export function timeInPath(pattern: string): (path: string) => string | undefined {
  const expression = pattern
    .split(/(\{[^{}]*\}|\*)/)
    .map((piece) => {
      const part = parts[piece.slice(1, -1)];
      if (piece.startsWith('{') && part) return `(?<${part.name}>${part.digits})`;
      return piece === '*' ? '[^/]*' : piece.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
    })
    .join('');
  const search = new RegExp(expression);
  return (path) => {
    const found = search.exec(path)?.groups;
    if (!found) return undefined;
    const { year, month, day, hour = '00', minute = '00', second = '00', unix } = found;
    return unix ?? `${year}-${month}-${day}T${hour}:${minute}:${second}Z`;
  };
}
