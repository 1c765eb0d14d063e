// The tags of key-protocol 2 and 3: Poly1305 over parts of a block, BLAKE2b-128 for key IDs.

import {
  crypto_generichash,
  crypto_onetimeauth_final,
  crypto_onetimeauth_init,
  crypto_onetimeauth_update,
} from "sodium-native";
import { forgetRegisters } from "../core/memory/registers.ts";

/** Bytes of a Poly1305 tag. */
export const TAG_BYTES = 16;
/** Bytes of locked memory that `poly1305` works in. */
export const POLY1305_STATE_BYTES = 256;

/** Poly1305 under a one-time key of 32 bytes over `context` ‖ `bytes`; `state` is zero again after. */
export function poly1305(state: Uint8Array, key: Uint8Array, context: Uint8Array, bytes: Uint8Array): Uint8Array {
  const tag = new Uint8Array(TAG_BYTES);
  crypto_onetimeauth_init(state, key);
  crypto_onetimeauth_update(state, context);
  crypto_onetimeauth_update(state, bytes);
  crypto_onetimeauth_final(state, tag);
  state.fill(0);
  forgetRegisters();
  return tag;
}

/** BLAKE2b-128 keyed with 32 bytes, written to `tag`. */
export function blake2b128(key: Uint8Array, message: Uint8Array, tag: Uint8Array): void {
  if (tag.length !== TAG_BYTES) throw new RangeError(`a tag has ${TAG_BYTES} bytes`);
  crypto_generichash(tag, message, key);
}
