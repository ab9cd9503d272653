// The pipeline file that `sluice init --production` writes: samples are pushed, a model is trained as they arrive. It runs as it is.
import { schemaFileName } from './template.js';

export const productionTemplate = `# yaml-language-server: $schema=./${schemaFileName}
#
# A Sluice pipeline in production: samples arrive by HTTP while models are trained. Start it with: sluice serve pipeline.yaml
# Send samples:
#   curl -sS http://127.0.0.1:8080/v1/samples -H 'Content-Type: application/x-ndjson' --data-binary @samples.jsonl
# with lines such as {"at":"2026-01-05T10:00:00Z","page":"home","price":1.5,"clicked":0}
# All fields, and what they may be: sluice init other.yaml

pipeline:
  id: clicks                    # models and reports are kept under this name
  seed: 1

dataset:
  id: clicks
  source: { format: push }
  time: { column: at }          # ISO 8601, or numbers with unit: ms
  label: { column: clicked }    # 0 or 1; classes: 5, or real: true
  columns: { page: category, price: f32 }

features:
  dense:
    - { column: price, log: true }
    - { time: sin-day }
    - { time: cos-day }
  categorical:
    - { column: page, buckets: 10000 }

model: { id: dlrm, embedding: 16, bottom: [32], top: [64, 32] }

training:
  batchSize: 512
  optimizer: { mlp: { id: adam, lr: 0.001 }, embedding: { id: adagrad, lr: 0.02 } }
  checkpoint: { everySeconds: 60 }
  start: previous               # each training goes on from the model before

trigger: { id: amount, samples: 10000 }    # or by the samples' time: { id: time, every: 1h }
selection: { id: new-data }
evaluation: { window: 1h }      # each window of time is evaluated on the model before it

serve:
  pending: merge                # of triggers that fire while a model is trained only the newest is: queue | merge | drop
  http:
    port: 8080
    # host: 0.0.0.0             # for others than this machine; asks for a token
    # token: env:SLUICE_TOKEN   # the environment variable with what senders must know
    # admin: env:SLUICE_ADMIN   # and the one for those who delete samples by HTTP
    # tls: { cert: cert.pem, key: key.pem }
`;
