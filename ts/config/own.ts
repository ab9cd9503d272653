// Running a pipeline with policies that the caller holds as objects, not as modules.
import { SluiceError } from '../errors.js';
import type { SelectionPolicy, TriggerPolicy } from '../policies/define.js';
import { canonicalJson, sha256 } from './hash.js';
import type { LoadedPipeline } from './parse.js';

export type OwnPolicies = {
  /** Name of the changed pipeline; default: the name it has. Runs are kept by name. */
  id?: string;
  trigger?: { policy: TriggerPolicy; config?: unknown };
  selection?: { policy: SelectionPolicy; config?: unknown; reset?: boolean };
};

/**
 * The pipeline with other policies, e.g. made with defineTrigger() in the same file. `config` is checked by the policy's
 * own schema: E_CONFIG. A changed policy counts as a changed pipeline (its code is part of the hash, what it closes over
 * is not).
 */
export function withPolicies(pipeline: LoadedPipeline, own: OwnPolicies): LoadedPipeline {
  const trigger = own.trigger ? { policy: own.trigger.policy, config: checked(own.trigger) } : pipeline.trigger;
  const selection = own.selection
    ? { policy: own.selection.policy, config: checked(own.selection), reset: own.selection.reset ?? own.selection.policy.reset }
    : pipeline.selection;
  const identity = canonicalJson([
    pipeline.hash,
    own.trigger && [trigger.policy.id, trigger.config, String(trigger.policy.create)],
    own.selection && [selection.policy.id, selection.config, selection.reset, String(selection.policy.select)],
  ]);
  const { config } = pipeline;
  const section = { ...config.pipeline, id: own.id ?? config.pipeline.id };
  return { ...pipeline, config: { ...config, pipeline: section }, trigger, selection, hash: sha256(identity) };
}

function checked({ policy, config }: { policy: TriggerPolicy | SelectionPolicy; config?: unknown }): unknown {
  const result = policy.config.safeParse(config ?? {});
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new SluiceError(
    'E_CONFIG',
    `policy '${policy.id}': config${issue?.path.map((key) => `.${String(key)}`).join('') ?? ''}: ${issue?.message}`,
    { cause: result.error },
  );
}
