// The policies that Sluice brings. The YAML union, the JSON Schema and `sluice policies` derive from these lists.
import { didYouMean } from '../base/nearest.js';
import { SluiceError } from '../errors.js';
import type { SelectionPolicy, TriggerPolicy } from './define.js';
import { allData } from './selection/all-data.js';
import { freshness } from './selection/freshness.js';
import { newData } from './selection/new-data.js';
import { recorded } from './selection/recorded.js';
import { uniform } from './selection/uniform.js';
import { amount } from './triggers/amount.js';
import { time } from './triggers/time.js';

export const triggerPolicies: readonly TriggerPolicy[] = [time, amount];
export const selectionPolicies: readonly SelectionPolicy[] = [newData, allData, uniform, freshness, recorded];

/** The built-in triggering policy with this id; E_CONFIG lists the ids there are. */
export const triggerPolicy = (id: string): TriggerPolicy => find('triggering policy', triggerPolicies, id);

/** The built-in data selection policy with this id; E_CONFIG lists the ids there are. */
export const selectionPolicy = (id: string): SelectionPolicy => find('data selection policy', selectionPolicies, id);

function find<P extends { id: string }>(what: string, policies: readonly P[], id: string): P {
  const found = policies.find((policy) => policy.id === id);
  if (found) return found;
  const ids = policies.map((policy) => policy.id);
  const expected = `expected the id of a ${what} (${ids.join(', ')}) or a path such as ./my-policy.ts`;
  throw new SluiceError('E_CONFIG', `${expected}, found ${JSON.stringify(id)}${didYouMean(id, ids)}`);
}
