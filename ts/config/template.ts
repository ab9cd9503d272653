// The pipeline file that `sluice init` writes: complete, explained, and it runs as it is.

/** Name of the JSON Schema file that the template's first line points editors to. */
export const schemaFileName = 'sluice.schema.json';

export const pipelineTemplate = `# yaml-language-server: $schema=./${schemaFileName}
#
# A Sluice pipeline: which data, which model, when to train, on what. Three million flights of 2001 by day; the model
# predicts delays and is trained week by week on the new flights.
# Durations: 30s 15m 6h 1d 1w. All times are UTC. Fields behind a # are optional; they show their default or an example.

pipeline:
  id: flights-weekly            # models and reports are kept under this name
  seed: 42                      # start of every random choice (default 0)
  # threads: 2                  # compute threads (default: all cores)

dataset:
  id: flights                   # pipelines with the same dataset share its stored samples
  source:
    format: parquet             # parquet | csv | jsonl | webdataset | images | binary | criteo | criteo-tsv | push
    # A path or a list of paths in the order of arrival, relative to this file. npm:<package>/<path> is a file of an
    # installed package (this one: npm install vega-datasets).
    path: npm:vega-datasets/data/flights-3m.parquet
    # delimiter: ";"            # of csv (default: what the header row shows)
    # Other sources: folders of pictures (columns image, path, label, time), records of fixed width, Criteo as DLRM has it
    # { format: images, path: data/*, labels: labels.csv, timePattern: "{YYYY}-{MM}-{DD}" } or with timeFrom: exif
    # { format: binary, path: data/*.bin, skip: 0, fields: [{ name: image, type: uint8, shape: [3, 32, 32], permute: [1, 2, 0] }] }
    # { format: criteo, path: data/criteo, splits: [train], inPlace: true } trains from the files where they lie; so does binary
    # { format: criteo-tsv, path: data/day_*, start: 2024-01-01, days: 1, missing: 0 } has columns label, I1 to I13, C1 to C26, time
  # module: ./my-source.ts      # instead of source: a module of yours, made with defineSource()
  time:
    column: date
    # unit: ms                  # of number columns: s | ms | us | ns | min | h | d; dates and ISO text need none
    # format: YYMMDDHH          # instead of unit: how the time is written, from YYYY or YY, MM, DD, HH, mm, ss
    # start: 2024-01-01         # instead of column: data without times; the n-th sample gets start + n * step
    # step: 1s
  label:
    column: delay               # alone: a column of 0 and 1
    atLeast: 15                 # 1 where delay >= 15 minutes, else 0
    # classes: 5                # instead of atLeast: an integer column 0 to 4, or a list of class names
    # real: true                # instead of atLeast: the number itself (a regression)
    # time: { column: known }   # of files: when the label became known; samples arrive in this order
    # late: { id: trip, within: 7d, missing: drop }   # of pushed samples: the label comes later, by id (see docs/operations.md)
  columns:                      # what is stored: f32 | i32 | category, or one of
    # { tensor: u8, shape: [32, 32, 3] }   { image: [224, 224, 3], fit: cover, onError: fail }   { bytes: 1000 }
    # { tokens: 128, tokenizer: ./tokenizer.json }   { tokens: 128, hash: 30000 }   { category: 1000 } (codes as they are)
    # { hash: 1000000 } (hashed to that many codes)   { category, atLeast: 15 } (a code of its own when seen for the 15th time)
    distance: f32
    origin: category
    destination: category

features:                       # what the model sees
  dense:                        # numbers: (x - mean) * scale, with log: true (log(1 + x) - mean) * scale
    - { column: distance, mean: 730, scale: 0.002, log: false }
    # - { column: distance, min: 0, max: 2500 }          # clipped first
    - { time: sin-day }         # sin-day | cos-day | sin-year | cos-year
    - { time: cos-day }
  categorical:                  # each has an embedding table with this many rows (buckets)
    - { column: origin, buckets: 512 }
    - { column: destination, buckets: 512 }
    - { cross: [origin, destination], buckets: 16384 }   # the combination of two columns, hashed
    # - { column: distance, boundaries: [250, 500, 1000] }   # the number of boundaries below the value
    - { time: hour }            # hour | weekday | month
    - { time: weekday }
  # Models of images, tensors or text take one of these instead:
  # image: { column: photo, crop: random, size: [32, 32], pad: 4, flip: true, normalize: cifar10 }   # crop: none | center | random | random-resized
  # tensor: { column: signal, mean: 0.5, std: 0.25 }     # or normalize: imagenet | cifar10 | mnist
  # tokens: { column: words }
  # parse: { id: ./my-parser.ts, column: raw, dense: 4, categorical: [100], values: [28, 28, 1], ids: 128, threads: 2, seconds: 30, config: {} }

model:
  id: dlrm
  embedding: 16                 # width of an embedding
  bottom: [32]                  # hidden layers for dense features; a last one as wide as an embedding is added
  top: [64, 32]                 # hidden layers after the interaction; the output layer is added
  # { id: mlp, hidden: [64, 32] } takes dense features only
  # { id: resnet, depth: 18, stem: cifar } and { id: cnn } take features.image; { id: distilbert } and { id: bert } take features.tokens
  # { id: torchscript, file: ./model.pt, seconds: 60 } is any PyTorch model, exported with torch.jit.script(model).save("model.pt")

training:
  batchSize: 512
  epochs: 1
  # steps: 2000                 # optimizer steps of each training, or samples: 1000000, whatever the size of its set
  # accumulate: 4               # batches whose gradients are averaged for one step (default: 1)
  # clipNorm: 1                 # gradients are scaled down to this norm (default: not)
  optimizer:                    # one for all parameters, or one for each part as here
    mlp: { id: adam, lr: 0.001 }             # sgd (momentum, dampening, nesterov) | adagrad | adam | adamw (beta1, beta2); also eps, weightDecay
    embedding: { id: adagrad, lr: 0.02 }     # sgd | adagrad | rowwise-adagrad | adam
  # groups: [{ parameters: "top.*.bias", optimizer: { id: sgd, lr: 0.01 } }]   # parameters with another optimizer
  # schedule: { id: cosine, warmup: 100, warmupFrom: 0.1, hold: 0, length: 1000, end: 0, per: step }   # per: step | epoch
  #   constant | step (every, gamma) | cosine | polynomial (power) | one-cycle (rise, initialDivision, finalDivision)
  # criterion: bce              # bce | cross-entropy | mse | l1 | huber, or with { id, labelSmoothing | delta } (default: by the label)
  # earlyStop: { heldOut: 0.1, patience: 2, leastGain: 0 }   # ends a training that no longer gains on held-out samples
  # record: [loss, gradient-norm, confidence, margin, entropy]   # of each sample, for selection policies
  # inTraining: { keep: 0.5, score: gradient-norm, choice: sampled }   # trains on a part of each batch: by gradient-norm | loss | margin | entropy | uniform, sampled | greatest; mode: sample-then-batch scores the whole set before an epoch
  checkpoint: { everySeconds: 60 }           # also everySteps; a killed training goes on from the last one
  precision: fp32               # fp32 | bf16 | fp16
  # device: cpu                 # cpu | cuda | auto
  # deterministic: true         # false lets a GPU add up in any order where that is faster
  shuffle: global               # global: a new random order in every epoch | block: of blocks of shuffleBlock: 65536 samples | none
  # loader: { threads: 2, memory: 1024 }     # that read ahead, and MiB that they may take
  start: previous               # each training starts from the previous model | scratch: from random weights
  # first: ./pretrained.safetensors          # what the first training starts from (default: random weights)

trigger:                        # when to train: the id of a policy (see: sluice policies) or ./my-trigger.ts
  id: time
  every: 1w
  # start: 2001-01-01           # a date at which a period begins (default: the day of the first sample)
  # { id: amount, samples: 50000 } trains after every 50,000 samples

selection:                      # on what to train: the id of a policy or ./my-selection.ts
  id: new-data                  # new-data | all-data | uniform | freshness | recorded
  reset: true                   # true: samples since the previous trigger | false: all so far (default: by policy)
  # limit: 100000               # at most this many samples (default: no limit)
  # keep: latest                # what is kept of more: latest | uniform
  # { id: uniform, samples: 100000 }         a uniform sample, also as a part of all: ratio: 0.1
  # { id: recorded, by: loss, ratio: 0.1, choice: sampled }   by what training.record keeps: sampled | greatest | least
  # { id: freshness, ratio: 0.1, halfLife: 30d }   a sample that prefers recent data

evaluation:                     # every model is evaluated on windows of the stream
  window: 1w
  windows: following            # following: those after the model's trigger | all
  batchSize: 8192

replay:                         # experiment mode replays the stored samples
  batch: 8192                   # samples that arrive in one step
  # maxTriggers: 100            # stop early (default: no limit)

# storage:                      # paths of the source may begin with s3://bucket/; credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the environment
#   s3: { endpoint: "http://127.0.0.1:9000", region: us-east-1, pathStyle: true }   # default: AWS_ENDPOINT_URL and AWS_REGION, else AWS
#   cacheGiB: 10                # disk space for what was read of objects; 0: none
# serve:                        # production mode (sluice serve): samples arrive while models are trained
#   pending: queue              # triggers that fire meanwhile: queue | merge (only the newest is trained) | drop
#   watch: { every: 1s }        # new files of the source are ingested as they appear; manifest: true: those that a file *.manifest names
#   http: { port: 8080, host: 127.0.0.1, token: env:SLUICE_TOKEN, maxBytes: 16777216, maxPending: 268435456 }   # pushed samples
#   # http and grpc also take tls: { cert: cert.pem, key: key.pem }; http takes admin: env:SLUICE_ADMIN, the token of those who delete and compact
#   grpc: { port: 8081 }        # the same fields
#   nats: { url: nats://127.0.0.1:4222, stream: samples, subject: samples.>, token: env:NATS_TOKEN, batch: 5000 }   # messages of NATS JetStream
#   kafka: { brokers: [127.0.0.1:9092], topic: samples, from: earliest, batch: 20000, maxBytes: 4194304, maxWait: 1s }   # records of a topic of Kafka
#   # also: tls: true | { ca: ca.pem, cert: cert.pem, key: key.pem }, sasl: { mechanism: scram-sha-512, username: sluice, password: env:KAFKA_PASSWORD }
`;
