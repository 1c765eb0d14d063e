// The key manager proper: links, other KMs, supply and fetching put together. Decides in references, never in bytes.
//
// Room `manager`: the key manager put together. `key-manager` builds the other rooms and is what drivers and the control room
// see; `app-requests` is what doors see, from before the inventory is read, and checks who asks whom; `load` reads the
// inventory back at a start; `housekeeping` ages, rotates and saves beside the normal work.

import { asFault, Fault } from "../../core/fault.ts";
import type { AppId, KmId } from "../../core/ids.ts";
import { NO_AUDIT } from "../../core/ports.ts";
import type { BorderHost, StoredBorderRow } from "../borders/border-host.ts";
import type { Borders } from "../borders/borders.ts";
import { AgeClock } from "../common/age-clock.ts";
import { whyNotWorking } from "../common/availability.ts";
import type { Context } from "../common/context.ts";
import { Admission } from "../common/queues/admission.ts";
import { Quotas } from "../common/quota.ts";
import { RelayLog } from "../common/relay-log.ts";
import { readRow, TABLE } from "../common/rows.ts";
import type { ApplicationTable } from "../directory/application-table.ts";
import { KeyFetcher } from "../fetch/fetch.ts";
import type { BlockFeed } from "../links/intake.ts";
import { setLinkState } from "../links/link-admin.ts";
import { LinkInventory } from "../links/link-inventory.ts";
import { Multicast } from "../multicast/multicast.ts";
import { LocalStock } from "../peers/local-stock.ts";
import { Peer, type PeerHost } from "../peers/peer.ts";
import { RelayNetwork } from "../relay/relay-network.ts";
import type { KeysAdmin, KeysProgress, KeysReport, SessionView } from "../report.ts";
import { RouteTable } from "../routes/route-table.ts";
import { Routes, wholeTopology } from "../routes/routes.ts";
import { Sessions } from "../sessions/sessions.ts";
import type { ExchangeHost } from "../sources/block-exchange.ts";
import type { StreamHost } from "../streams/stream-host.ts";
import type { Streams } from "../streams/streams.ts";
import { StrictPeers, type StrictSettings } from "../strict/strict.ts";
import type { BundleInventory } from "../strict/strict-inventory.ts";
import { type LinkExchange, PeerRequests } from "../sync/peer-requests.ts";
import { acceptModule, forgetPeer } from "./anew.ts";
import type { AppRequests } from "./app-requests.ts";
import { blocksOf, readBorderRows, settleBorderRows } from "./border-rows.ts";
import { type Around, borderHost, connectionTo, multicastHost, sessionHost, streamHost } from "./hosts.ts";
import { CLOCK_ROW, EPOCH_ROW, Housekeeping } from "./housekeeping.ts";
import { Intakes } from "./intakes.ts";
import { loadInventory } from "./load.ts";
import { OverBorder } from "./over-border.ts";
import { type PreparedSettings, Reconfiguration } from "./reconfiguration.ts";
import { progressOf, reportOf } from "./report.ts";
import {
  type KeyManagerPorts,
  type KeyManagerSettings,
  largestBlock,
  ownPolicy,
  requestsOf,
  type Told,
  tableOf,
} from "./settings.ts";
import { SharedPeers } from "./shared-peers.ts";

const BOOT_BYTES = 8;
/** By how much the clocks of two members may differ before what was saved counts as of the future. */
const MEMBERS_SKEW_MS = 5_000;

/** One KM's key manager: open it, attach drivers to its links, hand `requests` to the doors, stop it. */
export class KeyManager implements KeysAdmin {
  readonly context: Context;
  /** What applications ask of this KM. */
  readonly requests: AppRequests;
  readonly local: LocalStock;
  readonly #peers: Map<KmId, Peer>;
  readonly links: ReadonlyMap<string, LinkInventory>;
  readonly routes: Routes;
  readonly relays: RelayNetwork;
  /** What the QKDN controller sees and sets of them. */
  readonly routeAdmin: RouteTable;
  readonly strict: StrictPeers;
  /** The proactive mode. */
  readonly sessions: Sessions;
  /** Keys that several applications get. */
  readonly multicast: Multicast;
  /** What other KMs ask of this one. */
  readonly peerEvents: PeerRequests;
  /** Key streams, if this KM has a door for them. */
  #streams: Streams | undefined;
  /** Borders to other networks, if this KM has any. */
  #borders: Borders | undefined;
  /** What the store had of them at the start. */
  #borderRows: StoredBorderRow[] = [];
  readonly #sharedPeers: SharedPeers;
  readonly #admission: Admission;
  readonly #apps: ApplicationTable;
  readonly #statedRate: Told["statedRate"];
  /** What the other rooms ask of this one. */
  readonly #around: Around;
  readonly #housekeeping: Housekeeping;
  readonly #reconfiguration: Reconfiguration;
  readonly #intakes: Intakes;
  /** Of links whose key comes from boxes. */
  readonly #exchanges = new Map<string, LinkExchange>();
  readonly #stopped = new AbortController();
  #stopping = false;
  /** The books are read: before, nothing may be entered in them. */
  #isRead = false;
  readonly #stopHealth: () => void;

  private constructor(context: Context, settings: KeyManagerSettings, told: Told) {
    const { policy, links, paths, strict = new Map<KmId, StrictSettings>() } = settings;
    const extended = settings.peers.filter((id) => !strict.has(id));
    this.context = context;
    this.requests = told.requests;
    this.#apps = told.applications;
    this.#statedRate = told.statedRate;
    const ways = new Map(extended.map((id) => [id, paths?.get(id) ?? 1]));
    const quotas = new Quotas(context.clock, (app) => this.#apps.get(app).quota);
    this.#admission = new Admission(quotas, policy);
    const admission = this.#admission;
    this.local = new LocalStock(context, largestBlock(links), admission);
    const inventories = new Map<string, LinkInventory>();
    for (const link of links) inventories.set(link.id, new LinkInventory(context.self, link));
    this.links = inventories;
    this.routes = new Routes(context.self, wholeTopology(context.self, settings));
    this.routeAdmin = new RouteTable(context, this.routes, ways);
    const peerHost = this.#peerHost(admission);
    const peers = new Map(extended.map((id) => [id, this.#peer(id, peerHost)]));
    this.#peers = peers;
    this.relays = new RelayNetwork(context, {
      routes: this.routes,
      links: this.links,
      peers: this.peers,
      paths: (destination) => ways.get(destination) ?? 1,
    });
    this.strict = new StrictPeers(context, strict, { admission, isServed: (id) => this.#apps.areServed(id) });
    const { local } = this;
    this.#sharedPeers = new SharedPeers({ self: context.self, local, peers: this.peers, strict: this.strict });
    this.#around = {
      ...{ context, quotas, apps: this.#apps, sharedPeers: this.#sharedPeers, peers, routes: this.routes },
      ...{ keyFetcher: new KeyFetcher(context), requests: this.requests, checkWorking: () => this.#checkWorking() },
    };
    this.sessions = new Sessions(sessionHost(this.#around));
    this.multicast = new Multicast(multicastHost(this.#around));
    const { relays, sessions, multicast } = this;
    const streams = (): Streams | undefined => this.#streams;
    this.peerEvents = new PeerRequests(context, {
      peers,
      relays,
      sessions,
      multicast,
      strict: this.strict,
      streams,
      borders: () => this.#borders,
      exchange: (peer, link) => (this.#isShared(link, peer) ? this.#exchanges.get(link) : undefined),
      checkWorking: () => this.#checkWorking(),
    });
    this.#intakes = new Intakes(context, (link) => {
      relays.dispense(link);
      peers.get(link.settings.peer)?.announceSoon();
    });
    this.#housekeeping = new Housekeeping(context, this);
    this.#reconfiguration = new Reconfiguration({
      ...{ context, policy: context.policy, quotas, peers, links: inventories, paths: ways, strict: this.strict },
      ...{ routes: this.routes, routeAdmin: this.routeAdmin, relays: () => this.relays },
      newPeer: (id) => this.#peer(id, peerHost),
      drop: (peer, why) => this.peerEvents.drop(peer, why),
    });
    const changed = () => this.#healthChanged();
    const homes = () => this.#homesChanged();
    const stopListening = [
      context.vault.onHealth(changed),
      context.audit.onChange(changed),
      told.applications.onChange(homes),
    ];
    this.#stopHealth = () => {
      for (const stop of stopListening) stop();
    };
  }

  get peers(): ReadonlyMap<KmId, Peer> {
    return this.#peers;
  }

  /** Reads the books. `restored`: the store is an old copy, and nothing in it may be used. @throws Fault, Error */
  static async open(ports: KeyManagerPorts, settings: KeyManagerSettings, restored: boolean): Promise<KeyManager> {
    const meta = new Map([...ports.vault.rows(TABLE.meta)].map(([id, row]) => [id, readRow("meta", id, row)]));
    const ages = new AgeClock(ports.clock, meta.get(CLOCK_ROW), ports.generation === undefined ? 0 : MEMBERS_SKEW_MS);
    const relayLog = new RelayLog(() => ports.clock.wallMs());
    const own = { boot: ports.random.hex(BOOT_BYTES), policy: ownPolicy(settings), ages, relayLog };
    const { applications = tableOf(ports, settings), requests = requestsOf(settings), ...rest } = ports;
    const { statedRate = () => undefined, ...others } = rest;
    const context = { audit: NO_AUDIT, generation: 0, ...others, ...own };
    const manager = new KeyManager(context, settings, { applications, requests, statedRate });
    manager.routeAdmin.restore([...ports.vault.rows(TABLE.route)].map(([id, row]) => [id, readRow("route", id, row)]));
    try {
      const borderRows = readBorderRows(manager.context);
      await loadInventory(manager.context, {
        link: (id) => manager.links.get(id),
        pair: (peer) => manager.pair(peer as KmId) ?? manager.#formerPeer(peer as KmId),
        isRestored: restored,
        others: [...manager.strict.load(), ...manager.multicast.copies.load(), ...blocksOf(borderRows)],
      });
      manager.#borderRows = await settleBorderRows(manager.context, borderRows, restored);
      await manager.strict.begin(restored ? "restored" : ages.wentBack ? "clock" : undefined);
      await manager.multicast.copies.begin(restored);
      if (restored) await manager.#housekeeping.destroyAll("restored");
      else if (ages.wentBack) await manager.#housekeeping.retireOwned();
      await manager.#housekeeping.expire();
      manager.#housekeeping.restoreEpoch(meta.get(EPOCH_ROW)?.ageMs ?? ages.now());
      await manager.#housekeeping.saveClock();
    } catch (thrown) {
      manager.#forget();
      throw thrown;
    }
    manager.#isRead = true;
    manager.#openRequests();
    manager.#housekeeping.start();
    manager.local.kick();
    return manager;
  }

  /** Gives back what the books hold of the vault. */
  #forget(): void {
    this.#stopHealth();
    for (const { stock, held } of this.#sharedPeers.all) {
      for (const { idKey } of [...stock.keys(), ...held.keys()]) idKey[Symbol.dispose]();
    }
  }

  #openRequests(): void {
    const { context, strict, multicast, sessions } = this;
    const borders = (): Borders | undefined => this.#borders;
    const overBorder = new OverBorder(context, { borders, peerOf: (km) => connectionTo(this.peers, km) });
    this.requests.open({ ...this.#around, strict, multicast, sessions, borders, overBorder });
  }

  #peer(id: KmId, host: PeerHost): Peer {
    const links = [...this.links.values()].filter(({ settings }) => settings.peer === id);
    return new Peer(this.context, { id, links, isServed: this.#apps.areServed(id) }, host);
  }

  #peerHost(admission: Admission): PeerHost {
    return {
      admission,
      sources: (id) => this.relays.choice.sources(id),
      obstacle: (id) => this.relays.choice.obstacle(id),
      drought: (id) => this.relays.choice.drought(id),
      relayMore: (id) => this.relays.kick(id),
      announceSoon: (peer) => this.peerEvents.announceSoon(peer),
      statedRate: ({ settings }) => this.#statedRate(settings.id),
    };
  }

  /** One that the configuration does not have, and the store does: its key only ages until it comes back. */
  #formerPeer(id: KmId): Peer {
    const peer = this.#peer(id, this.#peerHost(this.#admission));
    peer.isConfigured = false;
    this.#peers.set(id, peer);
    this.relays.joinPeer(peer);
    return peer;
  }

  /** From now on there are key streams, which `make` makes; once. Their code is loaded by who has a door for them. */
  openStreams(make: (host: StreamHost) => Streams): Streams {
    const made = make(streamHost(this.#around));
    this.#streams = made;
    return made;
  }

  #isShared(link: unknown, peer: KmId): link is string {
    return typeof link === "string" && this.links.get(link)?.settings.peer === peer;
  }

  /** From now on a link's blocks are agreed on with the other KM by what `make` makes; its code is loaded by who has such a link. */
  openExchange<Exchange extends LinkExchange>(link: LinkInventory, make: (host: ExchangeHost) => Exchange): Exchange {
    const { id, peer } = link.settings;
    const made = make({ context: this.context, link, connection: () => connectionTo(this.peers, peer) });
    this.#exchanges.set(id, made);
    return made;
  }

  /** A link's blocks come from elsewhere from now on, or not at all. */
  closeExchange(link: LinkInventory, exchange: LinkExchange): void {
    const { id } = link.settings;
    if (this.#exchanges.get(id) === exchange) this.#exchanges.delete(id);
  }

  /** From now on there are borders, which `make` makes; once. Their code is loaded by who has a door for them. */
  openBorders(make: (host: BorderHost) => Borders): void {
    this.#borders = make(borderHost(this.#around, this.#borderRows.splice(0)));
  }

  /** What is shared with a peer, or with ourselves. */
  pair(peer: KmId): Peer | LocalStock | undefined {
    return this.#sharedPeers.of(peer);
  }

  /** What came over borders, border by border. */
  borderBooks(): Iterable<BundleInventory> {
    return this.#borders?.books() ?? [];
  }

  /** Ends what came over borders and is older than that, without the time switched off. */
  expireBorders(oldestBorn: number): void {
    this.#borders?.expire(oldestBorn);
  }

  get times(): KeysAdmin["times"] {
    return { supplyMs: this.context.policy.timeoutMs, relayMs: this.context.policy.relayTimeoutMs };
  }

  report(): KeysReport {
    return reportOf(this);
  }

  progress(): KeysProgress {
    return progressOf(this);
  }

  sessionViews(most: number): readonly SessionView[] {
    return this.sessions.list(most);
  }

  /** Reads what another configuration needs. @throws Fault MALFORMED_REQUEST when it cannot be taken without a restart */
  prepareReconfigure(settings: KeyManagerSettings): Promise<PreparedSettings> {
    return this.#reconfiguration.prepare(settings);
  }

  /** Takes another configuration, at once; of applications the table has been told. */
  reconfigure(prepared: PreparedSettings): void {
    const { settings } = prepared;
    this.#reconfiguration.take(prepared);
    this.requests.resize(settings.policy.defaultKeyBits);
    this.#homesChanged();
  }

  /** An application is none any more, or who came as one was not: what it opened ends. */
  disown(app: AppId): void {
    this.sessions.disown(app);
    this.#streams?.disown(app);
  }

  /** Whether an application is served here. */
  isHomed(id: string): boolean {
    return this.#apps.isHomed(id);
  }

  /** Takes a link's blocks from a driver until the signal ends it, or `stop`. */
  attach(link: LinkInventory, feed: BlockFeed, signal: AbortSignal): Promise<void> {
    return this.#intakes.run(link, feed, AbortSignal.any([signal, this.#stopped.signal]));
  }

  /** Takes a link out of use, until it is put back or the KM starts again. False when it was so. @throws Fault MALFORMED_REQUEST */
  useLink(id: string, isUsed: boolean): boolean {
    const link = this.links.get(id);
    if (link === undefined) throw new Fault("MALFORMED_REQUEST", { text: `this KM has no link ${id}` });
    const isChanged = setLinkState(this.context, link, isUsed);
    if (isChanged) this.#healthChanged();
    return isChanged;
  }

  /** Begins anew with a peer: all that is shared with it is destroyed. @throws Fault MALFORMED_REQUEST, STORE_UNAVAILABLE */
  async forget(id: string): Promise<void> {
    const peer = this.peers.get(id as KmId);
    if (peer === undefined)
      throw new Fault("MALFORMED_REQUEST", { text: `${id} is no peer of this KM that proves keys` });
    this.peerEvents.drop(peer, "an operator began anew with this peer");
    await forgetPeer(this.context, peer);
    await this.multicast.copies.endAll(peer.id, "forgotten");
  }

  /** Takes what a link's module brings from now on, of whatever run. @throws Fault MALFORMED_REQUEST, BUSY, STORE_UNAVAILABLE */
  async acceptModule(id: string): Promise<void> {
    const link = this.links.get(id);
    if (link === undefined) throw new Fault("MALFORMED_REQUEST", { text: `this KM has no link ${id}` });
    const peer = this.peers.get(link.settings.peer);
    if (peer !== undefined) this.peerEvents.drop(peer, `an operator accepted a new module pair of the link ${id}`);
    await this.#intakes.idle(id);
    await acceptModule(this.context, link, this.#sharedPeers.all);
  }

  /** Blocks of a link taken in so far; undefined while none is at hand, or nothing can be done with it. */
  intakeProgress(link: string): number | undefined {
    return this.#intakes.progress(link);
  }

  /** Whether anything may be done with keys now. */
  get isAble(): boolean {
    return !this.#stopping && whyNotWorking(this.context) === undefined;
  }

  /** @throws Fault STOPPING, HSM_UNAVAILABLE, STORE_UNAVAILABLE, AUDIT_UNAVAILABLE */
  #checkWorking(): void {
    if (this.#stopping) throw new Fault("STOPPING");
    const fault = whyNotWorking(this.context);
    if (fault !== undefined) throw fault;
  }

  #healthChanged(): void {
    if (!this.#isRead) return;
    try {
      this.#checkWorking();
      this.relays.recovered();
      for (const { desk } of this.#sharedPeers.all) desk.pump();
      this.strict.recovered();
      this.#borders?.recovered();
    } catch (thrown) {
      for (const { desk } of this.#sharedPeers.all) desk.refuseAll(asFault(thrown));
      this.strict.refuseAll(asFault(thrown));
    }
  }

  /** An application that has come here, or to a peer, is the first there: stock is kept for it from now on. */
  #homesChanged(): void {
    for (const peer of this.peers.values()) peer.isServed = this.#apps.areServed(peer.id);
    this.#healthChanged();
  }

  /** Requests that wait for stock. */
  get waiting(): number {
    return this.#admission.waiting;
  }

  /** From now on refuses who waits and what comes; resolves when peers were told of the sessions that end. */
  async refuse(): Promise<void> {
    this.#stopping = true;
    this.peerEvents.refuse();
    this.#stopHealth();
    const told = this.sessions.stop();
    for (const { desk } of this.#sharedPeers.all) desk.refuseAll(new Fault("STOPPING"));
    this.strict.refuseAll(new Fault("STOPPING"));
    await told;
  }

  /** Refuses, and writes the marks exactly: an orderly stop loses nothing. */
  async stop(): Promise<void> {
    void this.refuse();
    this.#stopped.abort();
    this.peerEvents.end();
    this.#borders?.stop();
    await Promise.all([this.relays.stop(), this.strict.stop(), this.local.stop(), this.#intakes.idle()]);
    await this.#housekeeping.stop();
  }
}
