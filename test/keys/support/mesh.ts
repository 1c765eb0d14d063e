// Any number of nodes and links between them, every pair connected by Kx, and all that a test may turn.

import { appId, type KmId, kmId, type LinkId, linkId } from "../../../src/core/ids.ts";
import type { KeysPolicy } from "../../../src/keys/common/context.ts";
import type { LinkSettings } from "../../../src/keys/links/link-inventory.ts";
import type { KeyManagerSettings } from "../../../src/keys/manager/settings.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { Modules } from "./modules.ts";
import { POLICY, QUOTA } from "./network.ts";
import { TestNode } from "./node.ts";
import { seeded } from "./seeded.ts";
import { type Crossing, Wire } from "./wire.ts";

/** A link as `ab` between `km-a` and `km-b`; its ID may have more letters. */
export interface MeshWanted {
  readonly links: readonly string[];
  readonly policy?: Partial<KeysPolicy>;
  readonly blockBytes?: number;
  readonly keepBlocks?: number;
  readonly slots?: number;
  /** Of links that differ. */
  readonly blockBytesOf?: Readonly<Record<string, number>>;
  /** Further applications, as `app-b2`: at home at the KM of their letter. */
  readonly apps?: readonly string[];
  /** Applications beyond a border: the KM's letter and the border, by application. */
  readonly beyond?: Readonly<Record<string, readonly [km: string, border: string]>>;
  /** Of a destination, at every KM. */
  readonly paths?: Readonly<Record<string, number>>;
}

interface MeshLink {
  readonly id: LinkId;
  readonly ends: readonly [KmId, KmId];
  readonly modules: Modules;
}

export const LINE_3 = ["ab", "bc"];
export const LINE_5 = ["ab", "bc", "cd", "de"];
export const RING_4 = ["ab", "bc", "cd", "da"];
/** From a to d by b or by c. */
export const DIAMOND = ["ab", "ac", "bd", "cd"];

const nodeName = (letter: string): KmId => kmId(`km-${letter}`);

export class Mesh {
  readonly clock = new ManualClock();
  readonly nodes: ReadonlyMap<KmId, TestNode>;
  readonly links: readonly MeshLink[];
  readonly wires: readonly Wire[];

  constructor({ links, policy, blockBytes = 4096, keepBlocks = 64, slots, ...more }: MeshWanted) {
    const { paths = {}, blockBytesOf = {}, apps = [], beyond = {} } = more;
    const bytesOf = (id: string): number => blockBytesOf[id] ?? blockBytes;
    const kms = [...new Set(links.flatMap((id) => [...id.slice(0, 2)]))].sort().map(nodeName);
    this.links = links.map((id, at) => ({
      id: linkId(id),
      ends: [nodeName(id[0] ?? ""), nodeName(id[1] ?? "")],
      modules: new Modules(seeded(at + 1), bytesOf(id)),
    }));
    const common = {
      policy: { ...POLICY, ...policy },
      apps: [
        ...[...kms.map((home) => `app-${home.slice(3)}`), ...apps].map((id) => ({
          id: appId(id),
          home: nodeName(id.charAt(4)),
          quota: QUOTA,
        })),
        ...Object.entries(beyond).map(([id, [km, border]]) => ({
          id: appId(id),
          home: nodeName(km),
          border: kmId(border),
          quota: QUOTA,
        })),
      ],
      topology: this.links.map(({ id, ends }) => ({ id, kms: ends, cost: 1 })),
      paths: new Map(Object.entries(paths).map(([letter, count]) => [nodeName(letter), count])),
    };
    const linksAt = (self: KmId): LinkSettings[] =>
      this.links.flatMap(({ id, ends }) => {
        const peer = ends.find((end) => end !== self);
        return ends.includes(self) && peer
          ? [{ id, peer, blockBytes: bytesOf(id), share: [1, 1] as const, keepBlocks }]
          : [];
      });
    const settingsAt = (id: KmId): KeyManagerSettings & { readonly id: KmId } => ({
      ...common,
      id,
      links: linksAt(id),
      peers: kms.filter((peer) => peer !== id),
    });
    this.nodes = new Map(kms.map((id) => [id, new TestNode(this.clock, settingsAt(id), slots)]));
    for (const { id, ends, modules } of this.links) {
      for (const end of [0, 1] as const) this.node(ends[end]).attached.push({ link: id, modules, end });
    }
    this.wires = kms.flatMap((a, at) =>
      kms.slice(at + 1).map((b) => new Wire(this.clock, [this.node(a), this.node(b)])),
    );
  }

  /** All up and connected, with so many blocks of each link. */
  static async up(wanted: MeshWanted & { readonly blocks?: number }): Promise<Mesh> {
    const mesh = new Mesh(wanted);
    for (const node of mesh.nodes.values()) await node.boot();
    mesh.connect();
    mesh.make(wanted.blocks ?? 16);
    await mesh.run(500);
    return mesh;
  }

  /** By its ID or letter. */
  node(name: string): TestNode {
    const node = this.nodes.get((name.length === 1 ? nodeName(name) : name) as KmId);
    if (node === undefined) throw new Error(`there is no node ${name}`);
    return node;
  }

  /** What two nodes share, as the first sees it. */
  peer(at: string, of: string) {
    const found = this.node(at).parts.peers.get(this.node(of).id);
    if (found === undefined) throw new Error(`${at} has no peer ${of}`);
    return found;
  }

  link(at: string, id: string) {
    const book = this.node(at).parts.links.get(id);
    if (book === undefined) throw new Error(`${at} has no link ${id}`);
    return book;
  }

  wire(a: string, b: string): Wire {
    const wire = this.wires.find(({ ends }) => [a, b].every((name) => ends.some(({ id }) => id === nodeName(name))));
    if (wire === undefined) throw new Error(`there is no wire ${a}${b}`);
    return wire;
  }

  wiresOf(name: string): readonly Wire[] {
    return this.wires.filter(({ ends }) => ends.some(({ id }) => id === nodeName(name)));
  }

  modules(id: string): Modules {
    const link = this.links.find((one) => one.id === id);
    if (link === undefined) throw new Error(`there is no link ${id}`);
    return link.modules;
  }

  /** So many blocks of every link. */
  make(blocks: number): void {
    for (const { modules } of this.links) modules.make(blocks);
  }

  connect(): void {
    for (const wire of this.wires) if (!wire.isUp) wire.connect();
  }

  run(ms: number): Promise<void> {
    return this.clock.run(ms);
  }

  /** The process ends and its connections with it. */
  crash(name: string): void {
    this.node(name).crash();
    for (const wire of this.wiresOf(name)) wire.cut();
  }

  /** It starts again on what was durable. */
  async reboot(name: string): Promise<void> {
    this.crash(name);
    await this.node(name).boot();
    this.connect();
    await this.run(200);
  }

  /** All that crossed between two nodes, in order. */
  crossings(a: string, b: string): readonly Crossing[] {
    return this.wire(a, b).log;
  }
}
