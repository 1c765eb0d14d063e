// Names of the keys that lately made blocks of a link: a box that gives one again gives the same bits again.

/** Names in one half of the memory; the older half is dropped when the newer is full. */
const MOST = 32_768;

/** Knows the last names, from 32,768 on, since the start of the process. */
export class SeenNames {
  #newer = new Set<string>();
  #older = new Set<string>();

  /** Notes them all; or none, and is false, when one was seen before or is there twice. */
  note(names: readonly string[]): boolean {
    const all = new Set(names.map((name) => name.toLowerCase()));
    if (all.size < names.length) return false;
    for (const name of all) if (this.#newer.has(name) || this.#older.has(name)) return false;
    if (this.#newer.size + all.size > MOST) [this.#older, this.#newer] = [this.#newer, new Set()];
    for (const name of all) this.#newer.add(name);
    return true;
  }
}
