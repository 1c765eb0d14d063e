// Keys on demand, and keys by their IDs: what every door for applications asks of the key manager.
//
// `ports/`: what the key manager offers to its doors and to Kx, and what it is given of them: in references, never in bytes.

import type { Fault } from "../../core/fault.ts";
import type { AppId, KmId } from "../../core/ids.ts";
import type { Provenance } from "../../core/topology/provenance.ts";

/**
 * How keys leave; `etsi020`: over a border, to another network; `session`: pushed to the destination of a session of Ak, or
 * supplied to its initiator; `multicast`: as pad of keys that several applications get.
 */
export type Door = "ak" | "etsi014" | "etsi004" | "skip" | "etsi020" | "session" | "multicast";

/** Q.4161 0x2101, ETSI 014 Get key: new keys for the caller and another application. */
export interface SupplyRequest {
  readonly door: Door;
  /** Who asks, by its certificate; homed at this KM. */
  readonly app: AppId;
  readonly destination: AppId;
  /** Further applications that are to get the same keys; at most `LIMITS.multicastApps - 1`. */
  readonly others?: readonly AppId[];
  readonly count: number;
  readonly sizeBits: number;
  /** Only such keys; a request for which there are none at hand is refused. */
  readonly only?: Provenance;
  /** Such keys if they are at hand, others if not. */
  readonly rather?: Provenance;
}

/** Q.4161 0x2102, ETSI 014 Get key with key IDs. */
export interface FetchRequest {
  readonly door: Door;
  /** Who asks, by its certificate. */
  readonly app: AppId;
  /** The application that was supplied first. */
  readonly initiator: AppId;
  /** As they came; any wrong one refuses them all. */
  readonly keyIds: readonly string[];
}

/**
 * Keys for one request, in the order asked, pinned in locked memory until dispose. Write every key once, then dispose;
 * a grant disposed before all are written counts the rest as undelivered.
 */
export interface Grant extends Disposable {
  readonly count: number;
  /** Bytes of key `index`. */
  size(index: number): number;
  /** Bytes of the ID of key `index`; absent where every ID has 36. */
  idBytes?(index: number): number;
  /** Writes the key ID, ASCII that JSON does not escape, at `at`; returns the position behind it. */
  writeId(index: number, target: Uint8Array, at: number): number;
  /** Writes the base64 of the key, padded, at `at`; zeroes it in locked memory; returns the position behind it. */
  writeKey(index: number, target: Uint8Array, at: number): number;
}

/** Exactly one of the two is called, once, perhaps before `supply` or `fetch` returns. */
export interface Answer {
  granted(grant: Grant): void;
  refused(fault: Fault): void;
}

/** What an ETSI 014 status shows. */
export interface SupplyStatus {
  readonly sourceKm: KmId;
  readonly targetKm: KmId;
  /** Keys of the default size that could be supplied now. */
  readonly storedKeys: number;
  readonly maxStoredKeys: number;
  readonly sizes: KeySizes;
}

/** In bits. `maxKeys` tells how many keys of a size fit one answer frame. */
export interface KeySizes {
  readonly defaultBits: number;
  readonly minBits: number;
  readonly maxBits: number;
  maxKeys(sizeBits: number): number;
}

/** What ak and etsi014 see of the key manager. */
export interface KeyDoor {
  readonly sizes: KeySizes;
  /** The function returned gives the request up (the client is gone); harmless after the answer. */
  supply(request: SupplyRequest, answer: Answer): () => void;
  fetch(request: FetchRequest, answer: Answer): () => void;
  /** @throws Fault UNKNOWN_APPLICATION */
  status(app: AppId, other: AppId): SupplyStatus;
}
