// Certificates of the servers of production mode.
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { createSecureContext } from 'node:tls';
import { SluiceError } from '../errors.js';
import { asSluiceError } from '../pipeline/folders.js';

/** Certificate chain and private key, PEM. */
export type Identity = { cert: Buffer; key: Buffer };

/** Reads the files that `serve.<section>.tls` names, relative to `folder`. E_NOT_FOUND, E_READ_ONLY; E_ARGUMENT where they do not fit together. */
export async function readIdentity(
  section: string,
  tls: { cert: string; key: string } | undefined,
  folder: string,
): Promise<Identity | undefined> {
  if (tls === undefined) return undefined;
  const read = async (name: 'cert' | 'key') => {
    try {
      return await readFile(resolve(folder, tls[name]));
    } catch (error) {
      throw asSluiceError(error, `serve.${section}.tls.${name}`);
    }
  };
  const identity = { cert: await read('cert'), key: await read('key') };
  try {
    createSecureContext(identity);
  } catch (error) {
    const message = `serve.${section}.tls: ${tls.cert} and ${tls.key} cannot be used: ${(error as Error).message}`;
    throw new SluiceError('E_ARGUMENT', message, { hint: 'both are PEM files, and the key is that of the certificate', cause: error });
  }
  return identity;
}
