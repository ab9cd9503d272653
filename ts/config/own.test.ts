import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { z } from 'zod';
import { SluiceError } from '../errors.js';
import { defineSelection, defineTrigger } from '../policies/define.js';
import { withPolicies } from './own.js';
import { parsePipeline } from './parse.js';
import { smallPipeline } from './pipeline.test.helper.js';

const trigger = defineTrigger({
  id: 'mine',
  summary: 'Fires after so many samples.',
  config: z.strictObject({ samples: z.int().min(1).default(5) }),
  create: () => ({ inform: () => [] }),
});
const selection = defineSelection({
  id: 'one',
  summary: 'Selects one.',
  config: z.strictObject({}),
  reset: true,
  select: (_, c) => ({ first: c.end - 1, end: c.end }),
});
const load = () => parsePipeline(smallPipeline, 'p.yaml');

test('policies given as objects replace those of the file and change the hash', async () => {
  const pipeline = await load();
  const own = withPolicies(pipeline, { id: 'other', trigger: { policy: trigger }, selection: { policy: selection, reset: false } });
  assert.is(own.config.pipeline.id, 'other');
  assert.equal(own.trigger.config, { samples: 5 });
  assert.is(own.selection.reset, false);
  assert.is.not(own.hash, pipeline.hash);
  assert.is(withPolicies(pipeline, { trigger: { policy: trigger } }).hash, withPolicies(pipeline, { trigger: { policy: trigger } }).hash);
  assert.is.not(
    withPolicies(pipeline, { trigger: { policy: trigger, config: { samples: 6 } } }).hash,
    withPolicies(pipeline, { trigger: { policy: trigger } }).hash,
  );
});

test('a config that the policy does not take is refused', async () => {
  const pipeline = await load();
  assert.throws(
    () => withPolicies(pipeline, { trigger: { policy: trigger, config: { samples: 0 } } }),
    (error: unknown) => error instanceof SluiceError && error.code === 'E_CONFIG' && /policy 'mine': config\.samples/.test(error.message),
  );
});

test.run();
