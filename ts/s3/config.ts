// Where an S3-compatible object store is reached, and with which credentials.
import { SluiceError } from '../errors.js';

/** What a pipeline file may say. */
export type S3Settings = { endpoint?: string | undefined; region?: string | undefined; pathStyle?: boolean | undefined };

export type Credentials = { accessKeyId: string; secretAccessKey: string; sessionToken?: string };

export type S3Config = {
  /** Without one it is AWS. */
  endpoint: URL | undefined;
  region: string;
  /** Buckets are in the path of addresses, not in the name of the host. */
  pathStyle: boolean;
  /** Undefined: requests are not signed, as for public buckets. */
  credentials: Credentials | undefined;
};

/**
 * Settings, else the standard variables of the environment: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_REGION, AWS_DEFAULT_REGION. Credentials come from
 * AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN only. E_ARGUMENT, E_ACCESS for what cannot be used.
 */
export function s3Config(settings: S3Settings = {}, env: NodeJS.ProcessEnv = process.env): S3Config {
  const given = settings.endpoint ?? named(env, 'AWS_ENDPOINT_URL_S3') ?? named(env, 'AWS_ENDPOINT_URL');
  const endpoint = given === undefined ? undefined : endpointOf(given);
  const region = settings.region ?? named(env, 'AWS_REGION') ?? named(env, 'AWS_DEFAULT_REGION') ?? 'us-east-1';
  if (!/^[a-z0-9-]{1,64}$/i.test(region)) throw new SluiceError('E_ARGUMENT', `S3: expected a region such as eu-central-1, got ${region}`);
  return { endpoint, region, pathStyle: settings.pathStyle ?? endpoint !== undefined, credentials: credentialsOf(env) };
}

const named = (env: NodeJS.ProcessEnv, name: string): string | undefined => env[name] || undefined;

function endpointOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && /^https?:$/.test(url.protocol) && url.search === '' && url.hash === '' && url.username === '') return url;
  throw new SluiceError('E_ARGUMENT', `S3: expected an endpoint such as https://s3.example.org:9000, got ${text}`);
}

function credentialsOf(env: NodeJS.ProcessEnv): Credentials | undefined {
  const [accessKeyId, secretAccessKey] = [named(env, 'AWS_ACCESS_KEY_ID'), named(env, 'AWS_SECRET_ACCESS_KEY')];
  if (accessKeyId === undefined && secretAccessKey === undefined) return undefined;
  if (accessKeyId === undefined || secretAccessKey === undefined)
    throw new SluiceError('E_ACCESS', 'S3: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together, and only one of them is set');
  const sessionToken = named(env, 'AWS_SESSION_TOKEN');
  if (/[^\x21-\x7e]/.test(`${accessKeyId}${secretAccessKey}${sessionToken ?? ''}`))
    throw new SluiceError('E_ACCESS', 'S3: the credentials of the environment hold a blank or another character that cannot be in them');
  return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
}

/** The host, for people. */
export const hostOf = ({ endpoint, region }: S3Config): string => endpoint?.origin ?? `S3 of AWS in ${region}`;
