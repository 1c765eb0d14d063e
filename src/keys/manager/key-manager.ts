// The key manager proper: links, other KMs, supply and fetching put together. Decides in references, never in bytes.
//
// Room `manager`: the key manager put together. `parts` builds the rooms and wires them, `start` (with `load`) reads the key
// inventory back into them, `housekeeping` ages, rotates and saves beside the normal work. `key-manager` is what drivers,
// other KMs and the control room see, and shows none of its parts; `app-requests` is what doors see, from before the
// inventory is read, and checks who asks whom.

import { asFault, Fault } from "../../core/fault.ts";
import type { AppId, KmId } from "../../core/ids.ts";
import type { BorderHost } from "../borders/border-host.ts";
import type { Borders } from "../borders/borders.ts";
import type { BlockFeed } from "../links/intake.ts";
import { setLinkState } from "../links/link-admin.ts";
import type { LinkInventory } from "../links/link-inventory.ts";
import type { KeyDoor } from "../ports/keys.ts";
import type { PeerEvents } from "../ports/peers.ts";
import type { SessionDoor } from "../ports/sessions.ts";
import type { KeysAdmin, KeysProgress, KeysReport, RouteAdmin, SessionView } from "../report.ts";
import type { ExchangeHost } from "../sources/block-exchange.ts";
import type { StreamHost } from "../streams/stream-host.ts";
import type { Streams } from "../streams/streams.ts";
import type { LinkExchange } from "../sync/peer-requests.ts";
import { acceptModule, forgetPeer } from "./anew.ts";
import type { Parts } from "./parts.ts";
import type { PreparedSettings } from "./reconfiguration.ts";
import { progressOf, reportOf } from "./report.ts";
import type { KeyManagerSettings } from "./settings.ts";
import { readInventory } from "./start.ts";

/** One KM's key manager: open it, attach drivers to its links, hand `requests` to the doors, stop it. */
export class KeyManager implements KeysAdmin {
  readonly #parts: Parts;
  readonly #stopped = new AbortController();
  readonly #stopListening: readonly (() => void)[];

  private constructor(parts: Parts) {
    this.#parts = parts;
    const { context, apps } = parts;
    const changed = () => this.#healthChanged();
    this.#stopListening = [
      context.vault.onHealth(changed),
      context.audit.onChange(changed),
      apps.onChange(() => this.#homesChanged()),
    ];
  }

  /** Reads the key inventory into what `assemble` has built. `restored`: nothing of it may be used. @throws Fault, Error */
  static async open(parts: Parts, restored: boolean): Promise<KeyManager> {
    await readInventory(parts, restored);
    const manager = new KeyManager(parts);
    // Applications may have moved meanwhile.
    manager.#countServed();
    parts.housekeeping.start();
    parts.local.kick();
    return manager;
  }

  /** What applications ask of this KM. */
  get requests(): KeyDoor & SessionDoor {
    return this.#parts.requests;
  }

  /** What other KMs ask of this one. */
  get peerEvents(): PeerEvents {
    return this.#parts.peerEvents;
  }

  get routeAdmin(): RouteAdmin {
    return this.#parts.routeAdmin;
  }

  /** Peers that prove keys; those that have left the configuration and whose key still ages, too. */
  get peerCount(): number {
    return this.#parts.peers.size;
  }

  get times(): KeysAdmin["times"] {
    const { timeoutMs, relayTimeoutMs } = this.#parts.context.policy;
    return { supplyMs: timeoutMs, relayMs: relayTimeoutMs };
  }

  report(): KeysReport {
    return reportOf(this.#parts);
  }

  progress(): KeysProgress {
    return progressOf(this.#parts);
  }

  sessionViews(most: number): readonly SessionView[] {
    return this.#parts.sessions.list(most);
  }

  /** Reads what another configuration needs. @throws Fault MALFORMED_REQUEST when it cannot be taken without a restart */
  prepareReconfigure(settings: KeyManagerSettings): Promise<PreparedSettings> {
    return this.#parts.reconfiguration.prepare(settings);
  }

  /** Takes another configuration, at once; of applications the table has been told. */
  reconfigure(prepared: PreparedSettings): void {
    const { settings } = prepared;
    this.#parts.reconfiguration.take(prepared);
    this.#parts.requests.resize(settings.policy.defaultKeyBits);
    this.#homesChanged();
  }

  /** An application is none any more, or who came as one was not: what it opened ends. */
  disown(app: AppId): void {
    this.#parts.sessions.disown(app);
    this.#parts.optional.streams?.disown(app);
  }

  /** From now on there are key streams, which `make` makes; once. Their code is loaded by who has a door for them. */
  openStreams(make: (host: StreamHost) => Streams): Streams {
    return this.#parts.optional.openStreams(make);
  }

  /** From now on there are borders, which `make` makes; once. Their code is loaded by who has a door for them. */
  openBorders(make: (host: BorderHost) => Borders): void {
    this.#parts.optional.openBorders(make);
  }

  /**
   * From now on a link's blocks are agreed on with the other KM by what `make` makes; its code is loaded by who has such a link.
   * @param prepared another configuration that has the link, before it is taken
   */
  openExchange<Exchange extends LinkExchange>(
    link: string,
    make: (host: ExchangeHost) => Exchange,
    prepared?: PreparedSettings,
  ): Exchange {
    return this.#parts.optional.openExchange(prepared?.link(link) ?? this.#link(link), make);
  }

  /** A link's blocks come from elsewhere from now on, or not at all. */
  closeExchange(link: string, exchange: LinkExchange): void {
    this.#parts.optional.closeExchange(link, exchange);
  }

  /** Takes a link's blocks from a driver until the signal ends it, or `stop`. @throws Fault MALFORMED_REQUEST */
  async attach(link: string, feed: BlockFeed, signal: AbortSignal): Promise<void> {
    await this.#parts.intakes.run(this.#link(link), feed, AbortSignal.any([signal, this.#stopped.signal]));
  }

  /** @throws Fault MALFORMED_REQUEST */
  #link(id: string): LinkInventory {
    const link = this.#parts.links.get(id);
    if (link === undefined) throw new Fault("MALFORMED_REQUEST", { text: `this KM has no link ${id}` });
    return link;
  }

  /** Takes a link out of use, until it is put back or the KM starts again. False when it was so. @throws Fault MALFORMED_REQUEST */
  useLink(id: string, isUsed: boolean): boolean {
    const isChanged = setLinkState(this.#parts.context, this.#link(id), isUsed);
    if (isChanged) this.#healthChanged();
    return isChanged;
  }

  /** Begins anew with a peer: all that is shared with it is destroyed. @throws Fault MALFORMED_REQUEST, STORE_UNAVAILABLE */
  async forget(id: string): Promise<void> {
    const { context, peers, peerEvents, multicast } = this.#parts;
    const peer = peers.get(id as KmId);
    if (peer === undefined)
      throw new Fault("MALFORMED_REQUEST", { text: `${id} is no peer of this KM that proves keys` });
    peerEvents.drop(peer, "an operator began anew with this peer");
    await forgetPeer(context, peer);
    await multicast.copies.endAll(peer.id, "forgotten");
  }

  /** Takes what a link's module brings from now on, of whatever run. @throws Fault MALFORMED_REQUEST, BUSY, STORE_UNAVAILABLE */
  async acceptModule(id: string): Promise<void> {
    const { context, peers, peerEvents, intakes, sharedPeers } = this.#parts;
    const link = this.#link(id);
    const peer = peers.get(link.settings.peer);
    if (peer !== undefined) peerEvents.drop(peer, `an operator accepted a new module pair of the link ${id}`);
    await intakes.idle(id);
    await acceptModule(context, link, sharedPeers.all);
  }

  #healthChanged(): void {
    const { availability, relays, sharedPeers, optional } = this.#parts;
    try {
      availability.check();
      relays.recovered();
      sharedPeers.recovered();
      optional.borders?.recovered();
    } catch (thrown) {
      sharedPeers.refuseAll(asFault(thrown));
    }
  }

  /** An application that has come here, or to a peer, is the first there: stock is kept for it from now on. */
  #homesChanged(): void {
    this.#countServed();
    this.#healthChanged();
  }

  #countServed(): void {
    const { peers, apps } = this.#parts;
    for (const peer of peers.values()) peer.isServed = apps.areServed(peer.id);
  }

  /** From now on refuses who waits and what comes; resolves when peers were told of the sessions that end. */
  async refuse(): Promise<void> {
    const { availability, peerEvents, sessions, sharedPeers } = this.#parts;
    availability.stop();
    peerEvents.refuse();
    for (const stop of this.#stopListening) stop();
    const told = sessions.stop();
    sharedPeers.refuseAll(new Fault("STOPPING"));
    await told;
  }

  /** Refuses, and writes the marks exactly: an orderly stop loses nothing. */
  async stop(): Promise<void> {
    const { peerEvents, optional, relays, strict, local, intakes, housekeeping } = this.#parts;
    void this.refuse();
    this.#stopped.abort();
    peerEvents.end();
    optional.borders?.stop();
    await Promise.all([relays.stop(), strict.stop(), local.stop(), intakes.idle()]);
    await housekeeping.stop();
  }
}
