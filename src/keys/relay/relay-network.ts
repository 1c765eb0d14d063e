// Key relay put together: the pads and turns of each link, the choice of routes, and what comes, passes and begins here.
//
// Room `relay`: key relay (Q.4163 8.1) in its three roles. Source: `next-relay` says what comes next, `relay-source` begins
// it, `source-relay` is one relay. Transit: `transit` takes a key out of one hop's protection and puts it under the next
// one's. Destination: `relay-arrivals` checks and routes an offer, `relay-destination` keeps it, `relay-parts` joins parts of
// several paths.
//
//   source ──0x1101──> transit ──0x1101──> destination      link: the KMA-key is a link block of the first hop
//          <──0x1102──         <──0x1102──                   otp: KMA-key XOR one-time pad of the hop
//
// What a frame uses is durable before the frame leaves; no pad and no block is ever used for a second try.

import { Fault } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import type { Context } from "../common/context.ts";
import { BlockScheduler } from "../links/block-scheduler.ts";
import type { LinkInventory } from "../links/link-inventory.ts";
import { PadChain } from "../links/pad-queue.ts";
import type { Peer } from "../peers/peer.ts";
import { HopFaults } from "../routes/hop-faults.ts";
import { RouteChoice } from "../routes/route-choice.ts";
import type { Routes } from "../routes/routes.ts";
import { RelayArrivals } from "./relay-arrivals.ts";
import { PartAssemblies } from "./relay-parts.ts";
import { SourceRelays } from "./relay-source.ts";
import { Transits } from "./transit.ts";

/** What relays need of the rest of the key manager. */
export interface NetworkParts {
  readonly routes: Routes;
  readonly links: ReadonlyMap<string, LinkInventory>;
  readonly peers: ReadonlyMap<KmId, Peer>;
  /** Routes over which each KMA-key for a destination travels in parts; 1 for no parts. */
  paths(destination: KmId): number;
}

/** Key relay of one KM in all its roles. */
export class RelayNetwork {
  readonly arrivals: RelayArrivals;
  readonly choice: RouteChoice;
  readonly #context: Context;
  readonly #parts: NetworkParts;
  readonly #faults: HopFaults;
  readonly #turns = new Map<LinkInventory, BlockScheduler>();
  readonly #chains: PadChain[] = [];
  readonly #sources = new Map<KmId, SourceRelays>();

  constructor(context: Context, parts: NetworkParts) {
    const { links, peers } = parts;
    this.#context = context;
    this.#parts = parts;
    this.#faults = new HopFaults(context.clock, () => this.#kickAll());
    this.choice = new RouteChoice(context, { ...parts, faults: this.#faults });
    for (const link of links.values()) this.joinLink(link);
    for (const peer of peers.values()) this.joinPeer(peer);
    const transits = new Transits(context, { peers, chainTo: (neighbour) => this.#chainTo(neighbour) });
    this.arrivals = new RelayArrivals(context, peers, { transits, assemblies: new PartAssemblies(context) });
  }

  /** A link from which blocks may be taken, from now on. */
  joinLink(link: LinkInventory): void {
    const isUp = (): boolean => this.#parts.peers.get(link.settings.peer)?.isSynchronised === true;
    const turns = new BlockScheduler(link, isUp);
    this.#turns.set(link, turns);
    this.#chains.push(new PadChain(this.#context.clock, link, turns));
    for (const relays of this.#sources.values()) turns.join(relays);
  }

  /** A KM to which keys are relayed, from now on. */
  joinPeer(peer: Peer): void {
    const relays = new SourceRelays(this.#context, peer, this.choice, (link) => this.#turnsOf(link));
    this.#sources.set(peer.id, relays);
    for (const turns of this.#turns.values()) turns.join(relays);
  }

  /** Begins as many relays to a KM as are wanted and possible now. */
  kick(km: KmId): void {
    this.#sources.get(km)?.kick();
  }

  #turnsOf(link: LinkInventory): BlockScheduler {
    const turns = this.#turns.get(link);
    if (turns === undefined) throw new Error(`the link ${link.settings.id} has no turns`);
    return turns;
  }

  #chainTo(neighbour: KmId): PadChain | undefined {
    const usable = this.#chains.filter(({ link }) => link.settings.peer === neighbour && link.agreement === "agreed");
    return usable.sort((a, b) => amount(b.link) - amount(a.link))[0];
  }

  /** A link has more blocks, or the other end has confirmed some. */
  dispense(link: LinkInventory): void {
    this.#turnsOf(link).dispense();
  }

  /** The connection with a KM has been synchronised: what failed there before may go now. */
  connected(km: KmId): void {
    this.#faults.clear(km);
    this.#kickAll();
  }

  /** Nobody waits for pads towards a KM that is gone. */
  disconnected(km: KmId): void {
    for (const chain of this.#chains) {
      if (chain.link.settings.peer === km) chain.failAll(new Fault("PEER_UNAVAILABLE", { failedAt: km }));
    }
  }

  /** Topology, peers or links are others: routes are chosen anew. */
  reconfigured(): void {
    this.choice.forget();
    for (const chain of this.#chains.filter(({ link }) => !link.isConfigured)) {
      chain.failAll(new Fault("NO_ROUTE", { text: `the link ${chain.link.settings.id} was removed` }));
    }
    this.#kickAll();
  }

  /** Token and store are back: what failed before may go now. */
  recovered(): void {
    this.#faults.clear();
    this.#kickAll();
  }

  #kickAll(): void {
    for (const { link } of this.#chains) this.dispense(link);
    for (const relays of this.#sources.values()) relays.kick();
  }

  /** Begins no more; resolves when the relays that began here have ended. */
  async stop(): Promise<void> {
    this.#faults.stop();
    for (const chain of this.#chains) chain.failAll(new Fault("STOPPING"));
    await Promise.all([...this.#sources.values()].map((relays) => relays.stop()));
  }
}

/** Bytes of pad that a link can give now. */
const amount = ({ pads, usable, settings }: LinkInventory): number => pads.bytes + usable * settings.blockBytes;
