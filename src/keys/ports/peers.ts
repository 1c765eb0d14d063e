// Other key managers: what a Kx connection does for the key manager, and what it asks of it.

import type { KmId, LinkId } from "../../core/ids.ts";
import type { PeerKeysRequest, SessionCreation } from "./sessions.ts";

/** A range of a link block, in bytes. */
export interface LinkRange {
  readonly link: LinkId;
  readonly run: number;
  readonly sequence: number;
  readonly offset: number;
  readonly length: number;
}

/** First hop: the KMA-key *is* a link block of this hop, named. */
export interface LinkProtection {
  readonly scheme: "link";
  readonly link: LinkId;
  readonly run: number;
  readonly sequence: number;
  /** 16 bytes. */
  readonly tag: Uint8Array;
}

/** Later hops: the KMA-key travels under a pad of link blocks that the sender owns. */
export interface OtpProtection {
  readonly scheme: "otp";
  /** Together as long as the KMA-key and 32 bytes more, which key the tag; in the order of the link's stream. */
  readonly pads: readonly LinkRange[];
  /** 16 bytes. */
  readonly tag: Uint8Array;
}

/** How a relayed KMA-key is protected on its hop: `key_extension.protection` (key-protocol 2). */
export type Protection = LinkProtection | OtpProtection;

/** Multipath: one of several blocks whose XOR is the KMA-key. */
export interface Part {
  /** From 1. */
  readonly part: number;
  readonly parts: number;
}

/** Q.4163 0x1101, one KMA-key or one part of it. */
export interface RelayOffer {
  readonly requestId: string;
  readonly source: KmId;
  readonly destination: KmId;
  readonly transit: readonly KmId[];
  /** UUID with offset, length and tag 0. */
  readonly keyId: string;
  readonly protection: Protection;
  /** As it travels: KMA-key XOR pad under `otp`, lent until the answer; empty under `link`. */
  readonly key: Uint8Array;
  /** Absent when the KMA-key comes whole. */
  readonly part?: Part;
  /** Serials that the source gave up, such as `17,20-22`; empty for none. */
  readonly givenUp: string;
}

/** Q.4163 0x1102: the end-to-end tag (16 bytes) that the destination computed. A failure is a Fault instead. */
export interface RelayConfirmation {
  readonly keyId: string;
  readonly tag: Uint8Array;
}

/** A whole key on its way to or from a peer of another make: no protection but TLS. */
export interface UnprotectedKey {
  /** The sender's, at most 256 characters. */
  readonly keyId: string;
  /** Bytes. */
  readonly length: number;
  /**
   * Writes the base64 of the key, padded, at `at`; returns the position behind it. Called once at most, when the frame
   * leaves: not after the promise of `relayUnprotected` is settled.
   */
  writeKey(target: Uint8Array, at: number): number;
}

/** Q.4163 0x1101 in the strict dialect, to be sent. */
export interface UnprotectedOffer {
  readonly requestId: string;
  readonly source: KmId;
  readonly destination: KmId;
  readonly transit: readonly KmId[];
  readonly keys: readonly UnprotectedKey[];
}

/** Q.4163 0x1101 in the strict dialect, as it came. */
export interface UnprotectedArrival extends Omit<UnprotectedOffer, "keys"> {
  /** `letters`: the base64 as it came, lent until the promise of `relayedUnprotected` is settled, zeroed then. */
  readonly keys: readonly { readonly keyId: string; readonly letters: Uint8Array }[];
}

/** One entry of an `extension`: `name` and more members, JSON values. */
export type ExtensionEntry = { readonly name: string } & Readonly<Record<string, unknown>>;

/** An authenticated Kx connection to a peer, as the key manager uses it. */
export interface PeerConnection extends UnprotectedRelayPeer, SessionPeer {
  readonly id: KmId;
  /** Sends 0x1101, resolves with 0x1102. @throws Fault of the peer, RELAY_TIMEOUT, or PEER_UNAVAILABLE when it closes */
  relay(offer: RelayOffer, timeoutMs: number): Promise<RelayConfirmation>;
  /** Sends 0x1103 with `number_of_keys` 0 and an empty session ID; resolves when 0x1104 says success. @throws Fault */
  tell(entries: readonly ExtensionEntry[], timeoutMs: number): Promise<void>;
  /** Ends the connection; it is dialled again by whoever dials. */
  close(reason: string): void;
}

/** What kx tells the key manager. */
export interface PeerEvents extends UnprotectedRelayEvents, SessionEvents {
  /** A new connection; it replaces any older one of the same peer, whose calls then have failed. */
  connected(peer: PeerConnection): void;
  disconnected(peer: PeerConnection): void;
  /** @throws Fault, which becomes the 0x1102 */
  relayed(peer: PeerConnection, offer: RelayOffer): Promise<RelayConfirmation>;
  /** Called in the order of arrival; the answer waits for the promise. @throws Fault, which becomes the 0x1104 */
  told(peer: PeerConnection, entries: readonly ExtensionEntry[]): Promise<void>;
}

/** A Kx connection with a peer configured as strict. */
export interface UnprotectedRelayPeer {
  /** Sends 0x1101 in the strict dialect; resolves when 0x1102, with the request ID or without, says success. @throws Fault */
  relayUnprotected(offer: UnprotectedOffer, timeoutMs: number): Promise<void>;
}

/** What a strict peer asks of this KM. */
export interface UnprotectedRelayEvents {
  /** A peer configured as strict relays whole keys. @throws Fault, which becomes the 0x1102 */
  relayedUnprotected(peer: PeerConnection, arrival: UnprotectedArrival): Promise<void>;
}

/** What a Kx connection does for sessions. */
export interface SessionPeer {
  /** Sends 0x1103 with the entry `session_creation`; resolves when the one 0x1104 says success. @throws Fault */
  createSession(creation: SessionCreation, timeoutMs: number): Promise<void>;
  /**
   * Sends 0x1103; resolves with the IDs of the keys that the destination application acknowledged, when a 0x1104 for
   * each key wanted has come, or one that lists them. @throws Fault of the peer when it refuses the whole
   */
  notifySession(options: PeerKeysRequest, timeoutMs: number): Promise<readonly string[]>;
}

/** What another KM asks of this one for sessions (Q.4163 8.3). */
export interface SessionEvents {
  /** @throws Fault, which becomes the 0x1104 */
  sessionCreated(peer: PeerConnection, creation: SessionCreation): Promise<void>;
  /** Resolves with the IDs acknowledged, one 0x1104 each; for the rest of `count` one with an empty ID. @throws Fault */
  sessionNotified(peer: PeerConnection, options: PeerKeysRequest): Promise<readonly string[]>;
}
