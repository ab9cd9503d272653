// The pictures of a run as SVG documents. Loads the chart library: import it when pictures are wanted, not before.
export { freshnessChart } from './chart-freshness.js';
export { matrixChart } from './chart-matrix.js';
export { timelineChart } from './chart-timeline.js';
