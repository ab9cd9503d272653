// A worker thread of ParserPool: loads the user's parser and serves its queue until it is closed.
import { workerData } from 'node:worker_threads';
import { loadModule } from '../config/modules.js';
import { serveParser } from '../native/parser.js';
import type { ParserWork } from './parsers.js';

const { queue, shape, file, config } = workerData as ParserWork;
const { value: parser } = await loadModule(file, '/', 'parser');
// Again, for what a schema makes of it need not survive the way into a thread.
const own = parser.config.parse(config);
await serveParser(queue, shape, (bytes, sample) => parser.parse(bytes, sample, own));
