// What the key manager offers to the faces, and what it is given: in references, never in bytes.

import type { Fault } from "../core/fault.ts";
import type { AppId, KmId, LinkId } from "../core/ids.ts";
import type { Provenance } from "../core/topology/provenance.ts";

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

/** Q.4161 0x2104: a session of the caller with another application. */
export interface SessionRequest {
  /** Who asks, by its certificate; homed at this KM. */
  readonly app: AppId;
  readonly destination: AppId;
  readonly applicationName: string | undefined;
  readonly budget: number | undefined;
}

/** Exactly one of the two is called, once. */
export interface SessionAnswer {
  /** 0x1205 with success. */
  opened(sessionId: SessionId, sourceKm: KmId): void;
  refused(fault: Fault): void;
}

/** Q.4161 0x2108: keys for the session's initiator. */
export interface SessionKeysRequest extends PeerKeysRequest {
  /** Who asks, by its certificate. */
  readonly app: AppId;
}

/** One connection of an application, as the key manager reaches it. */
export interface AppLine {
  /** By its certificate; homed at this KM. */
  readonly app: AppId;
  /** Sends 0x1206; resolves when 0x2107 says success. @throws Fault: what 0x2107 says, APP_UNAVAILABLE when this connection takes no sessions, PEER_UNAVAILABLE when it is late or gone */
  notify(creation: SessionCreation, timeoutMs: number): Promise<void>;
  /**
   * Sends 0x120A with the keys, which it writes and disposes; resolves with the IDs that 0x210B acknowledged, in the
   * order of the keys, when all have been answered, the time is over or the connection is gone.
   * @throws Fault MALFORMED_REQUEST when none was acknowledged, and an answer could not be read
   */
  push(sessionId: SessionId, grant: Grant, timeoutMs: number): Promise<readonly string[]>;
}

/** What ak sees of the proactive mode (Q.4161 8.2). */
export interface SessionDoor {
  /** A connection of an application is open; the function returned tells that it is gone. Offers go to the newest that takes sessions. */
  attach(line: AppLine): () => void;
  /** The functions returned give the request up (the client is gone); harmless after the answer. */
  createSession(request: SessionRequest, answer: SessionAnswer): () => void;
  sessionKeys(request: SessionKeysRequest, answer: Answer): () => void;
}

/** ETSI GS QKD 004: what a key stream is to be like; 0 where the key manager may choose. */
export interface StreamQos {
  /** Bytes of the key at each index. */
  readonly chunkBytes: number;
  readonly maxBps: number;
  readonly minBps: number;
  readonly jitterBps: number;
  readonly priority: number;
  /** How long a call may take. */
  readonly timeoutMs: number;
  /** After so long key that nobody took is erased. */
  readonly ttlS: number;
  /** Whether key comes with what is known of it. */
  readonly withFacts: boolean;
}

/** A stream's name (`Key_stream_ID`): 32 lower-case hexadecimal digits. */
export type StreamId = string;

/** OPEN_CONNECT. */
export interface StreamRequest {
  /** Who asks, by its certificate; homed at this KM. */
  readonly app: AppId;
  readonly other: AppId;
  /** Undefined when this KM is to choose it. */
  readonly id: StreamId | undefined;
  readonly qos: StreamQos;
}

/** Exactly one of the two is called, once. */
export interface StreamAnswer {
  /** `qos` as it is registered; `isJoined`: the other application has opened the stream too. */
  opened(id: StreamId, qos: StreamQos, isJoined: boolean): void;
  /** `offer`: the nearest that can be had, when the wish was the reason. */
  refused(fault: Fault, offer?: StreamQos): void;
}

/** GET_KEY. */
export interface ChunkRequest {
  /** Who asks, by its certificate. */
  readonly app: AppId;
  readonly id: StreamId;
  readonly index: number;
}

/** What is known of the key at an index. */
export interface ChunkFacts {
  /** Since the relay of its KMA-key began. */
  readonly ageMs: number;
  /** Key managers between the two ends. */
  readonly hops: number;
}

/** Exactly one of the two is called, once. */
export interface ChunkAnswer {
  /** The chunk: the keys of the grant one after the other, of which the first `bytes` bytes count. */
  granted(grant: Grant, bytes: number, facts: ChunkFacts): void;
  refused(fault: Fault): void;
}

/** What etsi004 sees of the key manager. A stream that is not this application's is unknown to it. */
export interface StreamDoor {
  /** The functions returned give the request up (the client is gone); harmless after the answer. */
  openStream(request: StreamRequest, answer: StreamAnswer): () => void;
  chunk(request: ChunkRequest, answer: ChunkAnswer): () => void;
  /** As it is registered. @throws Fault SESSION_UNKNOWN */
  streamQos(app: AppId, id: StreamId): StreamQos;
  /** @throws Fault SESSION_UNKNOWN */
  closeStream(app: AppId, id: StreamId): void;
}

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

/** A session's name, chosen by the initiator's home KM: unique there together with that KM's ID. */
export type SessionId = string;

/** What two key managers and the destination's application are told of a new session. */
export interface SessionCreation {
  readonly sessionId: SessionId;
  readonly initiator: AppId;
  readonly destination: AppId;
  readonly applicationName: string | undefined;
  /** The session's budget: the most keys that it may supply; undefined for no limit but the configured one. */
  readonly budget: number | undefined;
}

/** Q.4163 0x1103 in a session: keys wanted for its destination application. */
export interface PeerKeysRequest {
  readonly sessionId: SessionId;
  readonly count: number;
  readonly sizeBits: number;
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
