// How much a sampling policy takes: a number of samples, or a part of the candidates.
import { z } from 'zod';
import type { SelectionContext } from '../define.js';

export const samples = z.int().min(1).describe('Samples to select; all candidates where there are fewer.');
export const ratio = z.number().gt(0).max(1).describe('Part of the candidates to select: above 0, at most 1; at least one sample.');

export type Amount = { samples: number } | { ratio: number };

/** How many candidates there are: those that were not deleted. */
export function candidates({ first, end, living }: Pick<SelectionContext, 'first' | 'end' | 'living'>): number {
  return living(first, end).reduce((sum, range) => sum + range.end - range.first, 0);
}

/** Samples to take of `candidates`: at least 1 and at most all. */
export function sampleCount(amount: Amount, candidates: number): number {
  const wanted = 'samples' in amount ? amount.samples : Math.max(1, Math.round(amount.ratio * candidates));
  return Math.min(wanted, candidates);
}
