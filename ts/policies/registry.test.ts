import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkSelection, checkTrigger } from './conformance.js';
import { selectionPolicies, selectionPolicy, triggerPolicies, triggerPolicy } from './registry.js';

const triggerConfigs: Record<string, unknown[]> = {
  amount: [{ samples: 1 }, { samples: 7 }, { samples: 1000 }, { samples: 1_000_000 }],
  time: [{ every: '1h' }, { every: '1d' }, { every: '1w' }, { every: '36h', start: '2001-01-03' }, { every: '30s' }],
};

const selectionConfigs: Record<string, unknown[]> = {
  'new-data': [{}, { limit: 10 }, { limit: 10, keep: 'uniform' }],
  'all-data': [{}],
  uniform: [{ samples: 5 }, { ratio: 0.3 }, { ratio: 1 }],
  freshness: [
    { samples: 5, halfLife: '1d' },
    { ratio: 0.3, halfLife: '1w' },
  ],
  recorded: [
    { by: 'loss', ratio: 0.3 },
    { by: 'gradient-norm', samples: 5, choice: 'greatest' },
    { by: 'confidence', ratio: 0.5, choice: 'least' },
  ],
};

for (const policy of triggerPolicies) {
  test(`${policy.id} keeps to what every triggering policy keeps to`, () => {
    const configs = triggerConfigs[policy.id];
    assert.ok(configs, `no configuration to check ${policy.id} with`);
    for (const config of configs) checkTrigger(policy, config);
  });
}

for (const policy of selectionPolicies) {
  test(`${policy.id} keeps to what every selection policy keeps to`, async () => {
    const configs = selectionConfigs[policy.id];
    assert.ok(configs, `no configuration to check ${policy.id} with`);
    for (const config of configs) await checkSelection(policy, config);
  });
}

test('policies are found by id', () => {
  assert.is(triggerPolicy('amount').id, 'amount');
  assert.is(selectionPolicy('new-data').reset, true);
  assert.is(selectionPolicy('uniform').reset, false);
});

test('an unknown id lists the known ones and the nearest', () => {
  assert.throws(
    () => triggerPolicy('amonut'),
    (e: { code: string; message: string }) =>
      e.code === 'E_CONFIG' && /time, amount/.test(e.message) && /did you mean "amount"/.test(e.message),
  );
  assert.throws(() => selectionPolicy('amount'), /new-data, all-data, uniform, freshness/);
});

test('ids are unique', () => {
  for (const list of [triggerPolicies, selectionPolicies]) assert.is(new Set(list.map((p) => p.id)).size, list.length);
});

test.run();
