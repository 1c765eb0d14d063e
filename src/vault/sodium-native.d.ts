// The part of sodium-native that the vault uses, with its types.

declare module "sodium-native" {
  /** Memory between guard pages. A lock that fails is not reported: call `sodium_mlock` on it. */
  export function sodium_malloc(bytes: number): Buffer;
  /** Zeroes, unlocks and detaches: every view of it has length 0 after. */
  export function sodium_free(memory: Buffer): void;
  /** Throws when the memory cannot be locked. */
  export function sodium_mlock(memory: Uint8Array): void;
  export function crypto_onetimeauth_init(state: Uint8Array, key: Uint8Array): void;
  export function crypto_onetimeauth_update(state: Uint8Array, input: Uint8Array): void;
  export function crypto_onetimeauth_final(state: Uint8Array, tag: Uint8Array): void;
  export function crypto_generichash(output: Uint8Array, input: Uint8Array, key: Uint8Array): void;
}
