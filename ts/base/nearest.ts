// "did you mean": the nearest of some known words.

const longest = 64;

/** Edit distance where a swap of neighbours counts one (optimal string alignment; Damerau, 1964). */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min(previous[j]! + 1, row[j - 1]! + 1, previous[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, before[j - 2]! + 1);
      row.push(best);
    }
    before = previous;
    previous = row;
  }
  return previous[b.length]!;
}

/** The known word that `word` was probably meant to be: at most a third of its letters differ, case aside. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  if (word.length > longest) return undefined;
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of known) {
    if (candidate.length > longest) continue;
    const d = distance(word.toLowerCase(), candidate.toLowerCase());
    if (d < bestDistance && d <= Math.ceil(Math.max(word.length, candidate.length) / 3)) {
      best = candidate;
      bestDistance = d;
    }
  }
  return best;
}

/** '; did you mean "seed"?', or '' where nothing is near. */
export function didYouMean(word: string, known: readonly string[]): string {
  const found = nearest(word, known);
  return found === undefined ? '' : `; did you mean ${JSON.stringify(found)}?`;
}
