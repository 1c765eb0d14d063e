// What sessions ask of the key manager around them.

import type { AppId, KmId } from "../../core/ids.ts";
import type { Context } from "../common/context.ts";
import type { Quotas } from "../common/quota.ts";
import type { KeyFetcher } from "../fetch/fetch.ts";
import type { ReceivedKeys } from "../fetch/received-keys.ts";
import type { PeerConnection, SessionPeer } from "../ports/peers.ts";
import type { PeerKeysRequest } from "../ports/sessions.ts";
import type { KeySupplier } from "../supply/supply.ts";

/** What is shared with the KM at a session's other end, or with ourselves. */
export interface SessionPair {
  /** Supplies from what this KM is the source of. */
  readonly desk: KeySupplier;
  /** What the other KM is the source of. */
  readonly held: ReceivedKeys;
}

/** What sessions need of the key manager around them. */
export interface SessionHost {
  readonly context: Context;
  readonly quotas: Quotas;
  readonly keyFetcher: KeyFetcher;
  /** Other KMs that may open sessions here. */
  readonly peers: () => number;
  /** @throws Fault STOPPING, HSM_UNAVAILABLE, STORE_UNAVAILABLE */
  checkWorking(): void;
  /** @throws Fault UNKNOWN_APPLICATION */
  homeOf(app: AppId): KmId;
  /** @throws Fault NO_ROUTE */
  pairFor(home: KmId): SessionPair;
  /** As for any supply from what is shared with that KM. @throws Fault KEY_SIZE_INVALID, KEY_SIZE_NOT_BYTES, TOO_MANY_KEYS, MALFORMED_REQUEST, NO_ROUTE */
  checkSize(asked: Pick<PeerKeysRequest, "count" | "sizeBits">, home: KmId): void;
  /** A connection to another KM whose state exchange has ended. */
  peerOf(km: KmId): (SessionPeer & Pick<PeerConnection, "tell">) | undefined;
  /** Whether a connection to another KM is still the one in use. */
  isCurrent(peer: PeerConnection): boolean;
}
