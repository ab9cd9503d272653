// Section `storage` of the pipeline file: how objects of s3:// paths are reached and kept. Credentials are no part of it.
import { z } from 'zod';

const gibibyte = 2 ** 30;

/** Of the cache, where the pipeline names none. */
export const defaultCacheGiB = 10;

const s3 = z
  .strictObject({
    endpoint: z
      .string()
      .regex(/^https?:\/\/[^\s/?#@]+(\/[^\s?#]*)?$/, { error: 'expected an address such as https://s3.example.org:9000' })
      .optional()
      .describe('Address of the server. Default: AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL of the environment, else AWS.'),
    region: z
      .string()
      .regex(/^[a-zA-Z0-9-]{1,64}$/)
      .optional()
      .describe('Default: AWS_REGION of the environment, else us-east-1.'),
    pathStyle: z
      .boolean()
      .optional()
      .describe('Whether buckets stand in the path of addresses or in the name of the host. Default: in the path, unless it is AWS.'),
  })
  .describe(
    'An S3-compatible object store. Credentials: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN of the environment.',
  );

export const storage = z
  .strictObject({
    s3: s3.optional(),
    cacheGiB: z
      .number()
      .min(0)
      .max(1_000_000)
      .default(defaultCacheGiB)
      .describe('Disk space below the data folder for what was read of objects, GiB; 0: none.'),
  })
  .describe('Object stores: paths of the source that begin with s3://.');

export type StorageConfig = z.output<typeof storage>;

/** Bytes of the cache. */
export const cacheBytes = (config: StorageConfig | undefined): number => Math.floor((config?.cacheGiB ?? defaultCacheGiB) * gibibyte);
