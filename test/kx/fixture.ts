// What every test of Kx needs: names, an offer, ports that record.

import { Fault } from "../../src/core/fault.ts";
import { type KmId, kmId, linkId } from "../../src/core/ids.ts";
import type { Clock, Random } from "../../src/core/ports.ts";
import type {
  ExtensionEntry,
  PeerConnection,
  PeerEvents,
  RelayConfirmation,
  RelayOffer,
  UnprotectedArrival,
} from "../../src/keys/ports/peers.ts";
import type { PeerKeysRequest, SessionCreation } from "../../src/keys/ports/sessions.ts";
import { BufferPool } from "../../src/wire/buffer-pool.ts";
import type { ManualClock } from "../support/manual-clock.ts";
import { recorder } from "../support/recorder.ts";

export const A = kmId("km-a");
export const B = kmId("km-b");
export const C = kmId("km-c");

export const KEY_ID = "00000000-0500-8000-8000-000000000000";
export const TAG = Uint8Array.from({ length: 16 }, (_, index) => index);
export const TAG_BASE64 = "AAECAwQFBgcICQoLDA0ODw==";
export const END_TAG = Uint8Array.from({ length: 16 }, (_, index) => 240 + index);
export const END_TAG_BASE64 = "8PHy8/T19vf4+fr7/P3+/w==";

export const offer = (change: Partial<RelayOffer> = {}): RelayOffer => ({
  requestId: "r-1",
  source: A,
  destination: B,
  transit: [],
  keyId: KEY_ID,
  protection: { scheme: "link", link: linkId("ab"), run: 1, sequence: 42, tag: TAG },
  key: new Uint8Array(0),
  givenUp: "",
  ...change,
});

/** The 0x1101 of `offer()` as the tables say it. */
export const RELAY_JSON = {
  source_KMA_ID: "km-a",
  destination_KMA_ID: "km-b",
  keys: [
    {
      key_ID: KEY_ID,
      key: "",
      key_extension: { protection: { scheme: "link", link: "ab", run: 1, sequence: 42, tag: TAG_BASE64 } },
    },
  ],
  key_relay_request_ID: "r-1",
};

export const COMPLETION_JSON = {
  response: "success",
  key_relay_request_ID: "r-1",
  extension: [{ name: "qkm_confirm", keys: [{ key_ID: KEY_ID, tag: END_TAG_BASE64 }] }],
};

/** What happened, in order; what the key manager answers can be changed. */
export class RecordingEvents implements PeerEvents {
  readonly happened: string[] = [];
  readonly offers: RelayOffer[] = [];
  readonly tells: (readonly ExtensionEntry[])[] = [];
  readonly peers: PeerConnection[] = [];
  onRelayed: (offer: RelayOffer) => Promise<RelayConfirmation> = async ({ keyId }) => ({ keyId, tag: END_TAG });
  onTold: (entries: readonly ExtensionEntry[]) => Promise<void> = async () => {};
  readonly creations: SessionCreation[] = [];
  readonly wishes: PeerKeysRequest[] = [];
  /** As text: what was lent is zero by the time that a test looks. */
  readonly arrivals: (Omit<UnprotectedArrival, "keys"> & { readonly keys: readonly (readonly [string, string])[] })[] =
    [];
  onWhole: (arrival: UnprotectedArrival) => Promise<void> = async () => {};
  onCreated: (creation: SessionCreation) => Promise<void> = async () => {};
  onNotified: (wish: PeerKeysRequest) => Promise<readonly string[]> = async ({ count }) =>
    Array.from({ length: count }, (_, index) => `key-${index + 1}`);

  connected(peer: PeerConnection): void {
    this.peers.push(peer);
    this.happened.push(`connected ${peer.id} #${this.peers.length}`);
  }
  disconnected(peer: PeerConnection): void {
    this.happened.push(`disconnected ${peer.id} #${this.peers.indexOf(peer) + 1}`);
  }
  relayed(peer: PeerConnection, asked: RelayOffer): Promise<RelayConfirmation> {
    this.offers.push(asked);
    this.happened.push(`relayed ${peer.id} ${asked.requestId}`);
    return this.onRelayed(asked);
  }
  told(peer: PeerConnection, entries: readonly ExtensionEntry[]): Promise<void> {
    this.tells.push(entries);
    this.happened.push(`told ${peer.id} ${entries.map(({ name }) => name)}`);
    return this.onTold(entries);
  }
  relayedUnprotected(peer: PeerConnection, arrival: UnprotectedArrival): Promise<void> {
    const keys = arrival.keys.map(({ keyId, letters }) => [keyId, Buffer.from(letters).toString("latin1")] as const);
    this.arrivals.push({ ...arrival, keys });
    this.happened.push(`relayedUnprotected ${peer.id} ${arrival.requestId}`);
    return this.onWhole(arrival);
  }
  sessionCreated(peer: PeerConnection, creation: SessionCreation): Promise<void> {
    this.creations.push(creation);
    this.happened.push(`sessionCreated ${peer.id} ${creation.sessionId}`);
    return this.onCreated(creation);
  }
  sessionNotified(peer: PeerConnection, wish: PeerKeysRequest): Promise<readonly string[]> {
    this.wishes.push(wish);
    this.happened.push(`sessionNotified ${peer.id} ${wish.sessionId}`);
    return this.onNotified(wish);
  }
}

/** Gives the fractions in turn, over and over. */
export const fixedRandom = (...fractions: readonly number[]): Random => {
  let at = 0;
  return {
    fraction: () => fractions[at++ % fractions.length] ?? 0,
    hex: (bytes) => "ab".repeat(bytes),
  };
};

export class TestPorts<C extends Clock = ManualClock> {
  readonly events = new RecordingEvents();
  readonly #recorder = recorder();
  readonly log = this.#recorder.log;
  readonly meter = this.#recorder.meter;
  readonly lines = this.#recorder.lines;
  readonly count = this.#recorder.count;
  readonly random = fixedRandom(0.5);
  readonly buffers = new BufferPool(4);
  readonly clock: C;
  constructor(clock: C) {
    this.clock = clock;
  }
}

/** What a promise was rejected with, as a Fault. */
export async function faultOf(promise: Promise<unknown>): Promise<Fault> {
  try {
    await promise;
  } catch (thrown) {
    if (thrown instanceof Fault) return thrown;
    throw thrown;
  }
  throw new Error("no fault");
}

export const ids = (...texts: readonly string[]): readonly KmId[] => texts.map(kmId);

/** The machine's time, for tests over real sockets. */
export const MACHINE_CLOCK: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(ms, then) {
    const timer = setTimeout(then, ms);
    return () => clearTimeout(timer);
  },
};
