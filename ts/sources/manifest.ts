// Manifests: text files that name files which are complete, one path a line, so that several appear at once.
import { posix } from 'node:path';
import { SluiceError } from '../errors.js';
import { type SourcePlace, sourceFile } from './files.js';
import { type Found, matches } from './paths.js';

export type ManifestOptions = {
  /** Name of a manifest, perhaps with `*`. */
  pattern: string;
  /** Whether the place of that name is ingested: it may be gone then. */
  done(name: string): boolean;
  /** Called once for each manifest that cannot be used, until that changes. */
  onProblem(error: SluiceError): void;
};

const maxBytes = 2 ** 24;

type Manifest = { place: SourcePlace; fingerprint: string; lines: readonly string[] };

/** Keeps what it has read of manifests for the next time. */
export class Manifests {
  #known = new Map<string, Manifest>();
  #told = new Map<string, string>();

  constructor(private readonly options: ManifestOptions) {}

  /**
   * Those of `found` that manifests in the folders of `patterns` name, in the order of the manifests' names and their lines. A manifest that names something
   * else, or what is not there, counts not at all.
   */
  async choose(patterns: readonly SourcePlace[], found: readonly Found[]): Promise<Found[]> {
    const manifests = await this.#read(patterns);
    const byPath = new Map(found.map((each) => [each.place.path, each]));
    const chosen = new Map<string, Found>();
    const told = new Map<string, string>();
    for (const manifest of manifests) {
      try {
        for (const each of this.#named(manifest, byPath)) chosen.set(each.place.path, each);
      } catch (error) {
        const problem = error as SluiceError;
        const { path } = manifest.place;
        told.set(path, problem.message);
        if (this.#told.get(path) !== problem.message) this.options.onProblem(problem);
      }
    }
    this.#told = told;
    return [...chosen.values()];
  }

  /** Those in the folders of the patterns, by name. */
  async #read(patterns: readonly SourcePlace[]): Promise<Manifest[]> {
    const { pattern } = this.options;
    const folders = new Map(patterns.map(({ name, path, files }) => [files.split(path).folder, { name: parentOf(name), files }]));
    const manifests: Manifest[] = [];
    for (const [folder, { name, files }] of folders) {
      const entries = await files.list(folder, pattern.split('*', 1)[0]!);
      for (const entry of entries.filter((each) => matches(each.name, pattern) && !each.name.endsWith('.tmp')).sort(byName)) {
        const place = { name: `${name}${entry.name}`, path: files.join(folder, entry.name), files };
        const file = await sourceFile(place, undefined, entry.status);
        const known = this.#known.get(place.path);
        if (known?.fingerprint === file.fingerprint) manifests.push(known);
        else manifests.push({ place, fingerprint: file.fingerprint, lines: await linesOf(file) });
      }
    }
    this.#known = new Map(manifests.map((manifest) => [manifest.place.path, manifest]));
    return manifests;
  }

  /** E_SOURCE, E_NOT_FOUND that names manifest and line. */
  #named({ place, lines }: Manifest, byPath: ReadonlyMap<string, Found>): Found[] {
    const { files } = place;
    const { folder } = files.split(place.path);
    const named: Found[] = [];
    for (const [i, line] of lines.entries()) {
      if (line === '') continue;
      const at = `${place.name}:${i + 1}`;
      const inside = posix.normalize(line);
      if (posix.isAbsolute(inside) || inside === '..' || inside.startsWith('../') || line.includes('\0'))
        throw new SluiceError('E_SOURCE', `${at}: ${JSON.stringify(line)} leaves the folder of the manifest`, {
          hint: 'none of its files is taken',
        });
      const found = byPath.get(files.join(folder, inside));
      if (found !== undefined) named.push(found);
      else if (!this.options.done(`${parentOf(place.name)}${inside}`)) {
        const hint = 'none of its files is taken until all are there; names must fit dataset.source.path';
        throw new SluiceError('E_NOT_FOUND', `${at}: there is no ${line} among the files of the source`, { hint });
      }
    }
    return named;
  }
}

const parentOf = (name: string): string => name.slice(0, name.lastIndexOf('/') + 1);

const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);

async function linesOf(file: Awaited<ReturnType<typeof sourceFile>>): Promise<string[]> {
  if (file.size > maxBytes) throw new SluiceError('E_SOURCE', `${file.name}: expected a manifest of at most ${maxBytes} bytes`);
  const chunks: Buffer[] = [];
  for await (const chunk of file.stream()) chunks.push(chunk);
  return Buffer.concat(chunks)
    .toString()
    .split('\n')
    .map((line) => line.replace(/\r$/, ''));
}
