// What a disk may hold after the power was cut. Of a file only what was synced, or written with O_DSYNC, is sure to be there; of each write
// since then all, nothing, or any sectors of 512 bytes may be, and the file's length may have been noted without the bytes. Names (new files,
// renamed and removed ones) are sure once their folder was synced; of those since then the first ones of each folder may be, in order.
// Everything else that file systems promise beyond this is not relied on. After the model of T. S. Pillai et al., "All file systems are not
// created equal: on the complexity of crafting crash-consistent applications", OSDI 2014.
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { types } from './operations.mjs';

const sectorBytes = 512;

class File {
  pending = []; // since it was synced: { offset, data, sure } and { size }

  constructor(bytes = Buffer.alloc(0)) {
    this.durable = bytes;
  }

  /** The bytes with what `keep` leaves of each pending change. */
  bytes(keep) {
    let bytes = Buffer.from(this.durable);
    for (const change of this.pending) bytes = applied(bytes, change, change.sure ? 'all' : keep(change));
    return bytes;
  }

  sync() {
    this.durable = this.bytes(() => 'all');
    this.pending = [];
  }
}

class Folder {
  pending = []; // since it was synced: changes of `entries`

  constructor(entries = new Map()) {
    this.entries = entries;
    this.durable = new Map(entries);
  }

  /** The entries with the first `n` pending changes; of two that are one, `kept` says whether the other is there. */
  after(n, kept = () => true) {
    const entries = new Map(this.durable);
    for (const change of this.pending.slice(0, n))
      if (change.with === undefined || change.with.durable || kept(change.with)) change.apply(entries);
    return entries;
  }

  /** `with`: the change of another folder without which this one does not happen. */
  change(apply, other) {
    apply(this.entries);
    const change = { apply, folder: this, durable: false, with: other };
    this.pending.push(change);
    return change;
  }

  sync() {
    const pending = this.pending;
    this.pending = [];
    this.durable = new Map(this.entries);
    for (const change of pending) {
      change.durable = true;
      if (change.with?.durable === false) change.with.folder.sync();
    }
  }
}

function sized(bytes, size) {
  if (size <= bytes.length) return bytes.subarray(0, size);
  return Buffer.concat([bytes, Buffer.alloc(size - bytes.length)]);
}

/** `how`: all, nothing, size (zeros where the file grew), or a function that says which sectors of a write are kept. */
function applied(bytes, { size, offset, data }, how) {
  if (how === 'nothing') return bytes;
  if (size !== undefined) return sized(bytes, size);
  const end = offset + data.length;
  const grown = end > bytes.length ? sized(bytes, end) : bytes;
  if (how === 'size') return grown;
  for (let from = offset; from < end; ) {
    const to = Math.min(end, (Math.floor(from / sectorBytes) + 1) * sectorBytes);
    if (how === 'all' || how()) data.copy(grown, from, from - offset, to - offset);
    from = to;
  }
  return grown;
}

/** Follows the operations of a record, beginning with the folder as it is now, and all of it durable. */
export class Disk {
  #inodes = new Map();
  #root;

  constructor(folder) {
    this.#root = this.#load(folder);
  }

  #load(path) {
    const status = statSync(path);
    const node = status.isDirectory()
      ? new Folder(new Map(readdirSync(path).map((name) => [name, this.#load(join(path, name))])))
      : new File(readFileSync(path));
    this.#inodes.set(status.ino, node);
    return node;
  }

  #place(path) {
    const names = path.split('/');
    const name = names.pop();
    const folder = names.reduce((node, part) => node.entries.get(part), this.#root);
    return { folder, name };
  }

  apply(operation) {
    const { type, inode, first, second } = operation;
    const node = this.#inodes.get(inode);
    if (type === types.create) this.#create(operation);
    else if (type === types.write) this.#write(node, operation);
    else if (type === types.size) node.pending.push({ size: operation.length });
    else if (type === types.sync) node.sync();
    else if (type === types.rename || type === types.exchange) this.#rename(first, second, type === types.exchange);
    else if (type === types.link) this.#link(first, second);
    else if (type === types.remove) {
      const { folder, name } = this.#place(first);
      folder.change((entries) => entries.delete(name));
    }
  }

  #create({ inode, flags, first }) {
    const node = flags === 1 ? new Folder() : new File();
    this.#inodes.set(inode, node);
    const { folder, name } = this.#place(first);
    folder.change((entries) => entries.set(name, node));
  }

  #write(node, { offset, data, flags }) {
    node.pending.push({ offset, data: Buffer.from(data), sure: flags === 1 });
  }

  /** Lets the last write to a file count as one that may be lost, until the function that it returns is called. */
  unsettle(inode) {
    const change = this.#inodes.get(inode).pending.at(-1);
    change.sure = false;
    return () => {
      change.sure = true;
    };
  }

  #link(first, second) {
    const from = this.#place(first);
    const node = from.folder.entries.get(from.name);
    const to = this.#place(second);
    to.folder.change((entries) => entries.set(to.name, node));
  }

  #rename(first, second, exchange) {
    const [from, to] = [this.#place(first), this.#place(second)];
    if (from.folder !== to.folder) {
      if (exchange) throw new Error(`the model knows no exchange from folder to folder: ${first} and ${second}`);
      const node = from.folder.entries.get(from.name);
      const arrival = to.folder.change((entries) => entries.set(to.name, node));
      from.folder.change((entries) => entries.delete(from.name), arrival);
      return;
    }
    from.folder.change((entries) => {
      const [a, b] = [entries.get(from.name), entries.get(to.name)];
      if (exchange) entries.set(from.name, b);
      else entries.delete(from.name);
      entries.set(to.name, a);
    });
  }

  /** Whether something is not durable yet: of files, of names. */
  get unsure() {
    const nodes = [...this.#inodes.values()];
    return {
      data: nodes.some((node) => node instanceof File && node.pending.some(({ sure }) => !sure)),
      names: nodes.some((node) => node instanceof Folder && node.pending.length > 0),
    };
  }

  /** Writes what the disk holds to the folder `to`. `keep(change)`: as applied(); `names(n)`: how many of n changes of names. */
  write(to, keep, names) {
    const counts = new Map();
    const many = (folder) => {
      if (!counts.has(folder)) counts.set(folder, names(folder.pending.length));
      return counts.get(folder);
    };
    const kept = (change) => change.folder.pending.indexOf(change) < many(change.folder);
    const writeFolder = (path, folder) => {
      mkdirSync(path, { recursive: true });
      for (const [name, child] of folder.after(many(folder), kept)) {
        if (child instanceof File) writeFileSync(join(path, name), child.bytes(keep));
        else writeFolder(join(path, name), child);
      }
    };
    writeFolder(to, this.#root);
  }
}

/** What may be left at this moment: the corners, and some by chance. */
export function outcomes({ data, names }, random, many) {
  const all = () => 'all';
  const nothing = () => 'nothing';
  const every = (n) => n;
  const none = () => 0;
  const result = [['everything', all, every]];
  if (data) result.push(['names without data', nothing, every], ['lengths without data', () => 'size', every]);
  if (names) result.push(['data without names', all, none]);
  if (data && names) result.push(['only what was synced', nothing, none]);
  const sectors = () => random() < 0.5;
  const ways = ['all', 'nothing', 'size', sectors];
  const some = () => ways[Math.floor(ways.length * random())];
  for (let i = 0; (data || names) && i < many; i++) result.push([`chance ${i}`, some, (n) => Math.floor((n + 1) * random())]);
  return result;
}
