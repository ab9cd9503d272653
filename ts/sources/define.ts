// A user's own source: a module whose default export is made with defineSource().
import type { SourcePart } from './types.js';

export type SourceModule = {
  kind: 'source';
  id: string;
  /** One sentence for people. */
  summary: string;
  /** Called at every run. A part that was there before must keep its name, and its fingerprint while its rows stay the same. */
  parts(): Promise<SourcePart[]>;
};

/** Identity helper. */
export function defineSource(source: Omit<SourceModule, 'kind'>): SourceModule {
  return { kind: 'source', ...source };
}
