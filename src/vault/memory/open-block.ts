// An open block: tags, base64 and masked bytes straight out of its slot.

import { encodeBase64 } from "../../wire/base64.ts";
import { poly1305 } from "../tags.ts";
import type { KeyIdKey, Masked, OpenBlock, PadPiece, Range, Sealed } from "../vault.ts";
import type { CachedBlock } from "./cached-blocks.ts";
import { withPad } from "./pads.ts";
import { xorInto } from "./xor.ts";

/** key-protocol 2: where the parts of a KMA-key begin. */
const HOP_KEY = 0;
const END_KEY = 32;
/** Where the key-ID key of a KMA-key begins, in bytes (key-protocol 2). */
export const KEY_ID_KEY = 64;
const CARVED = 96;

/** What an open block needs of its vault. */
export interface BlockHome {
  /** Locked memory in which Poly1305 works. */
  readonly tagState: Uint8Array;
  /** Locked memory in which pads are gathered; zero between calls. */
  readonly scratch: Uint8Array;
  readonly blockBytes: number;
  pin(cached: CachedBlock): CachedBlock;
  unpin(cached: CachedBlock): void;
  /** @throws Fault STOPPING when its memory was given up */
  memoryOf(cached: CachedBlock): Uint8Array;
  keyIdKey(cached: CachedBlock): Promise<{ readonly key: KeyIdKey; readonly sealed: Sealed }>;
  seal(cached: CachedBlock): Promise<Sealed>;
}

/** A block that is pinned in its slot until it is disposed. */
export class OpenedBlock implements OpenBlock {
  readonly block: OpenBlock["block"];
  readonly length: number;
  readonly #home: BlockHome;
  #cached: CachedBlock | undefined;

  constructor(cached: CachedBlock, home: BlockHome) {
    this.block = cached.block;
    this.length = cached.length;
    this.#cached = cached;
    this.#home = home;
  }

  hopTag(context: Uint8Array): Uint8Array {
    return this.#tag(context, HOP_KEY);
  }

  endTag(context: Uint8Array): Uint8Array {
    return this.#tag(context, END_KEY);
  }

  async keyIdKey(): Promise<{ readonly key: KeyIdKey; readonly sealed: Sealed }> {
    this.#bytes(CARVED);
    return await this.#home.keyIdKey(this.#held());
  }

  emit({ offset, length }: Range, target: Uint8Array, at: number): number {
    const end = offset + length;
    const bytes = this.#bytes(end);
    if (!(offset >= 0 && length > 0)) throw new RangeError(`no range of ${this.block}: ${length} bytes from ${offset}`);
    if (holdsZeroWord(bytes, offset, end)) {
      throw new Error(`bytes ${offset} to ${end} of ${this.block} were used before, or are no key: they are zero`);
    }
    const behind = encodeBase64(bytes, offset, end, target, at);
    // Byte by byte: for a key, `fill` would take longer.
    for (let used = offset; used < end; used++) bytes[used] = 0;
    return behind;
  }

  wipe({ offset, length }: Range): void {
    // Memory that was given up is zero.
    if (this.#cached?.gone) return;
    this.#bytes(offset + length).fill(0, offset, offset + length);
  }

  mask(pads: readonly PadPiece[], context: Uint8Array): Masked {
    const own = this.range({ offset: 0, length: this.length });
    const segments = piecesOf(pads);
    if (segments.some(({ byteOffset }) => isWithin(own, byteOffset)))
      throw new RangeError("a block is no pad of its own");
    const { scratch, tagState } = this.#home;
    return withPad(scratch, segments, own.length, ({ tagKey, mask }) => {
      xorInto(mask, own);
      const key = new Uint8Array(mask);
      return { key, tag: poly1305(tagState, tagKey, context, key) };
    });
  }

  async seal(): Promise<Sealed> {
    return await this.#home.seal(this.#held());
  }

  /** A range as it lies in locked memory, lent until something else is done with the block. @throws RangeError out of bounds */
  range({ offset, length }: Range): Uint8Array {
    const bytes = this.#bytes(offset + length);
    if (!(offset >= 0 && length > 0)) throw new RangeError(`no range of ${this.block}: ${length} bytes from ${offset}`);
    return bytes.subarray(offset, offset + length);
  }

  [Symbol.dispose](): void {
    const cached = this.#cached;
    this.#cached = undefined;
    if (cached !== undefined) this.#home.unpin(cached);
  }

  #tag(context: Uint8Array, keyAt: number): Uint8Array {
    const bytes = this.#bytes(CARVED);
    const bodyAt = keyAt + 32;
    return poly1305(this.#home.tagState, bytes.subarray(keyAt, bodyAt), context, bytes.subarray(bodyAt, this.length));
  }

  /** The slot, which must hold at least `end` bytes of the block. */
  #bytes(end: number): Uint8Array {
    const slot = this.#home.memoryOf(this.#held());
    if (!(end <= this.length)) throw new RangeError(`${this.block} has ${this.length} bytes, not ${end}`);
    return slot;
  }

  #held(): CachedBlock {
    if (this.#cached === undefined) throw new Error(`${this.block} was used after it was disposed`);
    return this.#cached;
  }
}

/** Pieces as they lie in locked memory. @throws RangeError out of bounds */
export const piecesOf = (pads: readonly PadPiece[]): Uint8Array[] =>
  pads.map(({ open, range }) => opened(open).range(range));

/** A whole block as it lies in locked memory. */
export const wholeOf = (open: OpenBlock): Uint8Array => opened(open).range({ offset: 0, length: open.length });

/** @throws TypeError when it is of another vault */
function opened(open: OpenBlock): OpenedBlock {
  if (open instanceof OpenedBlock) return open;
  throw new TypeError(`${open.block} was not opened by this vault`);
}

const isWithin = (own: Uint8Array, at: number): boolean => at >= own.byteOffset && at < own.byteOffset + own.length;

/**
 * True when 8 bytes of the range in a row are zero, wherever they begin: they were emitted before, or zeroed by a rotation.
 * Key does that about once in 2^60. A last line of defence, which keys below 8 bytes do not have.
 */
function holdsZeroWord(bytes: Uint8Array, start: number, end: number): boolean {
  let zeros = 0;
  for (let at = start; at < end; at += 1) {
    zeros = bytes[at] === 0 ? zeros + 1 : 0;
    if (zeros === 8) return true;
  }
  return false;
}
