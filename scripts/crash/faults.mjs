// Faults in a program's files: builds faults.c and speaks with it through shared memory. Its reader of records is operations.mjs.
import { closeSync, mkdirSync, openSync, readSync, realpathSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { buildFolder, fingerprint, root, runQuiet, unlessStamped } from '../lib/run.mjs';

const library = join(buildFolder, 'crash/faults.so');

/** Kinds of operations, as in faults.c. */
export const kinds = { write: 1, sync: 2, size: 4, rename: 8, create: 16, remove: 32, read: 64 };
export const changes = kinds.write | kinds.sync | kinds.size | kinds.rename | kinds.create | kinds.remove;
/** What a full disk refuses. */
export const growth = kinds.write | kinds.size | kinds.create;
export const actions = { killBefore: 1, killHalfway: 2, killAfter: 3, fail: 4, short: 5 };
export const errors = { EIO: 5, ENOSPC: 28 };

/** Compiles the library when it is not there or faults.c changed. */
export function buildFaults() {
  mkdirSync(join(buildFolder, 'crash'), { recursive: true });
  unlessStamped('faults', fingerprint(['scripts/crash/faults.c']), ['build/crash/faults.so'], () =>
    runQuiet(
      'cc',
      ['-O2', '-fPIC', '-shared', '-Wall', '-Wextra', '-o', library, join(root, 'scripts/crash/faults.c'), '-ldl'],
      'cc could not build it.',
    ),
  );
}

/** The memory that a process under faults.c shares with whoever sets its faults: struct Control. Works from within that process, too. */
export class Control {
  #fd;

  /** Makes the file, or with `existing` opens it. */
  constructor(path, existing = false) {
    this.#fd = openSync(path, existing ? 'r+' : 'w+');
    if (!existing) this.#put(0, Buffer.alloc(48));
  }

  #put(at, bytes) {
    writeSync(this.#fd, bytes, 0, bytes.length, at);
  }

  #number(at) {
    const bytes = Buffer.alloc(8);
    readSync(this.#fd, bytes, 0, 8, at);
    return Number(bytes.readBigInt64LE());
  }

  /** Counts operations of these kinds anew; at the n-th `action` happens (0: never), with `lasting` to all later ones, too. */
  arm({ at = 0, action = 0, error = 0, of = changes, lasting = false }) {
    const bytes = Buffer.alloc(32);
    bytes.writeBigInt64LE(BigInt(at), 8);
    bytes.writeUInt32LE(action, 16);
    bytes.writeUInt32LE(error, 20);
    bytes.writeUInt32LE(of, 24);
    bytes.writeUInt32LE(lasting ? 1 : 0, 28);
    this.#put(40, Buffer.alloc(8));
    this.#put(0, bytes);
  }

  disarm() {
    this.#put(8, Buffer.alloc(8));
  }

  get count() {
    return this.#number(0);
  }

  get happened() {
    return this.#number(40);
  }

  /** Sets the clock of the processes ahead by so many milliseconds. */
  set clockMs(ms) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(ms) * 1_000_000n);
    this.#put(32, bytes);
  }

  close() {
    closeSync(this.#fd);
  }
}

/** The environment of a process whose files below `folder` are watched. `control`: the file of a Control. */
export function faultEnv(folder, { control, log, sync = true }) {
  return {
    ...process.env,
    LD_PRELOAD: library,
    SLUICE_FAULT_FOLDER: realpathSync(folder),
    ...(control === undefined ? {} : { SLUICE_FAULT_CONTROL: control }),
    ...(log === undefined ? {} : { SLUICE_FAULT_LOG: log }),
    ...(sync ? {} : { SLUICE_FAULT_NO_SYNC: '1' }),
  };
}
