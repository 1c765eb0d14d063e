// What a running key manager takes of another configuration: policy, peers, links, topology. Applications have a table of their own.
//
// Peers and links that leave the configuration are not forgotten: their key stays in store and inventory, ages and is
// re-encrypted as before, and serves again when they come back. Nothing is done with it meanwhile. A start reads what is
// shared with every peer that the store knows; the blocks of a link that is not configured are read when it comes back.

import { Fault } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import type { Context, KeysPolicy } from "../common/context.ts";
import type { Quotas } from "../common/quota.ts";
import { LinkInventory, type LinkSettings } from "../links/link-inventory.ts";
import type { Peer } from "../peers/peer.ts";
import type { RelayNetwork } from "../relay/relay-network.ts";
import type { RouteTable } from "../routes/route-table.ts";
import { type Routes, wholeTopology } from "../routes/routes.ts";
import type { StrictPeers } from "../strict/strict.ts";
import { loadLink } from "./load.ts";
import type { KeyManagerSettings } from "./settings.ts";

/** The parts of the key manager that change with its configuration. */
export interface ChangingParts {
  readonly context: Context;
  /** The one in the context, which everybody reads anew each time. */
  readonly policy: KeysPolicy;
  readonly quotas: Quotas;
  readonly peers: Map<KmId, Peer>;
  readonly strict: StrictPeers;
  readonly links: Map<string, LinkInventory>;
  /** Of each peer that proves keys: routes over which each KMA-key travels in parts. */
  readonly paths: Map<KmId, number>;
  readonly routes: Routes;
  readonly routeAdmin: RouteTable;
  readonly relays: RelayNetwork;
  readonly newPeer: (id: KmId) => Peer;
  /** Ends the connection with a peer: the next one begins with a state exchange. */
  readonly drop: (peer: Peer, why: string) => void;
}

/** Another configuration, with what was read for it. */
export interface PreparedSettings {
  readonly settings: KeyManagerSettings;
  /** The inventory of each of its links. */
  link(id: string): LinkInventory | undefined;
}

/** Takes other configurations while the key manager runs. */
export class Reconfiguration {
  readonly #parts: ChangingParts;

  constructor(parts: ChangingParts) {
    this.#parts = parts;
  }

  /** Changes nothing yet. @throws Fault MALFORMED_REQUEST that says what needs a restart first */
  async prepare(settings: KeyManagerSettings): Promise<PreparedSettings> {
    const { links: known, context } = this.#parts;
    const added = new Map<string, LinkInventory>();
    for (const link of settings.links) {
      const there = known.get(link.id);
      if (there !== undefined && !there.fits(link)) {
        const text = `the link ${link.id} had another peer or block_bytes since the start: restart for that`;
        throw new Fault("MALFORMED_REQUEST", { text });
      }
      if (there !== undefined) continue;
      const inventory = new LinkInventory(context.self, link);
      await loadLink(context, inventory);
      added.set(link.id, inventory);
    }
    return { settings, link: (id) => known.get(id) ?? added.get(id) };
  }

  /** All in one go: nobody sees a half of it. */
  take({ settings, link }: PreparedSettings): void {
    const { context, policy, quotas, routes, routeAdmin } = this.#parts;
    const { sessions, ...rest } = settings.policy;
    Object.assign(policy.sessions, sessions);
    Object.assign(policy, rest);
    quotas.changed();
    const changed = new Set([...this.#takePeers(settings), ...this.#takeLinks(settings.links, link)]);
    routes.change(wholeTopology(context.self, settings));
    routeAdmin.recheck();
    for (const peer of changed) this.#parts.drop(peer, "the configuration of links and peers has changed");
    this.#parts.relays.reconfigured();
  }

  /** Those that have left. */
  #takePeers({ peers, paths, strict }: KeyManagerSettings): readonly Peer[] {
    const { peers: known, paths: own } = this.#parts;
    const extended = peers.filter((id) => strict?.has(id) !== true);
    this.#parts.strict.configure(strict ?? new Map());
    own.clear();
    for (const id of extended) {
      own.set(id, paths?.get(id) ?? 1);
      const peer = known.get(id);
      if (peer !== undefined) peer.isConfigured = true;
      else this.#addPeer(id);
    }
    const left = [...known.values()].filter(({ id, isConfigured }) => isConfigured && !own.has(id));
    for (const peer of left) {
      peer.isConfigured = false;
      peer.desk.refuseAll(new Fault("NO_ROUTE", { text: `${peer.id} is no peer of this KM any more` }));
    }
    return left;
  }

  #addPeer(id: KmId): void {
    const peer = this.#parts.newPeer(id);
    this.#parts.peers.set(id, peer);
    this.#parts.relays.joinPeer(peer);
  }

  /** The peers at their other ends, of those that have come or left, or are other ones. */
  #takeLinks(links: readonly LinkSettings[], inventory: PreparedSettings["link"]): readonly Peer[] {
    const { links: known, peers } = this.#parts;
    const now = new Set<string>(links.map(({ id }) => id));
    const changed: LinkInventory[] = [];
    for (const settings of links) {
      const link = inventory(settings.id);
      if (link === undefined) throw new Error(`the link ${settings.id} was not prepared`);
      const isOther = link.configure(settings);
      const isNew = !known.has(settings.id);
      if (isNew) {
        known.set(settings.id, link);
        this.#parts.relays.joinLink(link);
      }
      if (isNew || !link.isConfigured) peers.get(settings.peer)?.links.push(link);
      if (isNew || !link.isConfigured || isOther) changed.push(link);
      link.isConfigured = true;
    }
    for (const link of [...known.values()].filter(
      ({ isConfigured, settings }) => isConfigured && !now.has(settings.id),
    )) {
      link.isConfigured = false;
      const ofPeer = peers.get(link.settings.peer)?.links;
      ofPeer?.splice(ofPeer.indexOf(link), 1);
      changed.push(link);
    }
    return changed.flatMap(({ settings }) => peers.get(settings.peer) ?? []);
  }
}
