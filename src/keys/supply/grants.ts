// Grants: keys on their way to an application, pinned in locked memory until they are written.

import type { KeyIdKey, OpenBlock, PadPiece } from "../../vault/vault.ts";
import { copyKeyId } from "../common/key-id.ts";
import { stepped } from "../common/sizes.ts";
import type { Grant } from "../ports/keys.ts";
import type { NamedKey } from "./key-namer.ts";
import type { Purpose } from "./purpose.ts";

/** Keys of one length, one after the other in one KMA-key, whose block is open. */
export interface GrantedKeys {
  readonly key: { readonly serial: number; readonly idKey: KeyIdKey };
  readonly open: OpenBlock;
  /** Of the first, in bytes. */
  readonly offset: number;
  /** Of each, in bytes. */
  readonly length: number;
  readonly count: number;
  /** Of the one key, when it was asked for by its ID. */
  readonly id?: string;
}

/** Who gave keys, and is told when their grant ends. */
export interface Grantor<Keys extends GrantedKeys> {
  /** `unwritten` of its keys did not reach their application. */
  ended(grant: KeyGrant<Keys>, unwritten: number): void;
}

/** The keys of one answer: an object for all, for there may be hundreds of them and thousands of answers a second. */
export class KeyGrant<Keys extends GrantedKeys> implements Grant {
  readonly count: number;
  readonly pieces: readonly Keys[];
  readonly purpose: Purpose;
  readonly #grantor: Grantor<Keys>;
  /** The piece that was looked at last, and the index of its first key. */
  #at = 0;
  #first = 0;
  #written = 0;
  #open = true;

  constructor(pieces: readonly Keys[], purpose: Purpose, grantor: Grantor<Keys>) {
    let count = 0;
    for (const piece of pieces) count += piece.count;
    this.count = count;
    this.pieces = pieces;
    this.purpose = purpose;
    this.#grantor = grantor;
  }

  size(index: number): number {
    return this.#pieceOf(index).length;
  }

  writeId(index: number, target: Uint8Array, at: number): number {
    const piece = this.#pieceOf(index);
    if (piece.id !== undefined) return copyKeyId(piece.id, target, at);
    return this.purpose.namer.write(this.#named(piece, index), target, at);
  }

  writeKey(index: number, target: Uint8Array, at: number): number {
    const piece = this.#pieceOf(index);
    this.#written++;
    return piece.open.emit(this.#named(piece, index), target, at);
  }

  /** All of its bytes as one pad of `bytes`; they count as written. */
  pads(bytes: number): PadPiece[] {
    const pieces: PadPiece[] = [];
    let missing = bytes;
    for (let index = 0; index < this.count && missing > 0; index++) {
      const { open } = this.#pieceOf(index);
      const { offset, length } = this.#named(this.#pieceOf(index), index);
      const used = Math.min(length, missing);
      pieces.push({ open, range: { offset, length: used } });
      if (used < length) open.wipe({ offset: offset + used, length: length - used });
      missing -= used;
    }
    if (missing > 0) throw new RangeError(`the keys of a grant have ${bytes - missing} bytes, not ${bytes}`);
    this.#written = this.count;
    return pieces;
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    for (let index = this.#written; index < this.count; index++) {
      const piece = this.#pieceOf(index);
      piece.open.wipe(this.#named(piece, index));
    }
    this.#grantor.ended(this, Math.max(0, this.count - this.#written));
  }

  /** @throws RangeError when there is no such key */
  #pieceOf(index: number): Keys {
    if (index < this.#first) this.#at = this.#first = 0;
    for (let piece = this.pieces[this.#at]; piece !== undefined; piece = this.pieces[++this.#at]) {
      if (index < this.#first + piece.count) return piece;
      this.#first += piece.count;
    }
    this.#at = this.#first = 0;
    throw new RangeError(`a grant of ${this.count} keys has no key ${index}`);
  }

  #named({ key, offset, length }: Keys, index: number): NamedKey {
    const { serial, idKey } = key;
    return { serial, idKey, offset: offset + (index - this.#first) * stepped(length), length };
  }
}

/**
 * The keys of a grant as a pad of `bytes`, for key that travels under it: nobody is given them. @throws TypeError when they
 * come from no KMA-key; RangeError when they are too short
 */
export function padOf(grant: Grant, bytes: number): readonly PadPiece[] {
  if (grant instanceof KeyGrant) return grant.pads(bytes);
  throw new TypeError("these keys were not carved from a KMA-key");
}
