// Keys that cross a border to another network: what ETSI GS QKD 020 asks of the key manager, and what it is asked by it.

import type { AppId, KmId } from "../../core/ids.ts";

/** What became of keys at a border: `ack_status` of ETSI GS QKD 020. */
export type BorderOutcome = "relayed" | "failed" | "voided" | "failed to void" | "key not present";

/** Between which applications a key at a border is; it keeps its path once it was sent. */
export interface BorderPath {
  readonly initiator: AppId;
  readonly target: AppId;
}

/** ETSI GS QKD 020 `ack_container`. */
export interface BorderAck extends BorderPath {
  readonly outcome: BorderOutcome;
  readonly keyIds: readonly string[];
  /** A sentence for the log of the other end; empty for none. */
  readonly message: string;
}

/** `ext_key_container` as it came. */
export interface BorderArrival extends BorderPath {
  /** `letters`: the base64 as it came, lent until the promise of `arrived` is settled. */
  readonly keys: readonly { readonly keyId: string; readonly letters: Uint8Array }[];
  /** Where its outcome is to be told; undefined: in the answer (synchronous mode). */
  readonly callback: string | undefined;
}

/** `void_container`. */
export interface BorderVoid extends BorderPath {
  /** Empty for all keys of the path. */
  readonly keyIds: readonly string[];
  readonly callback: string | undefined;
}

/** What key managers of other networks ask of this one. Borders are named as the configuration names them. */
export interface BorderDoor {
  /**
   * Durable when it resolves: with the outcomes in the synchronous mode, with none otherwise.
   * @throws Fault, and nothing was kept
   */
  arrived(border: KmId, arrival: BorderArrival): Promise<readonly BorderAck[]>;
  /** @throws Fault */
  voided(border: KmId, request: BorderVoid): Promise<readonly BorderAck[]>;
  /** @throws Fault KEY_NOT_FOUND when a key is none that is on its way; STORE_UNAVAILABLE: it is to be told again */
  acknowledged(border: KmId, acks: readonly BorderAck[]): Promise<void>;
}

/** One key on its way out. */
export interface LeavingKey {
  readonly keyId: string;
  /** Bytes. */
  readonly length: number;
}

/** `ext_key_container`, to be sent: once, or again after a fault. */
export interface BorderDeparture extends BorderPath {
  readonly keys: readonly LeavingKey[];
  /** Opens the keys while `use` runs; `writeKey` lays the base64 of key `index` at `at` and gives the position behind it. */
  lend(use: (writeKey: (index: number, target: Uint8Array, at: number) => number) => void): Promise<void>;
}

/**
 * How a request over a border ended. `unsent`: the other end was not reached; `refused`: 400 or 401, nothing was kept there;
 * `unknown`: 503, 408, no answer, and it may have been kept; `accepted`: 202, and acknowledgements will come; `done`: they came
 * with the answer.
 */
export type BorderAnswer =
  | { readonly kind: "unsent" | "refused" | "unknown"; readonly why: string }
  | { readonly kind: "accepted" }
  | { readonly kind: "done"; readonly acks: readonly BorderAck[] };

/** The key manager at the other side of a border, as this one reaches it. */
export interface BorderLine {
  /** POST ext_keys. */
  send(departure: BorderDeparture, signal: AbortSignal): Promise<BorderAnswer>;
  /** POST ext_keys/void; `callback` is this door's own. */
  sendVoid(request: BorderPath & { readonly keyIds: readonly string[] }): Promise<BorderAnswer>;
  /** POST of acknowledgements to where they are wanted. `refused`: they need not be told again. */
  sendAcks(callback: string, acks: readonly BorderAck[]): Promise<BorderAnswer>;
}
