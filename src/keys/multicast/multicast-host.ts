// What multicast asks of the key manager around it.

import type { AppId, KmId } from "../../core/ids.ts";
import type { Context } from "../common/context.ts";
import type { Quotas } from "../common/quota.ts";
import type { Answer, FetchRequest, KeySizes, SupplyRequest } from "../ports/keys.ts";
import type { PeerConnection } from "../ports/peers.ts";

/** What multicast asks of the key manager around it. */
export interface MulticastHost {
  readonly context: Context;
  readonly quotas: Quotas;
  /** @throws Fault STOPPING, HSM_UNAVAILABLE, STORE_UNAVAILABLE */
  checkWorking(): void;
  /** @throws Fault UNKNOWN_APPLICATION */
  homeOf(app: AppId): KmId;
  /** Of keys with an application's home. @throws Fault NO_ROUTE, EXTENSION_UNSUPPORTED */
  sizes(home: KmId): KeySizes;
  /** A connection to another KM whose state exchange has ended. */
  peerOf(km: KmId): Pick<PeerConnection, "tell"> | undefined;
  supply(request: SupplyRequest, answer: Answer): () => void;
  fetch(request: FetchRequest, answer: Answer): () => void;
}
