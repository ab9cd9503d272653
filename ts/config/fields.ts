// Kinds of fields that several sections of the pipeline file share.
import { z } from 'zod';

const idExpected =
  'expected a name of at most 64 lower-case letters, digits, dots, dashes and underscores that starts with a letter or digit';

/** Names of pipelines and datasets. They become folder names. */
export const id = z.string({ error: idExpected }).regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, { error: idExpected });

export const columnName = z.string().min(1).max(256);

export const filePath = z.string().min(1).max(4096);

/** A whole number in [least, most]. */
export const whole = (least: number, most: number) => z.int().min(least).max(most);

export const batchSize = whole(1, 1_000_000);

/** Policies, sources and models of the user's own are named by a path; everything else is a built-in's id. */
export const modulePath = /^(\.{1,2}\/|\/|.*\.[cm]?[jt]s$)/;
