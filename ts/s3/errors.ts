// What an object store answered, or that it did not, as errors with our codes.
import { type ErrorCode, SluiceError } from '../errors.js';
import { hostOf, type S3Config } from './config.js';
import { textOf } from './xml.js';

/** An answer that says no. `code`: S3's own, from the body; some answers have none. */
export class S3Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    /** Where the bucket is, when it says so. */
    readonly region: string | undefined,
  ) {
    super(message);
  }
}

/** The answer was cut short or was not the one that was asked for: asking again may help. */
export class BrokenAnswer extends Error {}

export function refusalOf(status: number, headers: NodeJS.Dict<string | string[]>, body: string): S3Refusal {
  const code = textOf(body, 'Code') ?? codeOfStatus[status] ?? '';
  const region = headers['x-amz-bucket-region'] ?? textOf(body, 'Region');
  return new S3Refusal(status, code, textOf(body, 'Message') ?? '', typeof region === 'string' ? region : undefined);
}

/** Answers to HEAD have no body. */
const codeOfStatus: Record<number, string> = { 403: 'AccessDenied', 412: 'PreconditionFailed', 503: 'SlowDown' };

const passingCodes = new Set(['InternalError', 'RequestTimeout', 'SlowDown', 'ServiceUnavailable', 'Throttling', 'TooManyRequests']);

const untrusted = /CERT|SELF_SIGNED|UNABLE_TO_/;
/** Servers that speak another protocol. */
const foreign = /^ERR_TLS|^EPROTO$|^HPE_/;

/** Whether asking again may help. */
export function mayPass(error: unknown): boolean {
  if (error instanceof SluiceError) return false;
  const code = (error as NodeJS.ErrnoException)?.code ?? '';
  if (!(error instanceof S3Refusal)) return !untrusted.test(code) && !foreign.test(code);
  return [408, 429, 500, 502, 503, 504].includes(error.status) || passingCodes.has(error.code);
}

type Meaning = { code: ErrorCode; text: string; hint?: string };

const setThem = 'set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for temporary ones, AWS_SESSION_TOKEN';

const meanings: Record<string, Meaning> = {
  NoSuchBucket: { code: 'E_NOT_FOUND', text: 'there is no such bucket', hint: 'create the bucket, or correct its name' },
  NoSuchKey: { code: 'E_NOT_FOUND', text: 'there is no such object' },
  NoSuchUpload: {
    code: 'E_NOT_FOUND',
    text: 'the upload is no longer known to the server',
    hint: 'run the command again: it begins the upload anew',
  },
  AccessDenied: {
    code: 'E_ACCESS',
    text: 'access denied',
    hint: 'the credentials need s3:GetObject and s3:ListBucket (to write also s3:PutObject) there',
  },
  AllAccessDisabled: { code: 'E_ACCESS', text: 'access is disabled' },
  InvalidAccessKeyId: { code: 'E_ACCESS', text: 'the access key is unknown to the server', hint: setThem },
  SignatureDoesNotMatch: { code: 'E_ACCESS', text: 'the secret key does not belong to the access key', hint: setThem },
  ExpiredToken: { code: 'E_ACCESS', text: 'the credentials have expired', hint: 'get new ones, and start the command again with them' },
  InvalidToken: { code: 'E_ACCESS', text: 'the session token is not valid', hint: setThem },
  RequestTimeTooSkewed: {
    code: 'E_ACCESS',
    text: "the clock of this machine differs from the server's by more than it allows",
    hint: 'set the clock, e.g. with chrony or systemd-timesyncd',
  },
  InvalidObjectState: { code: 'E_ACCESS', text: 'the object lies in an archive', hint: 'restore it in the object store first' },
  NoSuchVersion: { code: 'E_CHANGED', text: 'the object was replaced while it was read' },
  PreconditionFailed: { code: 'E_CHANGED', text: 'the object was replaced while it was read' },
  InvalidRange: { code: 'E_CHANGED', text: 'the object was replaced by a shorter one while it was read' },
  EntityTooLarge: { code: 'E_ARGUMENT', text: 'it is larger than the server takes' },
  QuotaExceeded: { code: 'E_NO_SPACE', text: 'the quota of the bucket is used up' },
  XMinioStorageFull: { code: 'E_NO_SPACE', text: 'the server is full' },
};

/** The error for `what` (s3://…), which the last try ended with. Passes through what is a SluiceError already. */
export function asS3Error(error: unknown, what: string, config: S3Config, tries = 1): SluiceError {
  if (error instanceof SluiceError) return error;
  const after = tries > 1 ? ` (tried ${tries} times)` : '';
  if (error instanceof BrokenAnswer)
    return new SluiceError('E_IO', `${what}: ${hostOf(config)} answers wrongly: ${error.message}${after}`, { cause: error });
  if (!(error instanceof S3Refusal)) {
    const { message, code } = error as NodeJS.ErrnoException;
    const hint = untrusted.test(code ?? '')
      ? 'NODE_EXTRA_CA_CERTS=<file> adds a certificate authority'
      : 'is the endpoint right, and does the server run? AWS_ENDPOINT_URL_S3 or storage.s3.endpoint names another than that of AWS';
    return new SluiceError('E_UNREACHABLE', `${what}: ${hostOf(config)} does not answer: ${(message || code || '').trim()}${after}`, {
      hint,
      cause: error,
    });
  }
  const { status, code, message, region } = error;
  if (status === 301 || status === 307 || code === 'PermanentRedirect' || code === 'AuthorizationHeaderMalformed') {
    const hint = region === undefined ? 'set AWS_REGION to the region of the bucket' : `set AWS_REGION to ${region}`;
    const place = region === undefined ? `not in ${config.region}` : `in ${region}, not in ${config.region}`;
    return new SluiceError('E_ARGUMENT', `${what}: the bucket is ${place}`, { hint, cause: error });
  }
  const meaning = Object.hasOwn(meanings, code) ? meanings[code]! : status === 404 ? meanings['NoSuchKey']! : undefined;
  if (meaning === undefined) {
    const said = [code, message].filter((text) => text !== '').join(': ') || 'no reason';
    return new SluiceError('E_IO', `${what}: ${hostOf(config)} answered ${status}, ${said}${after}`, { cause: error });
  }
  const unsigned = meaning.code === 'E_ACCESS' && config.credentials === undefined;
  const hint = unsigned ? `no credentials are set: ${setThem}` : meaning.hint;
  return new SluiceError(meaning.code, `${what}: ${meaning.text}${after}`, { ...(hint === undefined ? {} : { hint }), cause: error });
}

/** Whether an error says that a bucket is missing, which does not mean that nothing is there yet. */
export const isMissingBucket = (error: unknown): boolean =>
  error instanceof SluiceError && error.cause instanceof S3Refusal && error.cause.code === 'NoSuchBucket';
