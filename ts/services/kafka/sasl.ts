// Who we are, told to a broker: SASL PLAIN (RFC 4616) and SCRAM (RFC 5802, 7677).
import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto';

export type Credentials = { mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'; username: string; password: string };

/** Sends a message of ours and resolves with the broker's. */
export type Exchange = (message: Buffer) => Promise<Buffer>;

/** More rounds would only keep us busy. */
const maxIterations = 1_000_000;

/** Throws where the broker does not know the password itself; `exchange` rejects where it refuses ours. */
export async function authenticate(
  { mechanism, username, password }: Credentials,
  exchange: Exchange,
  nonce = randomBytes(24).toString('base64'),
): Promise<void> {
  if (mechanism === 'plain') await exchange(Buffer.from(`\0${username}\0${password}`));
  else await scram(mechanism === 'scram-sha-256' ? 'sha256' : 'sha512', { username, password, nonce }, exchange);
}

async function scram(
  digest: 'sha256' | 'sha512',
  { username, password, nonce }: { username: string; password: string; nonce: string },
  exchange: Exchange,
): Promise<void> {
  const first = `n=${username.replaceAll('=', '=3D').replaceAll(',', '=2C')},r=${nonce}`;
  const challenge = (await exchange(Buffer.from(`n,,${first}`))).toString();
  const { r: together = '', s: salt = '', i = '' } = attributes(challenge);
  const iterations = Number(i);
  if (!together.startsWith(nonce) || !(iterations >= 1 && iterations <= maxIterations)) throw new Error('its SCRAM challenge is wrong');
  const hmac = (key: Buffer, text: string) => createHmac(digest, key).update(text).digest();
  const bytes = digest === 'sha256' ? 32 : 64;
  const salted = pbkdf2Sync(password.normalize('NFKC'), Buffer.from(salt, 'base64'), iterations, bytes, digest);
  const clientKey = hmac(salted, 'Client Key');
  const final = `c=biws,r=${together}`;
  const signed = `${first},${challenge},${final}`;
  const signature = hmac(createHash(digest).update(clientKey).digest(), signed);
  const proof = clientKey.map((byte, n) => byte ^ signature[n]!);
  const answer = attributes((await exchange(Buffer.from(`${final},p=${Buffer.from(proof).toString('base64')}`))).toString());
  if (answer['e'] !== undefined) throw new Error(answer['e']);
  const theirs = Buffer.from(answer['v'] ?? '', 'base64');
  const expected = hmac(hmac(salted, 'Server Key'), signed);
  if (theirs.length !== expected.length || !timingSafeEqual(theirs, expected)) throw new Error('the broker does not know the password');
}

/** a=…,b=… */
const attributes = (message: string): Record<string, string> =>
  Object.fromEntries(message.split(',').map((part) => [part.slice(0, 1), part.slice(2)]));
