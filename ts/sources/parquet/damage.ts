// The one error for whatever is wrong with a Parquet file.
import { SluiceError } from '../../errors.js';

const fetchAgain = 'the file may be damaged or incomplete: fetch or write it again';

/** E_SOURCE that names the file and the place in it. Passes through what is a SluiceError already. */
export function damaged(name: string, place: string, error: unknown, hint = fetchAgain): SluiceError {
  if (error instanceof SluiceError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new SluiceError('E_SOURCE', `${name}: ${place === '' ? '' : `${place}: `}${reason}`, { hint, cause: error });
}
