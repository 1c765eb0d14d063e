// What the key manager offers to the faces, and what it is given: in references, never in bytes.

import type { Fault } from "../core/fault.ts";
import type { AppId, KmId, LinkId } from "../core/ids.ts";

export type Door = "ak" | "etsi014";

/** Q.4161 0x2101, ETSI 014 Get key: new keys for the caller and another application. */
export interface SupplyRequest {
  readonly door: Door;
  /** Who asks, by its certificate; homed at this KM. */
  readonly app: AppId;
  readonly destination: AppId;
  readonly count: number;
  readonly sizeBits: number;
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
  /** Writes the key ID, 36 ASCII bytes, at `at`; returns the position behind it. */
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

/** How a relayed KMA-key is protected on its hop: `key_extension.protection`. */
export interface LinkProtection {
  readonly scheme: "link";
  readonly link: LinkId;
  readonly run: number;
  readonly sequence: number;
  /** 16 bytes. */
  readonly tag: Uint8Array;
}

/** Q.4163 0x1101, one KMA-key. */
export interface RelayOffer {
  readonly requestId: string;
  readonly source: KmId;
  readonly destination: KmId;
  readonly transit: readonly KmId[];
  /** UUID with offset, length and tag 0. */
  readonly keyId: string;
  readonly protection: LinkProtection;
  /** Serials that the source gave up, such as `17,20-22`; empty for none. */
  readonly givenUp: string;
}

/** Q.4163 0x1102: the end-to-end tag (16 bytes) that the destination computed. A failure is a Fault instead. */
export interface RelayConfirmation {
  readonly keyId: string;
  readonly tag: Uint8Array;
}

/** One entry of an `extension`: `name` and more members, JSON values. */
export type ExtensionEntry = { readonly name: string } & Readonly<Record<string, unknown>>;

/** An authenticated Kx connection to a peer, as the key manager uses it. */
export interface Peer {
  readonly id: KmId;
  /** Sends 0x1101, resolves with 0x1102. @throws Fault of the peer, RELAY_TIMEOUT, or PEER_UNAVAILABLE when it closes */
  relay(offer: RelayOffer, timeoutMs: number): Promise<RelayConfirmation>;
  /** Sends 0x1103 with `number_of_keys` 0 and an empty session ID; resolves when 0x1104 says success. @throws Fault */
  tell(entries: readonly ExtensionEntry[], timeoutMs: number): Promise<void>;
  /** Ends the connection; it is dialled again by whoever dials. */
  close(reason: string): void;
}

/** What kx tells the key manager. */
export interface PeerEvents {
  /** A new connection; it replaces any older one of the same peer, whose calls then have failed. */
  connected(peer: Peer): void;
  disconnected(peer: Peer): void;
  /** @throws Fault, which becomes the 0x1102 */
  relayed(peer: Peer, offer: RelayOffer): Promise<RelayConfirmation>;
  /** Called in the order of arrival; the answer waits for the promise. @throws Fault, which becomes the 0x1104 */
  told(peer: Peer, entries: readonly ExtensionEntry[]): Promise<void>;
}
