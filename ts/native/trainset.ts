// Frozen trigger training sets: immutable files of keys and weights, named by their content.
import { native } from './call.js';
import type { Snapshot } from './dataset.js';
import { flatRanges } from './ranges.js';
import type { FrozenSet, KeyRange, Selection } from './types.js';

/**
 * Writes the set durably below `folder`, without samples that are deleted in the snapshot, and resolves with its id (32 hex
 * digits) and size; null where none is left. The same set has the same id and is written once. E_ARGUMENT for an empty
 * selection or a key >= snapshot.size, E_NOT_FINITE for a weight that is negative, NaN or infinite.
 */
export function freezeTrainset(folder: string, selection: Selection, snapshot: Snapshot): Promise<FrozenSet | null> {
  snapshot.renew();
  return native((addon) => addon.trainset_freeze(folder, selection, snapshot.handle));
}

/** Reads all of a set and resolves with its size. E_NOT_FOUND, E_CORRUPT. */
export function checkTrainset(folder: string, id: string): Promise<number> {
  return native((addon) => addon.trainset_check(folder, id));
}

/** How many entries of a set lie in ranges of keys. E_NOT_FOUND, E_CORRUPT. */
export function countInTrainset(folder: string, id: string, keys: readonly KeyRange[]): Promise<number> {
  return native((addon) => addon.trainset_count(folder, id, flatRanges(keys)));
}

/** Keys and weights (1 where the set has none) in their order. E_NOT_FOUND, E_CORRUPT. */
export function readTrainset(folder: string, id: string): Promise<{ keys: BigUint64Array; weights: Float32Array }> {
  return native((addon) => addon.trainset_read(folder, id));
}
