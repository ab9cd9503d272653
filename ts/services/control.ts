// A dataset has one writer. While that is a process in production, others ask it to delete and to compact, through a socket in the data folder that
// only the folder's owner can open.
import { chmod, mkdir, open, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import { dirname, join } from 'node:path';
import { type ErrorCode, SluiceError } from '../errors.js';
import { Dataset } from '../native/dataset.js';
import { deleteWaiting, type WhatWaits } from '../pipeline/delete-waiting.js';
import { asSluiceError, exists, type Folders, foldersOf } from '../pipeline/folders.js';
import { Journal } from '../pipeline/journal.js';
import {
  type Administration,
  type AdministrationPath,
  type Compacted,
  type Deleted,
  deleteWanted,
  forgetReadObjects,
  isAdministration,
  type Wanted,
} from './administration.js';

const maxBodyBytes = 2 ** 26;
/** A Unix-domain address has 108 bytes. */
const maxAddress = 100;

export class ControlService {
  readonly #server: Server;
  readonly #administration: Administration;

  private constructor(administration: Administration) {
    this.#administration = administration;
    this.#server = createServer((request, response) => {
      request.on('error', () => {});
      response.on('error', () => {});
      this.#answer(request, response).catch((error: unknown) => refuse(response, error));
    });
  }

  /** Opens the dataset's socket. Who calls holds the right to write to the dataset: what is there was left by a process that was killed. */
  static async listen(folders: Folders, dataset: string, administration: Administration): Promise<ControlService> {
    const path = folders.controlSocket(dataset);
    const service = new ControlService(administration);
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await rm(path, { force: true });
      await withAddress(path, (address) => {
        return new Promise<void>((resolve, reject) => {
          service.#server.once('error', reject);
          service.#server.listen(address, resolve);
        });
      });
      await chmod(path, 0o600);
    } catch (error) {
      throw asSluiceError(error, `listen at ${path}`);
    }
    return service;
  }

  /** Takes no more requests and waits for those under way, at most `graceMs`. */
  async close(graceMs = 5000): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    const timer = setTimeout(() => this.#server.closeAllConnections(), graceMs);
    await closed;
    clearTimeout(timer);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '';
    if (request.method !== 'POST' || !isAdministration(path)) throw new SluiceError('E_NOT_FOUND', `there is no ${request.method} ${path}`);
    const answer = await this.#administration.answer(path, await bodyOf(request), goneOf(response));
    reply(response, 200, { ...answer, pid: process.pid });
  }
}

/** Aborts when the connection ends before the answer is sent. */
export function goneOf(response: ServerResponse): AbortSignal {
  const gone = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) gone.abort();
  });
  return gone.signal;
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) throw new SluiceError('E_ARGUMENT', `a request has at most ${maxBodyBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function reply(response: ServerResponse, status: number, value: object): void {
  response.writeHead(status, { 'Content-Type': 'application/json', Connection: 'close' }).end(JSON.stringify(value));
}

function refuse(response: ServerResponse, error: unknown): void {
  if (response.headersSent) return void response.destroy();
  const { code, hint } = error instanceof SluiceError ? error : { code: 'E_INTERNAL', hint: undefined };
  reply(response, 500, { error: { code, message: error instanceof Error ? error.message : String(error), hint } });
}

/** Calls `work` with an address of the socket at `path` that is short enough. */
async function withAddress<T>(path: string, work: (address: string) => Promise<T>): Promise<T> {
  if (Buffer.byteLength(path) <= maxAddress) return await work(path);
  const folder = await open(dirname(path), 'r');
  try {
    return await work(`/proc/self/fd/${folder.fd}/${path.slice(dirname(path).length + 1)}`);
  } finally {
    await folder.close();
  }
}

// --- who asks --------------------------------------------------------------------------------------------------------

/** `by`: id of the process in production that did it; null: this one. */
export type By = { by: number | null };

/**
 * Deletes samples of a dataset, by the process that has it in production where there is one; durable when it resolves. E_NOT_FOUND, E_USAGE,
 * E_ARGUMENT for keys that do not exist, E_LOCKED while it is ingested, E_ABORTED, E_IO, E_READ_ONLY, E_NO_SPACE.
 */
export async function deleteSamples(
  dataFolder: string,
  id: string,
  wanted: Wanted,
  { signal }: { signal?: AbortSignal } = {},
): Promise<Deleted & By> {
  const folders = foldersOf(dataFolder);
  return await ownOrAsk<Deleted>(folders, id, '/v1/delete', wanted, signal, async () => {
    using dataset = Dataset.open(folders.dataset(id));
    const removeWaiting = (what: WhatWaits) => deleteWaiting(dataset, folders.waiting(id), what);
    const journal = (await exists(folders.state)) ? await Journal.open(folders.state) : undefined;
    try {
      return await deleteWanted(dataset, { id, folders, journal, removeWaiting }, wanted, signal);
    } finally {
      await journal?.close();
    }
  });
}

/** Dataset.compact(), by the process that has the dataset in production where there is one; with `copy` by this one only. */
export async function compactDataset(
  dataFolder: string,
  id: string,
  { copy = false, signal, onProgress }: { copy?: boolean; signal?: AbortSignal; onProgress?: (done: number) => void } = {},
): Promise<Compacted & By> {
  const folders = foldersOf(dataFolder);
  const own = async (): Promise<Compacted> => {
    const report = await Dataset.compact(folders.dataset(id), {
      copy,
      signal,
      onProgress: ({ segments, totalSegments }) => onProgress?.(segments / Math.max(1, totalSegments)),
    });
    await forgetReadObjects(folders);
    return { dataset: id, ...report };
  };
  return copy ? { ...(await own()), by: null } : await ownOrAsk<Compacted>(folders, id, '/v1/compact', {}, signal, own);
}

async function ownOrAsk<T extends object>(
  folders: Folders,
  id: string,
  path: AdministrationPath,
  value: object,
  signal: AbortSignal | undefined,
  own: () => Promise<T>,
): Promise<T & By> {
  try {
    return { ...(await own()), by: null };
  } catch (error) {
    if (!(error instanceof SluiceError) || error.code !== 'E_LOCKED') throw error;
    const answer = await ask(folders.controlSocket(id), path, value, signal);
    if (answer === undefined) throw error;
    const { pid, ...rest } = answer;
    return { ...(rest as T), by: pid };
  }
}

type Answer = { pid: number; error?: { code: ErrorCode; message: string; hint?: string } };

/** Undefined where nobody listens. */
async function ask(path: string, url: AdministrationPath, value: object, signal: AbortSignal | undefined): Promise<Answer | undefined> {
  try {
    const answer = await withAddress(path, (address) => post(address, url, JSON.stringify(value), signal));
    if (answer.error === undefined) return answer;
    const { code, message, hint } = answer.error;
    throw new SluiceError(code, message, hint === undefined ? {} : { hint });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ECONNREFUSED') return undefined;
    if (error instanceof SluiceError) throw error;
    if (signal?.aborted) throw new SluiceError('E_ABORTED', 'stopped on request');
    if (code === 'EACCES') throw new SluiceError('E_READ_ONLY', `${path}: only the user of the process in production may ask it`);
    const hint = 'ask again: what was deleted before stays deleted';
    throw new SluiceError('E_IO', `the process in production did not answer: ${(error as Error).message}`, { hint, cause: error });
  }
}

function post(socketPath: string, path: string, body: string, signal: AbortSignal | undefined): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, path, method: 'POST', ...(signal === undefined ? {} : { signal }) }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('error', reject);
      response.on('end', () => {
        try {
          resolve(JSON.parse(text));
        } catch (error) {
          reject(error);
        }
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}
