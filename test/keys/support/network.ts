// Two nodes with one link between them, `km-a ══ab══ km-b`, and all that a test may turn.

import { appId, kmId, linkId } from "../../../src/core/ids.ts";
import type { KeysPolicy } from "../../../src/keys/common/context.ts";
import type { Quota } from "../../../src/keys/common/quota.ts";
import type { AppEntry } from "../../../src/keys/directory/application-table.ts";
import type { LinkSettings } from "../../../src/keys/links/link-inventory.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { Modules } from "./modules.ts";
import { TestNode } from "./node.ts";
import { DEFAULT_SESSIONS } from "./policy.ts";
import { seeded } from "./seeded.ts";
import { Wire } from "./wire.ts";

export const POLICY: KeysPolicy = {
  defaultKeyBits: 256,
  timeoutMs: 5000,
  maxWaiting: 100,
  maxAgeMs: 3_600_000,
  fetchWindowMs: 600_000,
  relayTimeoutMs: 2000,
  stockLow: 2,
  stockHigh: 4,
  maxHeld: 64,
  sessions: DEFAULT_SESSIONS,
  epochMs: 3_600_000_000,
};

export const QUOTA: Quota = { bitsPerS: 1e9, burstBits: 1e9 };

const app = (id: string, home: string, quota = QUOTA): AppEntry => ({ id: appId(id), home: kmId(home), quota });

export const APPS: readonly AppEntry[] = [
  app("app-a1", "km-a"),
  app("app-a2", "km-a"),
  app("app-a3", "km-a"),
  app("app-b1", "km-b"),
  app("app-b2", "km-b"),
  app("app-c1", "km-c"),
];

export interface Wanted {
  readonly blockBytes?: number;
  readonly keepBlocks?: number;
  readonly policy?: Partial<KeysPolicy>;
  readonly apps?: readonly AppEntry[];
  readonly slots?: number;
  /** What differs at km-b. */
  readonly linkAtB?: Partial<LinkSettings>;
  readonly seed?: number;
}

export class Network {
  readonly clock: ManualClock;
  readonly a: TestNode;
  readonly b: TestNode;
  readonly wire: Wire;
  readonly modules: Modules;

  constructor({ blockBytes = 4096, keepBlocks = 64, policy, apps = APPS, slots, linkAtB, seed = 1 }: Wanted = {}) {
    this.clock = new ManualClock();
    const link = { id: linkId("ab"), blockBytes, share: [1, 1] as const, keepBlocks };
    const common = { policy: { ...POLICY, ...policy }, apps };
    const [a, b] = [kmId("km-a"), kmId("km-b")];
    this.a = new TestNode(this.clock, { ...common, id: a, links: [{ ...link, peer: b }], peers: [b] }, slots);
    this.b = new TestNode(
      this.clock,
      { ...common, id: b, links: [{ ...link, peer: a, ...linkAtB }], peers: [a] },
      slots,
    );
    this.modules = new Modules(seeded(seed), blockBytes);
    this.a.attached.push({ link: "ab", modules: this.modules, end: 0 });
    this.b.attached.push({ link: "ab", modules: this.modules, end: 1 });
    this.wire = new Wire(this.clock, [this.a, this.b]);
  }

  /** Both nodes up and connected, with what so many blocks give. */
  static async up(wanted: Wanted & { readonly blocks?: number } = {}): Promise<Network> {
    const network = new Network(wanted);
    await network.a.boot();
    await network.b.boot();
    network.wire.connect();
    network.modules.make(wanted.blocks ?? 8);
    await network.clock.run(200);
    return network;
  }

  /** Lets time pass, with everything that is under way. */
  run(ms: number): Promise<void> {
    return this.clock.run(ms);
  }

  /** The process ends and starts again on what was durable. */
  async reboot(node: TestNode): Promise<void> {
    if (node.events !== undefined || node.crashed) node.crash();
    this.wire.cut();
    await node.boot();
    this.wire.connect();
    await this.run(200);
  }
}
