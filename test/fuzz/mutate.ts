// Requests that almost are some: bytes of good ones, changed in a few places. The same seed makes the same.

/** A good request, and where it may be changed to hurt most: all of it, unless said otherwise. */
export type Corpus = readonly Buffer[];

const INTERESTING = [0x00, 0x01, 0x0a, 0x0d, 0x20, 0x22, 0x25, 0x2f, 0x3f, 0x7b, 0x7d, 0x7f, 0x80, 0xff];
const NUMBERS = ["0", "-1", "1e9", "65536", "4294967296", "9007199254740993", "00", "", "NaN"];
/** Mostly one change: of more a request rarely gets beyond its frame. */
const CHANGES = [1, 1, 1, 1, 2, 3];

export class Mutator {
  readonly #corpus: Corpus;
  #state: number;

  constructor(corpus: Corpus, seed: number) {
    this.#corpus = corpus;
    this.#state = seed >>> 0 || 1;
  }

  /** 0 <= x < below; xorshift. */
  below(below: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    this.#state >>>= 0;
    return this.#state % below;
  }

  one<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error("nothing to choose from");
    return item;
  }

  /** The next request. */
  next(): Buffer {
    let bytes: Buffer = Buffer.from(this.one(this.#corpus));
    for (let changes = this.one(CHANGES); changes > 0; changes--) bytes = this.#change(bytes);
    return bytes;
  }

  #change(bytes: Buffer): Buffer {
    const at = this.below(bytes.length + 1);
    const [before, behind] = [bytes.subarray(0, at), bytes.subarray(at)];
    switch (this.below(9)) {
      case 0:
        return this.#set(bytes, at, (bytes[at] ?? 0) ^ (1 << this.below(8)));
      case 1:
        return this.#set(bytes, at, this.one(INTERESTING));
      case 2:
        return Buffer.concat([before, Buffer.from([this.below(256)]), behind]);
      case 3:
        return Buffer.concat([before, behind.subarray(1 + this.below(8))]);
      case 4:
        return before;
      case 5:
        return Buffer.concat([before, this.one(this.#corpus).subarray(this.below(40))]);
      case 6:
        return Buffer.concat([before, Buffer.alloc(1 + this.below(300), this.one(INTERESTING)), behind]);
      case 7:
        return this.#number(bytes);
      default:
        return Buffer.concat([before, before.subarray(-this.below(16) - 1), behind]);
    }
  }

  #set(bytes: Buffer, at: number, value: number): Buffer {
    if (at < bytes.length) bytes[at] = value;
    return bytes;
  }

  /** Another number in place of the first one behind some place. */
  #number(bytes: Buffer): Buffer {
    const text = bytes.toString("latin1");
    const from = this.below(text.length + 1);
    return Buffer.from(text.slice(0, from) + text.slice(from).replace(/\d+/, this.one(NUMBERS)), "latin1");
  }
}
