// The experiment of the harness: a small file with all that is recorded, stored and evaluated on the way.

/** YAML of pipeline p over dataset d from d.csv. */
export const experiment = ({ batchSize, epochs, everySteps, samples, window }) => `pipeline: { id: p, seed: 3, threads: 1 }
dataset:
  id: d
  source: { format: csv, path: d.csv }
  time: { column: t }
  label: { column: y }
  columns: { x: f32, c: category }
features: { dense: [{ column: x }], categorical: [{ column: c, buckets: 16 }] }
model: { id: dlrm, embedding: 4, bottom: [8], top: [8] }
training: { batchSize: ${batchSize}, epochs: ${epochs}, optimizer: { id: adam, lr: 0.01 }, checkpoint: { everySteps: ${everySteps} }, record: [loss] }
trigger: { id: amount, samples: ${samples} }
selection: { id: recorded, by: loss, ratio: 0.6, reset: true }
evaluation: { window: ${window} }
`;
