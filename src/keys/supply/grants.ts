// Grants: keys on their way to an application, pinned in locked memory until they are written.

import type { KeyIdKey, OpenBlock, PadPiece } from "../../vault/vault.ts";
import { writeKeyId } from "../common/key-id.ts";
import type { Grant } from "../ports.ts";
import { type Parties, writeName } from "./key-namer.ts";
import type { Piece } from "./source-key.ts";

/** One key of a grant. */
export interface GrantedKey {
  readonly serial: number;
  readonly idKey: KeyIdKey;
  readonly open: OpenBlock;
  readonly offset: number;
  readonly length: number;
  /** Of its ID, when that was checked already. */
  readonly tag?: Uint8Array;
}

/** What happens at the end of a grant: `unwritten` keys did not reach their application. */
type End = (unwritten: number) => void;

/** The keys of a grant, made as they are asked for: an answer may have hundreds. */
interface Keys {
  readonly count: number;
  /** In bytes. */
  size(index: number): number;
  at(index: number): GrantedKey;
}

class KeyGrant implements Grant {
  readonly #keys: Keys;
  readonly #parties: Parties;
  readonly #end: End;
  /** The key that was looked at last, and its index. */
  #key: GrantedKey | undefined;
  #index = -1;
  #written = 0;
  #open = true;

  constructor(keys: Keys, parties: Parties, end: End) {
    this.#keys = keys;
    this.#parties = parties;
    this.#end = end;
  }

  get count(): number {
    return this.#keys.count;
  }

  #at(index: number): GrantedKey {
    if (this.#key !== undefined && index === this.#index) return this.#key;
    const key = this.#keys.at(index);
    this.#key = key;
    this.#index = index;
    return key;
  }

  size(index: number): number {
    return this.#keys.size(index);
  }

  writeId(index: number, target: Uint8Array, at: number): number {
    const key = this.#at(index);
    return key.tag === undefined ? writeName(key, this.#parties, target, at) : writeKeyId(key, key.tag, target, at);
  }

  writeKey(index: number, target: Uint8Array, at: number): number {
    const { open, offset, length } = this.#at(index);
    this.#written++;
    return open.emit({ offset, length }, target, at);
  }

  /** All of its bytes as one pad of `bytes`; they count as written. */
  pads(bytes: number): PadPiece[] {
    const pieces: PadPiece[] = [];
    let missing = bytes;
    for (let index = 0; index < this.count && missing > 0; index++) {
      const { open, offset, length } = this.#at(index);
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
      const { open, offset, length } = this.#at(index);
      open.wipe({ offset, length });
    }
    this.#end(Math.max(0, this.count - this.#written));
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

/** A grant of keys of one size, carved from pieces of the stock. */
export function grantPieces(pieces: readonly Piece[], length: number, step: number, parties: Parties, end: End): Grant {
  const count = pieces.reduce((sum, piece) => sum + piece.count, 0);
  const at = (index: number): GrantedKey => {
    let rest = index;
    for (const { key, open, offset, count: inPiece } of pieces) {
      if (rest < inPiece) {
        return { serial: key.serial, idKey: key.idKey, open, offset: offset + rest * step, length };
      }
      rest -= inPiece;
    }
    throw new RangeError(`a grant of ${count} keys has no key ${index}`);
  };
  return new KeyGrant({ count, at, size: () => length }, parties, end);
}

/** A grant of keys as they were asked by their IDs. */
export function grantKeys(keys: readonly GrantedKey[], parties: Parties, end: End): Grant {
  const at = (index: number): GrantedKey => {
    const key = keys[index];
    if (key === undefined) throw new RangeError(`a grant of ${keys.length} keys has no key ${index}`);
    return key;
  };
  return new KeyGrant({ count: keys.length, at, size: (index) => at(index).length }, parties, end);
}
