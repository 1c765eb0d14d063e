// The tag of a key ID: BLAKE2b-128 over T("qkm key", KMs, serial, offset, length, apps), keyed from the KMA-key.

import type { AppId, KmId } from "../../core/ids.ts";
import { encodeT, u32, u64 } from "../../core/text/encoding.ts";
import type { KeyIdKey } from "../../vault/vault.ts";
import { sameTag, writeKeyId } from "../common/key-id.ts";

/** Which KMA-key a key comes from, and for whom it is. */
export interface Parties {
  readonly source: KmId;
  readonly destination: KmId;
  readonly initiator: AppId;
  readonly target: AppId;
}

/** The two applications in a key's name. */
export type NamedFor = Pick<Parties, "initiator" | "target">;

/** A key whose ID is wanted. */
export interface NamedKey {
  readonly serial: number;
  readonly idKey: KeyIdKey;
  /** In bytes. */
  readonly offset: number;
  readonly length: number;
}

/** Memory that the next tag overwrites. */
const tag = new Uint8Array(16);

/** The IDs of keys for one pair of applications. */
export class KeyNamer {
  /** The message under the tag, with the position where serial, offset and length lie: only those change. */
  readonly #message: Uint8Array;
  readonly #numbers: DataView;

  constructor({ source, destination, initiator, target }: Parties) {
    const bytes = encodeT("qkm key", source, destination, u64(0), u32(0), u32(0), initiator, target);
    const at = encodeT("qkm key", source, destination).length;
    this.#message = bytes;
    this.#numbers = new DataView(bytes.buffer, bytes.byteOffset + at, 16);
  }

  /** Writes the ID of a key, 36 ASCII bytes; returns the position behind it. */
  write(key: NamedKey, target: Uint8Array, at: number): number {
    return writeKeyId(key, this.#tagOf(key), target, at);
  }

  /** Whether a tag that came with an ID is the key's own. */
  fits(carried: Uint8Array, key: NamedKey): boolean {
    return sameTag(carried, this.#tagOf(key));
  }

  #tagOf({ serial, idKey, offset, length }: NamedKey): Uint8Array {
    const numbers = this.#numbers;
    numbers.setUint32(0, Math.floor(serial / 2 ** 32));
    numbers.setUint32(4, serial % 2 ** 32);
    numbers.setUint32(8, offset);
    numbers.setUint32(12, length);
    idKey.tag(this.#message, tag);
    return tag;
  }
}
