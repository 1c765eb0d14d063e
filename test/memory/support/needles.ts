// Many byte patterns at once, found at any place of a buffer in one pass.

/** The bytes of a secret in one spelling. */
export interface Needle {
  readonly secret: number;
  readonly spelling: string;
  readonly bytes: Uint8Array;
  /** So many bytes in a row make a hit: 8, or more where few bits lie in a byte. */
  readonly least: number;
  /** A hit begins at a multiple of it: whatever has `least + step - 1` bytes of the needle in a row is found. */
  readonly step: number;
}

/** `least` bytes of a needle from `offset` on were found at `at`. */
export type Hit = (needle: Needle, offset: number, at: number) => void;

const WORD = 8;
/** A larger one would be slower: it has to stay near the processor. */
const FILTER_BITS = 18;

export class Needles {
  readonly #needles: Needle[] = [];
  /** SharedPeers: index of a needle, offset in it. */
  readonly #entries: number[] = [];
  /** A Bloom filter; the two bits of an entry lie in one word. */
  readonly #filter = new Int32Array(1 << FILTER_BITS);
  /** SharedPeers, in the order of hashes: the number of an entry, or 0, and its whole hash. */
  #slots = new Int32Array(1 << 17);

  /** Bytes that an earlier needle has are that needle's. */
  add(needle: Needle): void {
    const { bytes, least, step } = needle;
    const index = this.#needles.push(needle) - 1;
    for (let at = 0; at + least <= bytes.length; at += step) this.#enter(index, at);
  }

  find(haystack: Uint8Array, hit: Hit): void {
    const filter = this.#filter;
    let low = word(haystack, 0);
    let high = word(haystack, 4);
    for (let at = 0; at + WORD <= haystack.length; at++) {
      if ((low | high) !== 0) {
        const hash = hashOf(low, high);
        const bits = bitsOf(hash);
        if (((filter[hash >>> (32 - FILTER_BITS)] ?? 0) & bits) === bits) this.#compare(hash, haystack, at, hit);
      }
      low = (low >>> 8) | (high << 24);
      high = (high >>> 8) | (at + WORD < haystack.length ? (haystack[at + WORD] ?? 0) << 24 : 0);
    }
  }

  #compare(hash: number, haystack: Uint8Array, at: number, hit: Hit): void {
    const slots = this.#slots;
    const mask = slots.length - 2;
    for (let slot = (hash << 1) & mask; slots[slot] !== 0; slot = (slot + 2) & mask) {
      if (slots[slot + 1] !== hash) continue;
      const { needle, offset } = this.#entry(slots[slot] ?? 0);
      if (hasAt(haystack, at, needle.bytes, offset, needle.least)) hit(needle, offset, at);
    }
  }

  #entry(number: number): { readonly needle: Needle; readonly offset: number } {
    const needle = this.#needles[this.#entries[2 * number - 2] ?? -1];
    const offset = this.#entries[2 * number - 1];
    if (needle === undefined || offset === undefined) throw new RangeError(`there is no entry ${number}`);
    return { needle, offset };
  }

  #enter(index: number, offset: number): void {
    const bytes = this.#needles[index]?.bytes ?? new Uint8Array();
    const hash = hashOf(word(bytes, offset), word(bytes, offset + 4));
    let known = false;
    this.#compare(hash, bytes, offset, () => {
      known = true;
    });
    if (known) return;
    const number = this.#entries.push(index, offset) / 2;
    if (4 * number > this.#slots.length) this.#grow();
    this.#file(hash, number);
  }

  #file(hash: number, number: number): void {
    const mask = this.#slots.length - 2;
    let slot = (hash << 1) & mask;
    while (this.#slots[slot] !== 0) slot = (slot + 2) & mask;
    this.#slots[slot] = number;
    this.#slots[slot + 1] = hash;
    this.#filter[hash >>> (32 - FILTER_BITS)] = (this.#filter[hash >>> (32 - FILTER_BITS)] ?? 0) | bitsOf(hash);
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Int32Array(old.length * 4);
    for (let slot = 0; slot < old.length; slot += 2) {
      const number = old[slot] ?? 0;
      if (number !== 0) this.#file(old[slot + 1] ?? 0, number);
    }
  }
}

const word = (bytes: Uint8Array, at: number): number =>
  (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24);

function hashOf(low: number, high: number): number {
  const mixed = Math.imul(Math.imul(low, 0x9e3779b1) ^ high, 0x85ebca6b);
  return Math.imul(mixed ^ (mixed >>> 15), 0xc2b2ae35);
}

const bitsOf = (hash: number): number => (1 << (hash & 31)) | (1 << ((hash >>> 5) & 31));

function hasAt(haystack: Uint8Array, at: number, bytes: Uint8Array, offset: number, length: number): boolean {
  if (at + length > haystack.length) return false;
  for (let index = 0; index < length; index++) if (haystack[at + index] !== bytes[offset + index]) return false;
  return true;
}
