// What a backup holds, as the object or file `backup.json` tells; it is written last, so that a backup that has it is whole.
import { z } from 'zod';
import { SluiceError } from '../errors.js';

export const descriptionName = 'backup.json';

const file = z.strictObject({
  /** Relative to the data folder. */
  path: z.string().regex(/^(?!.*(^|\/)\.{0,2}(\/|$))[^\0\\]{1,1024}$/),
  bytes: z.int().min(0),
  /** Hexadecimal. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});

const description = z.strictObject({
  sluice: z.literal(1),
  /** Id of a dataset; null: all. */
  dataset: z.string().nullable(),
  createdMs: z.number(),
  files: z.array(file),
});

export type BackedUpFile = z.output<typeof file>;
export type Description = z.output<typeof description>;

/** E_CORRUPT where the text is none. */
export function parseDescription(text: string, place: string): Description {
  try {
    return description.parse(JSON.parse(text));
  } catch (error) {
    const reason =
      error instanceof z.ZodError ? `${error.issues[0]?.path.join('.')}: ${error.issues[0]?.message}` : (error as Error).message;
    throw new SluiceError('E_CORRUPT', `${place}/${descriptionName} describes no backup: ${reason}`, { cause: error });
  }
}
