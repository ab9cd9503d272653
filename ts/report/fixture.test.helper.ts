// A run as a journal would return it, of any size; the same options give the same run.
import type { EvalWindow, RunResult, TriggerResult, WindowMetrics } from '../pipeline/results.js';

export const day = 86_400_000;
const start = Date.UTC(2001, 0, 1);

export type ResultOptions = {
  windows?: number;
  models?: number;
  /** Length of a window, milliseconds. */
  windowMs?: number;
  /** Windows each model is evaluated on. */
  evaluate?: 'following' | 'all';
  /** Share of the last window that the stream covers. */
  lastCoverage?: number;
  /** More than two classes: no AUC. */
  multiClass?: boolean;
};

/** Models trained at the end of windows that are spread over the stream; fresher ones do better, and all fade with age. */
export function makeResult(options: ResultOptions = {}): RunResult {
  const { windows: count = 26, models = 25, windowMs = 7 * day, evaluate = 'following', lastCoverage = 1, multiClass = false } = options;
  const windows: EvalWindow[] = [];
  for (let index = 0, first = 0; index < count; index++) {
    const share = index === count - 1 ? lastCoverage : 1;
    const end = first + Math.max(1, Math.round(share * (100_000 + 12_000 * Math.sin(index))));
    windows.push({ index, first, end, startMs: start + index * windowMs, endMs: start + (index + 1) * windowMs });
    first = end;
  }
  const last = windows.at(-1);
  const lastMs = last === undefined ? start : last.startMs + lastCoverage * windowMs - 60_000;
  const triggers = Array.from({ length: models }, (_, id) => {
    const at = windows[Math.min(count - 1, Math.floor((id * Math.max(1, count - 1)) / Math.max(1, models)))] as EvalWindow;
    return triggerOf(id, at, windows, evaluate, multiClass);
  });
  return {
    pipelineId: 'flights-weekly',
    status: 'complete',
    seed: 42,
    dataset: { id: 'flights', samples: last?.end ?? 0, firstMs: start, lastMs },
    triggerPolicy: 'time',
    selectionPolicy: 'new-data',
    windows,
    triggers,
    seconds: { trigger: 0.4, select: 1.2, train: 2 * models, evaluate: 14.5, total: 2 * models + 18 },
  };
}

function triggerOf(id: number, at: EvalWindow, windows: EvalWindow[], evaluate: 'following' | 'all', multiClass: boolean): TriggerResult {
  const used = windows.filter((w) => evaluate === 'all' || w.index > at.index);
  const samples = at.end - at.first;
  return {
    trigger: { id, key: at.end - 1, timeMs: at.endMs - 1000, reason: `1w passed since ${new Date(at.startMs).toISOString()}` },
    training: {
      triggerId: id,
      trainset: `set-${id}`,
      trainsetSize: samples,
      modelId: `flights-weekly/${id}`,
      modelFile: `models/flights-weekly/${id}.safetensors`,
      parent: id === 0 ? null : `models/flights-weekly/${id - 1}.safetensors`,
      steps: Math.ceil(samples / 512),
      samples,
      loss: 0.5 - 0.001 * id,
      validationLoss: null,
      untouched: [],
      resumedAt: 0,
      startSeconds: 0.01,
      finishSeconds: 0.02,
      seconds: 2 + 0.4 * Math.sin(id * 1.7),
      samplesPerSecond: samples / 2,
    },
    evaluation: used.map((w) => metricsOf(at.index, w, windows.length, multiClass)),
  };
}

function metricsOf(trainedOn: number, w: EvalWindow, count: number, multiClass: boolean): WindowMetrics {
  const age = Math.abs(w.index - trainedOn) / count;
  const auc = 0.73 - 0.09 * age ** 0.7 - 0.05 * (1 - trainedOn / count) + 0.012 * Math.sin(w.index * 1.3);
  return { window: w.index, samples: w.end - w.first, loss: 1.1 - auc, accuracy: auc + 0.1, auc: multiClass ? null : auc, rmse: null };
}

/** What is wrong with the nesting of tags and the quoting of attributes in XML (or HTML that closes its tags); null when all is well. */
export function markupError(markup: string): string | null {
  const open: string[] = [];
  for (const [tag] of markup.matchAll(/<[^>]*>?/g)) {
    if (/^<(!|meta )/.test(tag)) continue;
    const parts = /^<(\/?)([a-zA-Z][\w:-]*)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>$/.exec(tag);
    if (parts === null) return `not a tag: ${tag}`;
    const [, closing, name = '', , empty] = parts;
    if (closing !== '') {
      const last = open.pop();
      if (last !== name) return `</${name}> closes <${last}>`;
    } else if (empty === '') open.push(name);
  }
  return open.length === 0 ? null : `not closed: ${open.join(' ')}`;
}
