// Section `serve` of the pipeline file: production mode.
import { z } from 'zod';
import { duration } from '../base/durations.js';
import { filePath, whole } from './fields.js';

const mebibyte = 2 ** 20;

const secret = z
  .string()
  .regex(/^env:[A-Za-z_][A-Za-z0-9_]*$/, { error: 'expected env:NAME, the environment variable that holds the secret' });

const tls = z
  .strictObject({
    cert: filePath.describe('Certificate and those between it and the root, PEM; relative to the pipeline file.'),
    key: filePath.describe('Its private key, PEM.'),
  })
  .describe('Connections are encrypted (TLS 1.2 or later). The files are read at the start.');

const listening = {
  port: whole(0, 65_535).describe('TCP port; 0: a free one, which is told when it is open.'),
  host: z.string().min(1).max(256).default('127.0.0.1').describe('Address to listen at.'),
  token: secret.optional().describe('Who pushes samples must know it: env:NAME is the environment variable that holds it.'),
  tls: tls.optional(),
  maxBytes: whole(1024, 1024 * mebibyte)
    .default(16 * mebibyte)
    .describe('Largest body of a request, bytes, also once it is decompressed.'),
  maxPending: whole(1024, 65_536 * mebibyte)
    .default(256 * mebibyte)
    .describe('Bytes of requests that may be under way; beyond them clients are asked to come again later.'),
};

const safe = ({ host, token }: { host: string; token?: string | undefined }) =>
  token !== undefined || /^(127\.\d+\.\d+\.\d+|::1|localhost)$/.test(host);
const unsafe = { error: 'is missing; expected env:NAME, because others than this machine can reach the host', path: ['token'] };

const http = z
  .strictObject({
    ...listening,
    admin: secret
      .optional()
      .describe('Who deletes and compacts must know it. Without it that is refused by HTTP; the command line needs none.'),
  })
  .refine(safe, unsafe)
  .describe('Samples are pushed, and the state is asked for, by HTTP.');

const grpc = z.strictObject(listening).refine(safe, unsafe).describe('Samples are pushed by gRPC.');

const nats = z
  .strictObject({
    url: z
      .string()
      .regex(/^(nats|tls):\/\/[^\s/]+$/, { error: 'expected an address such as nats://127.0.0.1:4222' })
      .default('nats://127.0.0.1:4222')
      .describe('Address of the server.'),
    stream: z
      .string()
      .regex(/^[^\s.*>/\\]{1,128}$/, { error: 'expected the name of a stream, without spaces, dots, *, > and slashes' })
      .describe('Name of the JetStream stream. Its sequence numbers are kept beside the samples.'),
    subject: z
      .string()
      .regex(/^[^\s]{1,256}$/)
      .optional()
      .describe('Only messages of this subject (* and > stand for words). Default: all of the stream.'),
    token: secret.optional().describe('Token of the server: env:NAME is the environment variable that holds it.'),
    batch: whole(1, 100_000).default(5000).describe('Messages that are appended together at most.'),
  })
  .describe('Samples are taken from NATS JetStream, each exactly once. A message is a JSON object, or several as JSON lines.');

const broker = z.string().regex(/^([A-Za-z0-9._-]{1,255}|\[[0-9a-fA-F:]+\]):\d{1,5}$/, { error: 'expected host:port' });

const kafka = z
  .strictObject({
    brokers: z
      .array(broker)
      .min(1)
      .max(100)
      .default(['127.0.0.1:9092'])
      .describe('Some of the brokers, as host:port; they tell the others.'),
    topic: z
      .string()
      .regex(/^(?!\.\.?$)[A-Za-z0-9._-]{1,249}$/, { error: 'expected the name of a topic: letters, digits, dots, dashes and underscores' })
      .describe('Name of the topic. The next offset of each of its partitions is kept beside the samples.'),
    from: z
      .enum(['earliest', 'latest'])
      .default('earliest')
      .describe('Where the topic is begun: with the oldest record that it holds, or with those that arrive from now on.'),
    batch: whole(1, 100_000).default(20_000).describe('Records that are appended together at most.'),
    maxBytes: whole(1024, 256 * mebibyte)
      .default(4 * mebibyte)
      .describe('Bytes that a broker sends at a time.'),
    maxWait: duration
      .refine((ms) => ms <= 10_000, { error: 'expected at most 10s' })
      .prefault('1s')
      .describe('Longest time that a broker waits for records before it answers; one that has some answers at once.'),
    tls: z
      .union([
        z.boolean(),
        z.strictObject({
          ca: filePath.optional().describe("File of certificates that the brokers' are signed with. Default: those that Node.js knows."),
          cert: filePath.optional().describe('File of our certificate.'),
          key: filePath.optional().describe('File of its key.'),
        }),
      ])
      .optional()
      .describe('Brokers are spoken to by TLS.'),
    sasl: z
      .strictObject({
        mechanism: z.enum(['plain', 'scram-sha-256', 'scram-sha-512']).describe('How the password is told.'),
        username: z.string().min(1).max(256).describe('Name.'),
        password: secret.describe('Password: env:NAME is the environment variable that holds it.'),
      })
      .optional()
      .describe('Brokers are told who we are.'),
  })
  .describe(
    'Samples are taken from a topic of Kafka, each exactly once, without a consumer group. A record is a JSON object, or several as JSON lines.',
  );

export type KafkaConfig = z.output<typeof kafka>;

const watch = z
  .strictObject({
    every: duration.prefault('1s').describe('Longest time until a new file is noticed.'),
    manifest: z
      .union([z.literal(true), z.string().regex(/^[^/\0]{1,256}$/)], {
        error: 'expected true or the name of the manifests, e.g. *.manifest',
      })
      .transform((name) => (name === true ? '*.manifest' : name))
      .optional()
      .describe(
        'Only files that a manifest in their folder names, a path on each line, are taken: several appear at once. true: *.manifest.',
      ),
  })
  .describe("New files of the dataset's source are ingested as they appear.");

export const serve = z
  .strictObject({
    pending: z
      .enum(['queue', 'merge', 'drop'])
      .default('queue')
      .describe(
        'Triggers that fire while a model is trained: queue trains every one; merge only the newest that waits; drop none, their samples go into the next training.',
      ),
    http: http.optional(),
    grpc: grpc.optional(),
    watch: watch.optional(),
    nats: nats.optional(),
    kafka: kafka.optional(),
  })
  .describe('Production mode: how samples arrive in sluice serve.');
