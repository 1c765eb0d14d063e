// The rooms of a key manager, built and wired to one another. Nothing is read of the store but the saved clock.
//
// `KeyManager.open` takes them and shows none: whoever has only the key manager does not reach its parts.

import type { KmId } from "../../core/ids.ts";
import { NO_AUDIT } from "../../core/ports.ts";
import { AgeClock } from "../common/age-clock.ts";
import { Availability } from "../common/availability.ts";
import type { Context } from "../common/context.ts";
import { Admission } from "../common/queues/admission.ts";
import { Quotas } from "../common/quota.ts";
import { RelayLog } from "../common/relay-log.ts";
import { readRow, TABLE } from "../common/rows.ts";
import type { ApplicationTable } from "../directory/application-table.ts";
import { KeyFetcher } from "../fetch/fetch.ts";
import { Intakes } from "../links/intakes.ts";
import { LinkInventory } from "../links/link-inventory.ts";
import { Multicast } from "../multicast/multicast.ts";
import { LocalStock } from "../peers/local-stock.ts";
import { Peer, type PeerHost } from "../peers/peer.ts";
import { RelayNetwork } from "../relay/relay-network.ts";
import { RouteTable } from "../routes/route-table.ts";
import { Routes, wholeTopology } from "../routes/routes.ts";
import { Sessions } from "../sessions/sessions.ts";
import { StrictPeers, type StrictSettings } from "../strict/strict.ts";
import { PeerRequests } from "../sync/peer-requests.ts";
import type { AppRequests } from "./app-requests.ts";
import { type Around, multicastHost, sessionHost } from "./hosts.ts";
import { CLOCK_ROW, Housekeeping } from "./housekeeping.ts";
import { OptionalRooms } from "./optional-rooms.ts";
import { Reconfiguration } from "./reconfiguration.ts";
import {
  type KeyManagerPorts,
  type KeyManagerSettings,
  largestBlock,
  ownPolicy,
  requestsOf,
  tableOf,
} from "./settings.ts";
import { SharedPeers } from "./shared-peers.ts";

const BOOT_BYTES = 8;
/** By how much the clocks of two members may differ before what was saved counts as of the future. */
const MEMBERS_SKEW_MS = 5_000;

/** What is there before keys are shared with anybody. */
interface Ground {
  readonly context: Context;
  readonly apps: ApplicationTable;
  readonly requests: AppRequests;
  readonly availability: Availability;
  readonly quotas: Quotas;
  readonly admission: Admission;
  readonly links: Map<string, LinkInventory>;
  readonly routes: Routes;
  readonly routeAdmin: RouteTable;
  /** Of each peer that proves keys: routes over which each KMA-key travels in parts. */
  readonly paths: Map<KmId, number>;
}

/** What is shared with whom, and how it gets there. */
interface Shares {
  readonly local: LocalStock;
  readonly peers: Map<KmId, Peer>;
  readonly strict: StrictPeers;
  readonly keyFetcher: KeyFetcher;
  readonly sharedPeers: SharedPeers;
  readonly relays: RelayNetwork;
  /** One that the configuration does not have yet. */
  readonly newPeer: (id: KmId) => Peer;
}

/** The rooms of one key manager. */
export interface Parts extends Omit<Ground, "links" | "paths">, Omit<Shares, "peers"> {
  readonly links: ReadonlyMap<string, LinkInventory>;
  readonly peers: ReadonlyMap<KmId, Peer>;
  /** The proactive mode. */
  readonly sessions: Sessions;
  /** Keys that several applications get. */
  readonly multicast: Multicast;
  readonly optional: OptionalRooms;
  /** What other KMs ask of this one. */
  readonly peerEvents: PeerRequests;
  /** What the other rooms ask of this one. */
  readonly around: Around;
  readonly intakes: Intakes;
  readonly housekeeping: Housekeeping;
  readonly reconfiguration: Reconfiguration;
  /** One that the configuration does not have, and the store does: its key only ages until it comes back. */
  readonly formerPeer: (id: KmId) => Peer;
}

/** @throws Error when the saved clock is none */
export function assemble(ports: KeyManagerPorts, settings: KeyManagerSettings): Parts {
  const ground = groundOf(ports, settings);
  const shares = sharesOf(ground, settings, {
    statedRate: ports.statedRate,
    announceSoon: (peer) => peerEvents.announceSoon(peer),
  });
  const { context, links, apps, routes, requests, quotas, availability } = ground;
  const { peers, relays, sharedPeers, newPeer } = shares;
  const around = {
    ...{ context, quotas, apps, sharedPeers, peers, routes, requests },
    ...{ keyFetcher: shares.keyFetcher, checkWorking: () => availability.check() },
  };
  const sessions = new Sessions(sessionHost(around));
  const multicast = new Multicast(multicastHost(around));
  const optional = new OptionalRooms(around);
  const peerEvents = new PeerRequests(context, {
    ...{ peers, relays, sessions, multicast, strict: shares.strict, checkWorking: around.checkWorking },
    streams: () => optional.streams,
    borders: () => optional.borders,
    exchange: (peer, link) => optional.exchange(peer, link),
  });
  const intakes = new Intakes(context, (link) => {
    relays.dispense(link);
    peers.get(link.settings.peer)?.announceSoon();
  });
  const reconfiguration = new Reconfiguration({
    ...{ ...ground, ...shares, policy: context.policy },
    drop: (peer, why) => peerEvents.drop(peer, why),
  });
  const borders = () => optional.borders;
  const housekeeping = new Housekeeping(context, { ...shares, links, multicast, borders });
  return {
    ...{ ...ground, ...shares, sessions, multicast, optional, peerEvents, around },
    ...{ intakes, housekeeping, reconfiguration, formerPeer: (id) => former(newPeer(id), shares) },
  };
}

function groundOf(ports: KeyManagerPorts, settings: KeyManagerSettings): Ground {
  const { applications: apps = tableOf(ports, settings), requests = requestsOf(settings), ...rest } = ports;
  const { statedRate: _, ...others } = rest;
  const saved = [...ports.vault.rows(TABLE.meta)].find(([id]) => id === CLOCK_ROW);
  const clockRow = saved && readRow("meta", ...saved);
  const own = {
    boot: ports.random.hex(BOOT_BYTES),
    policy: ownPolicy(settings),
    ages: new AgeClock(ports.clock, clockRow, ports.generation === undefined ? 0 : MEMBERS_SKEW_MS),
    relayLog: new RelayLog(() => ports.clock.wallMs()),
  };
  const context = { audit: NO_AUDIT, generation: 0, ...others, ...own };
  const quotas = new Quotas(context.clock, (app) => apps.get(app).quota);
  const paths = new Map(provingPeers(settings).map((id) => [id, settings.paths?.get(id) ?? 1]));
  const routes = new Routes(context.self, wholeTopology(context.self, settings));
  return {
    ...{ context, apps, requests, quotas, paths, routes },
    availability: new Availability(context),
    admission: new Admission(quotas, own.policy),
    links: new Map(settings.links.map((link) => [link.id, new LinkInventory(context.self, link)])),
    routeAdmin: new RouteTable(context, routes, paths),
  };
}

/** All but those of another make. */
const provingPeers = ({ peers, strict }: KeyManagerSettings): readonly KmId[] =>
  peers.filter((id) => strict?.has(id) !== true);

interface SharesPorts {
  readonly statedRate: KeyManagerPorts["statedRate"];
  readonly announceSoon: (peer: Peer) => void;
}

function sharesOf(ground: Ground, settings: KeyManagerSettings, { statedRate, announceSoon }: SharesPorts): Shares {
  const { context, apps, admission, links, routes, paths } = ground;
  const host: PeerHost = {
    ...{ admission, announceSoon },
    sources: (id) => relays.choice.sources(id),
    obstacle: (id) => relays.choice.obstacle(id),
    drought: (id) => relays.choice.drought(id),
    relayMore: (id) => relays.kick(id),
    statedRate: (link) => statedRate?.(link.settings.id),
  };
  const isServed = (id: KmId): boolean => apps.areServed(id);
  const newPeer = (id: KmId): Peer => {
    const ofPeer = [...links.values()].filter((link) => link.settings.peer === id);
    return new Peer(context, { id, links: ofPeer, isServed: isServed(id) }, host);
  };
  const peers = new Map(provingPeers(settings).map((id) => [id, newPeer(id)]));
  const relays = new RelayNetwork(context, { routes, links, peers, paths: (to) => paths.get(to) ?? 1 });
  const local = new LocalStock(context, largestBlock(settings.links), admission);
  const others = settings.strict ?? new Map<KmId, StrictSettings>();
  const strict = new StrictPeers(context, others, { admission, isServed });
  const keyFetcher = new KeyFetcher(context);
  const sharedPeers = new SharedPeers({ context, local, peers, strict, keyFetcher });
  return { local, peers, strict, keyFetcher, sharedPeers, relays, newPeer };
}

function former(peer: Peer, { peers, relays }: Pick<Shares, "peers" | "relays">): Peer {
  peer.isConfigured = false;
  peers.set(peer.id, peer);
  relays.joinPeer(peer);
  return peer;
}
