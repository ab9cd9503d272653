// What comes before a pipeline is run, in either mode.
import type { LoadedPipeline } from '../config/parse.js';
import { SluiceError } from '../errors.js';
import { requireCuda, setComputeThreads } from '../native/threads.js';
import type { Journal } from './journal.js';
import { checkModel } from './plan.js';

type Mode = 'experiment' | 'production';

/**
 * Makes this process the one that runs the pipeline, and finds what stands against that before any data is read. `restart`: what the pipeline
 * did before is forgotten. E_LOCKED, E_CHANGED, E_CONFIG, E_MODULE, E_DEVICE.
 */
export async function claim(journal: Journal, pipeline: LoadedPipeline, mode: Mode, restart = false): Promise<void> {
  const { pipeline: section, training } = pipeline.config;
  await journal.lock(section.id);
  if (restart) await journal.forget(section.id);
  checkUnchanged(journal, pipeline, mode);
  checkModel(pipeline);
  if (training.device === 'cuda') requireCuda();
  setComputeThreads(section.threads ?? 0);
}

/** E_CHANGED when the pipeline is not the one that began under its id, or was run in the other mode. */
function checkUnchanged(journal: Journal, pipeline: LoadedPipeline, mode: Mode): void {
  const earlier = journal.pipeline(pipeline.config.pipeline.id);
  if (earlier === undefined) return;
  const command = mode === 'production' ? 'serve' : 'run';
  if ((earlier.mode ?? 'experiment') !== mode) {
    const ran = mode === 'production' ? 'was run as an experiment' : 'is one in production';
    const trace = mode === 'production' ? '' : `, or replay what arrived there: sluice run --trace ${earlier.id}`;
    const hint = `give it another pipeline.id${trace}; sluice ${command} --restart forgets what is there`;
    throw new SluiceError('E_CHANGED', `the pipeline '${earlier.id}' ${ran}`, { hint });
  }
  if (earlier.hash === pipeline.hash) return;
  const hint = `give it another pipeline.id to keep both, or start it anew: sluice ${command} --restart`;
  throw new SluiceError('E_CHANGED', `${pipeline.file} is not the pipeline '${earlier.id}' that was run before`, { hint });
}
