// What a running key manager takes of another configuration: policy, peers, links, topology. Applications have a table of their own.
//
// Peers and links that leave the configuration are not forgotten: their key stays in store and inventory, ages and is
// re-encrypted as before, and serves again when they come back. Nothing is done with it meanwhile. At the next start only
// those of the configuration are read.

import { Fault } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import type { Context, KeysPolicy } from "../common/context.ts";
import type { Quotas } from "../common/quota.ts";
import { TABLE } from "../common/rows.ts";
import { LinkInventory, type LinkSettings } from "../links/link-inventory.ts";
import type { Peer } from "../peers/peer.ts";
import type { RelayNetwork } from "../relay/relay-network.ts";
import type { RouteTable } from "../routes/route-table.ts";
import { type Routes, wholeTopology } from "../routes/routes.ts";
import type { KeyManagerSettings } from "./key-manager.ts";

/** The parts of the key manager that change with its configuration. */
export interface ChangingParts {
  readonly context: Context;
  /** The one in the context, which everybody reads anew each time. */
  readonly policy: KeysPolicy;
  readonly quotas: Quotas;
  readonly peers: Map<KmId, Peer>;
  readonly links: Map<string, LinkInventory>;
  /** Of each peer that proves keys: routes over which each KMA-key travels in parts. */
  readonly paths: Map<KmId, number>;
  readonly routes: Routes;
  readonly routeAdmin: RouteTable;
  readonly relays: () => RelayNetwork;
  readonly newPeer: (id: KmId) => Peer;
  /** Ends the connection with a peer: the next one begins with a state exchange. */
  readonly drop: (peer: Peer, why: string) => void;
}

/** Takes other configurations while the key manager runs. */
export class Reconfiguration {
  readonly #parts: ChangingParts;

  constructor(parts: ChangingParts) {
    this.#parts = parts;
  }

  /** @throws Fault MALFORMED_REQUEST that says what needs a restart first; a question changes nothing */
  check({ peers, links, strict }: KeyManagerSettings): void {
    const { peers: known, links: book, context } = this.#parts;
    const needs = (what: string): Fault => new Fault("MALFORMED_REQUEST", { text: `${what}: restart for that` });
    for (const id of peers.filter((one) => !known.has(one) && strict?.has(one) !== true)) {
      if (hasRows(context, id)) throw needs(`the store has key shared with ${id}, which is read at a start only`);
    }
    for (const link of links) {
      const there = book.get(link.id);
      if (there === undefined && [...context.vault.rows(TABLE.link)].some(([id]) => id === link.id)) {
        throw needs(`the store has blocks of the link ${link.id}, which are read at a start only`);
      }
      if (there !== undefined && !isSameLink(there.settings, link)) {
        throw needs(`the link ${link.id} was another one since the start`);
      }
    }
  }

  /** After `check`. All in one go: nobody sees a half of it. */
  take(settings: KeyManagerSettings): void {
    const { context, policy, quotas, routes, routeAdmin } = this.#parts;
    const { sessions, ...rest } = settings.policy;
    Object.assign(policy.sessions, sessions);
    Object.assign(policy, rest);
    quotas.changed();
    const changed = new Set([...this.#takePeers(settings), ...this.#takeLinks(settings.links)]);
    routes.change(wholeTopology(context.self, settings));
    routeAdmin.recheck();
    for (const peer of changed) this.#parts.drop(peer, "the configuration of links and peers has changed");
    this.#parts.relays().reconfigured();
  }

  /** Those that have left. */
  #takePeers({ peers, paths, strict }: KeyManagerSettings): readonly Peer[] {
    const { peers: known, paths: own } = this.#parts;
    const extended = peers.filter((id) => strict?.has(id) !== true);
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
    this.#parts.relays().joinPeer(peer);
  }

  /** The peers at their other ends, of those that have come or left. */
  #takeLinks(links: readonly LinkSettings[]): readonly Peer[] {
    const { context, links: known, peers } = this.#parts;
    const now = new Set<string>(links.map(({ id }) => id));
    const changed: LinkInventory[] = [];
    for (const settings of links) {
      const link = known.get(settings.id) ?? new LinkInventory(context.self, settings);
      if (!known.has(settings.id)) {
        known.set(settings.id, link);
        this.#parts.relays().joinLink(link);
      } else if (link.isConfigured) continue;
      link.isConfigured = true;
      peers.get(settings.peer)?.links.push(link);
      changed.push(link);
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

/** Whether the store knows a peer from before. */
function hasRows({ vault }: Context, peer: KmId): boolean {
  const isOf = ([id]: readonly [string, unknown]): boolean => id === peer || id.startsWith(`${peer}/`);
  return [TABLE.peer, TABLE.source, TABLE.held].some((table) => [...vault.rows(table)].some(isOf));
}

const isSameLink = (one: LinkSettings, other: LinkSettings): boolean =>
  one.peer === other.peer &&
  one.blockBytes === other.blockBytes &&
  one.keepBlocks === other.keepBlocks &&
  one.share.join() === other.share.join();
