// The contract of a security module (HSM). Its tests: test/contracts/token.ts.

import type { Secret } from "../core/memory/secret.ts";

/** What a token says of itself. */
export interface TokenInfo {
  readonly label: string;
  readonly model: string;
  readonly serialNumber: string;
  /** True when it gives no tamper protection (SoftHSM): the log says so at each start. */
  readonly software: boolean;
  /** `direct`: seals whole blocks fast enough. `envelope`: encrypts data keys only. */
  readonly suggests: "direct" | "envelope";
  /** True when it seals whole blocks of 16 bytes only, and slowly: data keys, never records. */
  readonly envelopeOnly: boolean;
}

/** One key-encryption key: AES-256, non-extractable, in the token under its label. */
export interface Kek {
  readonly label: string;
  /**
   * AES-256-GCM. `iv` has 12 bytes, `aad` at least one; `sealed` takes plain.length + 16 bytes.
   * @throws Fault HSM_UNAVAILABLE
   */
  seal(job: { iv: Uint8Array; aad: Uint8Array; plain: Uint8Array; sealed: Uint8Array }): Promise<void>;
  /**
   * `plain` must have room for sealed.length bytes (tokens want the tag's room too); the last 16 are then zero.
   * @throws Fault HSM_UNAVAILABLE, or SealBroken when the token says that it is not what was sealed
   */
  open(job: { iv: Uint8Array; aad: Uint8Array; sealed: Uint8Array; plain: Uint8Array }): Promise<void>;
  destroy(): Promise<void>;
}

/** The record is not what was sealed (changed, or under another KEK, ID or kind). */
export class SealBroken extends Error {
  override readonly name = "SealBroken";
}

/** One key for HMAC-SHA256: non-extractable, in the token under its label, good for nothing else. */
export interface MacKey {
  readonly label: string;
  /** HMAC-SHA256 (32 bytes) of a message of at least one byte. @throws Fault HSM_UNAVAILABLE, when it was destroyed too */
  mac(message: Uint8Array): Promise<Uint8Array>;
  destroy(): Promise<void>;
}

/**
 * An open, logged-in token. When it goes away every call rejects with HSM_UNAVAILABLE, `check` too;
 * a token that is back is a new object.
 */
export interface Token extends AsyncDisposable {
  readonly info: TokenInfo;
  /** Makes a KEK, reads its attributes back and refuses it if one is not as set. */
  generate(label: string): Promise<Kek>;
  /** KEKs whose label begins with `prefix`, in the order of their labels. */
  find(prefix: string): Promise<readonly Kek[]>;
  /** The HMAC key of that label; with `make` it is made when it is not there, its attributes as carefully as a KEK's. */
  macKey(label: string, make: true): Promise<MacKey>;
  macKey(label: string, make?: boolean): Promise<MacKey | undefined>;
  /** Fills the secret from the token's random generator. */
  random(into: Secret): Promise<void>;
  /** A number that lives in the token (a data object): its value, 0 at first, after `set` if given. */
  counter(label: string, set?: number): Promise<number>;
  /** Asks the token for a sign of life. */
  check(): Promise<void>;
}
