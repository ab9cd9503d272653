// What a run reports while it goes on.
import type { EvalWindow, TrainingRecord, TriggerRecord, WindowMetrics } from './results.js';

export type RunEvent =
  | { type: 'ingest'; part: string; samples: number; rowsDone: number; rowsTotal: number | null }
  /** Samples of the source that were left out because a picture could not be decoded; told only where there are any. */
  | { type: 'skipped'; samples: number }
  | {
      type: 'start';
      pipelineId: string;
      samples: number;
      firstMs: number;
      lastMs: number;
      windows: number;
      recorded: number;
      device: string;
    }
  | { type: 'replay'; key: number; samples: number; timeMs: number }
  | { type: 'trigger'; trigger: TriggerRecord; recorded: boolean }
  | { type: 'train'; triggerId: number; steps: number; totalSteps: number; samples: number; loss: number }
  | { type: 'trained'; training: TrainingRecord; recorded: boolean }
  /** The training was stopped, since a sample of its set was deleted; it begins again without it. */
  | { type: 'discarded'; triggerId: number; trainset: string }
  | { type: 'evaluate'; triggerId: number; done: number; total: number }
  | { type: 'evaluated'; triggerId: number; evaluation: WindowMetrics[]; recorded: boolean }
  /** Production mode: the policy is led through what it saw before, and has come to the key `key` of `samples`. */
  | { type: 'leading'; key: number; samples: number }
  /** The policy has been led to where it was, which is `informed` samples. */
  | { type: 'serving'; pipelineId: string; samples: number; informed: number; triggers: number; waiting: number; device: string }
  /** The policy has seen the samples before `key`. */
  | { type: 'arrival'; key: number }
  /** `file` in the pipeline's folder of models is the newest one. */
  | { type: 'available'; modelId: string; file: string }
  /** A window has ended, and the model of a trigger before it was evaluated on it. */
  | { type: 'window'; window: EvalWindow; triggerId: number; metrics: WindowMetrics }
  | { type: 'listening'; url: string }
  /** Messages of the stream, or topic, are taken from the server at `url`. */
  | { type: 'connected'; url: string; stream: string }
  /** Samples that got no label in time (`missing`: dropped, or the label that they were given), and labels that found no sample. */
  | { type: 'expired'; samples: number; labels: number; missing: number | string }
  /** On request. `models` know the samples. */
  | { type: 'deleted'; dataset: string; samples: number; waiting: number; reason: string; models: string[] }
  | { type: 'compacted'; dataset: string; samples: number; segments: number; bytesBefore: number; bytesAfter: number }
  | { type: 'stopped'; samples: number; triggers: number }
  /** Something failed, and production goes on. */
  | { type: 'problem'; code: string; message: string }
  | { type: 'done'; status: 'complete' | 'incomplete'; triggers: number; seconds: number };

export type OnEvent = (event: RunEvent) => void;
