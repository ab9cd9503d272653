// How many rows a batch of values that lie on JavaScript's heap has.

/**
 * Values of a batch: so few that they are gone before the garbage collector looks for the young ones that survive. Batches of
 * 65,536 rows of a wide table spend four fifths of the time on copying texts that are dropped right after.
 */
const batchValues = 65_536;
const leastRows = 1024;

export function batchRowsFor(columns: number): number {
  return Math.max(leastRows, Math.floor(batchValues / Math.max(1, columns)));
}
