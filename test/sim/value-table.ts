// Which key each 8 bytes ever supplied belong to: a table of numbers, for a long run supplies millions of them.

/** Words of one entry: the 8 bytes, and the index of their key counted from 1; 0 where the entry is empty. */
const WORDS = 3;
const SMALLEST = 1 << 10;

/** A hash table with open addressing, never more than half full. */
export class ValueTable {
  #words = new Uint32Array(SMALLEST * WORDS);
  #size = 0;

  /** Enters 8 bytes of the key with this index; the index of the key that had the same before, if one did. */
  enter(high: number, low: number, index: number): number | undefined {
    if (2 * this.#size >= this.#words.length / WORDS) this.#grow();
    const at = this.#find(high, low);
    const before = this.#words[at + 2] ?? 0;
    if (before > 0) return before - 1;
    this.#put(at, high, low, index + 1);
    this.#size++;
    return undefined;
  }

  /** From now on these 8 bytes, which are entered, belong to the key with this index. */
  replace(high: number, low: number, index: number): void {
    this.#put(this.#find(high, low), high, low, index + 1);
  }

  /** Where the value is, or the empty entry where it belongs. The bytes are random: they are their own hash. */
  #find(high: number, low: number): number {
    const words = this.#words;
    const last = words.length / WORDS - 1;
    for (let entry = (high ^ low) & last; ; entry = (entry + 1) & last) {
      const at = entry * WORDS;
      if (words[at + 2] === 0 || (words[at] === high && words[at + 1] === low)) return at;
    }
  }

  #put(at: number, high: number, low: number, mark: number): void {
    this.#words[at] = high;
    this.#words[at + 1] = low;
    this.#words[at + 2] = mark;
  }

  #grow(): void {
    const old = this.#words;
    this.#words = new Uint32Array(2 * old.length);
    for (let at = 0; at < old.length; at += WORDS) {
      const [high = 0, low = 0, mark = 0] = [old[at], old[at + 1], old[at + 2]];
      if (mark > 0) this.#put(this.#find(high, low), high, low, mark);
    }
  }
}
