// Grants: keys on their way to an application, pinned in locked memory until they are written.

import type { KeyIdKey, OpenBlock } from "../vault/vault.ts";
import { type Parties, writeName } from "./key-namer.ts";
import type { Grant } from "./ports.ts";
import type { Piece } from "./source-key.ts";

/** One key of a grant. */
export interface GrantedKey {
  readonly serial: number;
  readonly idKey: KeyIdKey;
  readonly open: OpenBlock;
  readonly offset: number;
  readonly length: number;
}

/** What happens at the end of a grant: `unwritten` keys did not reach their application. */
type End = (unwritten: number) => void;

class KeyGrant implements Grant {
  readonly count: number;
  readonly #keyAt: (index: number) => GrantedKey;
  readonly #parties: Parties;
  readonly #end: End;
  #written = 0;
  #open = true;

  constructor(count: number, keyAt: (index: number) => GrantedKey, parties: Parties, end: End) {
    this.count = count;
    this.#keyAt = keyAt;
    this.#parties = parties;
    this.#end = end;
  }

  size(index: number): number {
    return this.#keyAt(index).length;
  }

  writeId(index: number, target: Uint8Array, at: number): number {
    return writeName(this.#keyAt(index), this.#parties, target, at);
  }

  writeKey(index: number, target: Uint8Array, at: number): number {
    const { open, offset, length } = this.#keyAt(index);
    this.#written++;
    return open.emit({ offset, length }, target, at);
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    for (let index = this.#written; index < this.count; index++) {
      const { open, offset, length } = this.#keyAt(index);
      open.wipe({ offset, length });
    }
    this.#end(Math.max(0, this.count - this.#written));
  }
}

/** A grant of keys of one size, carved from pieces of the stock. */
export function grantPieces(pieces: readonly Piece[], length: number, step: number, parties: Parties, end: End): Grant {
  const count = pieces.reduce((sum, piece) => sum + piece.count, 0);
  const keyAt = (index: number): GrantedKey => {
    let rest = index;
    for (const { key, open, offset, count: inPiece } of pieces) {
      if (rest < inPiece) {
        return { serial: key.serial, idKey: key.idKey, open, offset: offset + rest * step, length };
      }
      rest -= inPiece;
    }
    throw new RangeError(`a grant of ${count} keys has no key ${index}`);
  };
  return new KeyGrant(count, keyAt, parties, end);
}

/** A grant of keys as they were asked by their IDs. */
export function grantKeys(keys: readonly GrantedKey[], parties: Parties, end: End): Grant {
  const keyAt = (index: number): GrantedKey => {
    const key = keys[index];
    if (key === undefined) throw new RangeError(`a grant of ${keys.length} keys has no key ${index}`);
    return key;
  };
  return new KeyGrant(keys.length, keyAt, parties, end);
}
