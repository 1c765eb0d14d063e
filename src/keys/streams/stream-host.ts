// What streams ask of the key manager around them.

import type { AppId, KmId } from "../../core/ids.ts";
import type { Context } from "../common/context.ts";
import type { Answer, FetchRequest, KeySizes, SupplyRequest } from "../ports/keys.ts";
import type { PeerConnection } from "../ports/peers.ts";

/** What streams need of the key manager. */
export interface StreamHost {
  readonly context: Context;
  /** @throws Fault STOPPING, HSM_UNAVAILABLE, STORE_UNAVAILABLE */
  checkWorking(): void;
  /** @throws Fault UNKNOWN_APPLICATION */
  homeOf(app: AppId): KmId;
  /** What one application may take, in bits a second. */
  quotaBps(app: AppId): number;
  /** Of keys with an application's home. @throws Fault NO_ROUTE, EXTENSION_UNSUPPORTED */
  sizes(home: KmId): KeySizes;
  /** What the links bring for keys with another KM, as measured; undefined when no rate is known yet. */
  rateBps(home: KmId): number | undefined;
  /** Key managers between this one and another. */
  hops(home: KmId): number;
  /** How old the KMA-key is that a key was taken from: ours, or the other KM's. */
  ageMs(home: KmId, keyId: string): number;
  /** A connection to another KM whose state exchange has ended. */
  peerOf(km: KmId): Pick<PeerConnection, "tell"> | undefined;
  supply(request: SupplyRequest, answer: Answer): () => void;
  fetch(request: FetchRequest, answer: Answer): () => void;
}
