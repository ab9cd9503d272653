// The models that Sluice brings. The YAML union, the JSON Schema and the docs derive from this list.
import { didYouMean } from '../base/nearest.js';
import { SluiceError } from '../errors.js';
import type { ModelDefinition } from './define.js';
import { cnn } from './cnn.js';
import { dlrm } from './dlrm.js';
import { mlp } from './mlp.js';
import { resnet } from './resnet.js';
import { torchscript } from './torchscript.js';
import { bert, distilbert } from './transformers.js';

export const models: readonly ModelDefinition[] = [
  dlrm as ModelDefinition,
  mlp as ModelDefinition,
  resnet as ModelDefinition,
  cnn as ModelDefinition,
  bert as ModelDefinition,
  distilbert as ModelDefinition,
  torchscript as ModelDefinition,
];

/** The built-in model with this id; E_CONFIG lists the ids there are. */
export function modelDefinition(id: string): ModelDefinition {
  const found = models.find((model) => model.id === id);
  if (found) return found;
  const ids = models.map((model) => model.id);
  const expected = `expected the id of a model (${ids.join(', ')}) or a path such as ./my-model.ts`;
  throw new SluiceError('E_CONFIG', `${expected}, found ${JSON.stringify(id)}${didYouMean(id, ids)}`);
}
