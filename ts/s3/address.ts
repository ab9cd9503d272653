// s3://bucket/key, and the address of an object.
import { SluiceError } from '../errors.js';
import type { S3Config } from './config.js';

export const s3Prefix = 's3://';

export const isS3 = (path: string): boolean => path.startsWith(s3Prefix);

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html, with upper case and underscores of old ones and other servers. */
const bucketName = /^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/;
const maxKeyBytes = 1024;

/** Bucket and key (perhaps empty) of s3://bucket/key. E_ARGUMENT. */
export function parseS3(path: string): { bucket: string; key: string } {
  const rest = path.slice(s3Prefix.length);
  const slash = rest.indexOf('/');
  const bucket = slash < 0 ? rest : rest.slice(0, slash);
  const key = slash < 0 ? '' : rest.slice(slash + 1);
  if (!isS3(path) || !bucketName.test(bucket)) throw new SluiceError('E_ARGUMENT', `${path}: expected s3://<bucket>/<key>`);
  if (Buffer.byteLength(key) > maxKeyBytes) throw new SluiceError('E_ARGUMENT', `${path}: a key has at most ${maxKeyBytes} bytes`);
  // Clients and servers take such steps away, each in a way of its own.
  if (key.split('/').some((step) => step === '.' || step === '..'))
    throw new SluiceError('E_ARGUMENT', `${path}: a key cannot have the steps . and ..`);
  return { bucket, key };
}

/** `query` in the order given. */
export function addressOf(config: S3Config, bucket: string, key: string, query: Record<string, string>): URL {
  const base = config.endpoint ?? new URL(`https://s3.${config.region}.amazonaws.com`);
  // A certificate for *.host does not cover a bucket's name with dots.
  const inPath = config.pathStyle || (bucket.includes('.') && base.protocol === 'https:');
  const url = new URL(base);
  if (!inPath) url.hostname = `${bucket}.${base.hostname}`;
  const steps = key.split('/').map(encoded).join('/');
  url.pathname = `${base.pathname.replace(/\/+$/, '')}/${inPath ? `${bucket}/` : ''}${steps}`.replace(/\/$/, key === '' ? '' : '/');
  url.search = Object.entries(query)
    .map(([name, value]) => `${encoded(name)}=${encoded(value)}`)
    .join('&');
  return url;
}

const encoded = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
