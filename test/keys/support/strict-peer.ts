// A key manager of another make at the far end of a wire: takes whole keys, relays its own, and proves nothing.

import { Fault, type FaultCode } from "../../../src/core/fault.ts";
import { appId, kmId } from "../../../src/core/ids.ts";
import type { KeysPolicy } from "../../../src/keys/common/context.ts";
import type { Quota } from "../../../src/keys/common/quota.ts";
import type { AppEntry } from "../../../src/keys/directory/application-table.ts";
import type { KeyManagerSettings } from "../../../src/keys/manager/settings.ts";
import type {
  PeerConnection,
  PeerEvents,
  UnprotectedArrival,
  UnprotectedOffer,
} from "../../../src/keys/ports/peers.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import type { GivenKey } from "./apps.ts";
import { POLICY, QUOTA } from "./network.ts";
import { TestNode } from "./node.ts";
import { Wire } from "./wire.ts";

const [OURS, THEIRS] = [kmId("km-a"), kmId("km-s")];

/** Bytes for applications of which every one is `fill`, as base64. */
export const letters = (fill: number, bytes = 32): string => Buffer.alloc(bytes, fill).toString("base64");

/** What it would send: keys by ID, each of bytes that are all the same. */
export function offering(keys: readonly (readonly [id: string, letters: string])[], change = {}): UnprotectedOffer {
  return {
    requestId: "r-s",
    source: THEIRS,
    destination: OURS,
    transit: [],
    keys: keys.map(([keyId, text]) => ({
      keyId,
      length: Buffer.from(text, "base64").length,
      writeKey: (target: Uint8Array, at: number) => at + Buffer.from(text, "latin1").copy(target, at),
    })),
    ...change,
  };
}

class StrictKm implements PeerEvents {
  readonly id = THEIRS;
  readonly events: PeerEvents = this;
  peer: PeerConnection | undefined;
  /** What was relayed to it. */
  readonly taken = new Map<string, string>();
  /** Of each relay how many keys it had. */
  readonly relays: number[] = [];
  /** What it answers, if it is no success. */
  refusal: FaultCode | undefined;

  connected(peer: PeerConnection): void {
    this.peer = peer;
  }
  disconnected(): void {
    this.peer = undefined;
  }
  async relayedUnprotected(_peer: PeerConnection, { keys }: UnprotectedArrival): Promise<void> {
    this.relays.push(keys.length);
    if (this.refusal !== undefined) throw new Fault(this.refusal);
    for (const { keyId, letters: text } of keys) this.taken.set(keyId, Buffer.from(text).toString("latin1"));
  }
  relayed = (): Promise<never> => Promise.reject(new Fault("PROTECTION_REFUSED"));
  told = (): Promise<never> => Promise.reject(new Fault("MALFORMED_REQUEST"));
  sessionCreated = (): Promise<never> => Promise.reject(new Fault("MALFORMED_REQUEST"));
  sessionNotified = (): Promise<never> => Promise.reject(new Fault("MALFORMED_REQUEST"));
}

const app = (id: string, home: string, quota: Quota): AppEntry => ({ id: appId(id), home: kmId(home), quota });

/** km-a, ours, and km-s, of another make. */
export class StrictPair {
  readonly clock = new ManualClock();
  readonly a: TestNode;
  readonly s = new StrictKm();
  readonly wire: Wire;

  constructor(policy: Partial<KeysPolicy> = {}, fetchApps: readonly string[] = ["app-a1"], quota = QUOTA) {
    const settings: KeyManagerSettings = {
      policy: { ...POLICY, maxHeld: 256, ...policy },
      links: [],
      peers: [THEIRS],
      apps: [app("app-a1", "km-a", quota), app("app-a2", "km-a", quota), app("app-s1", "km-s", quota)],
      strict: new Map([[THEIRS, { fetchApps: fetchApps.map(appId) }]]),
    };
    this.a = new TestNode(this.clock, { ...settings, id: OURS });
    this.wire = new Wire(this.clock, [this.a, this.s]);
  }

  static async up(policy?: Partial<KeysPolicy>, fetchApps?: readonly string[], quota?: Quota): Promise<StrictPair> {
    const pair = new StrictPair(policy, fetchApps, quota);
    await pair.a.boot();
    pair.wire.connect();
    await pair.run(200);
    return pair;
  }

  run(ms: number): Promise<void> {
    return this.clock.run(ms);
  }

  /** km-a ends without a word, and starts again on what was durable. */
  async reboot(): Promise<void> {
    if (this.a.events !== undefined || this.a.crashed) this.a.crash();
    this.wire.cut();
    await this.a.boot();
    this.wire.connect();
    await this.run(200);
  }

  get stock() {
    const strict = this.a.parts.strict.get(THEIRS);
    if (strict === undefined) throw new Error("km-s is no strict peer");
    return strict;
  }

  /** Relays keys to km-a. */
  async relay(keys: readonly (readonly [id: string, letters: string])[], change = {}): Promise<void> {
    if (this.s.peer === undefined) throw new Error("not connected");
    const relayed = this.s.peer.relayUnprotected(offering(keys, change), 2_000);
    relayed.catch(() => {});
    await this.run(0);
    await relayed;
  }

  /** True when km-s has every one of these keys under its ID. */
  has(given: readonly GivenKey[]): boolean {
    return given.every(({ id, key }) => this.s.taken.get(id) === key);
  }
}
