// Borders to other networks (ETSI GS QKD 020): keys with foreign IDs come in, keys of ours go out.
//
//   an application there ── key ID ──────────────────────────────────────────────────┐
//                                                                                     v
//   KM of the other network ── ext_keys ──> received: held under its ID ── fetch ──> application here
//                           <── relayed ──  acks: owed until they are heard
//
//   KM of the other network <── ext_keys ── departures: fetched by ID for the application there, sealed, sent
//                           ── relayed ──>  destroyed here; only then the application here is supplied
//
// Applications at home at other KMs are served too: keys that leave for them are named by their home (`border-leaves`), keys
// that come go on to it under a pad of the two KMs' pool (`border-onward`), which holds them (`border-inward`).
//
// Room `borders`: each border has its `border-received` keys, `border-acks` owed and `border-departures`. Foreign IDs lie in a
// space of their own, found by the initiator, which is never an application of this network. A key keeps its path, is given to
// the application that it names, once, and never comes back. What the other end is told is durable before it is told.

import { Fault } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import {
  BORDER_ENTRIES,
  type BorderQuestion,
  readKeys,
  readLeave,
  readOutcome,
  readRevoke,
  readVoid,
} from "../common/border-entries.ts";
import { SerialQueue } from "../common/queues/serial-queue.ts";
import type { BorderAck, BorderArrival, BorderDoor, BorderPath, BorderVoid } from "../ports/borders.ts";
import type { Answer, FetchRequest } from "../ports/keys.ts";
import type { ExtensionEntry } from "../ports/peers.ts";
import { fetchClaims, noteClaims } from "../strict/strict-grant.ts";
import type { BundleInventory } from "../strict/strict-inventory.ts";
import { BorderAcks, MOST_OWED } from "./border-acks.ts";
import type { BorderHost, BorderSettings } from "./border-host.ts";
import { BorderInward } from "./border-inward.ts";
import { BorderOnward } from "./border-onward.ts";
import { BorderParties } from "./border-parties.ts";
import { BorderReceivedKeys, pathFor } from "./border-received.ts";
import { BorderDepartures } from "./departures/border-departures.ts";
import { BorderLeaves } from "./departures/border-leaves.ts";
import { SCRATCH_BYTES, type Scratch } from "./departures/departure-intent.ts";

/** Everything of one border. */
interface Border {
  readonly received: BorderReceivedKeys;
  readonly acks: BorderAcks;
  readonly departures: BorderDepartures;
  /** What changes the keys received, one after the other. */
  readonly queue: SerialQueue;
}

/** A border that the configuration has no more: what is left of it ends in its time. */
const CLOSED: BorderSettings = { line: undefined, isOut: false, timeoutMs: 0 };

/** Borders here and of other KMs: more names are not taken. */
const MOST_BORDERS = 256;
/** Locked memory that borders need. */
export const BORDERS_BYTES = 2 * SCRATCH_BYTES;

/** All borders of this KM: keys that leave, keys that come in, what is acknowledged. */
export class Borders implements BorderDoor {
  readonly #host: BorderHost;
  #settings: ReadonlyMap<KmId, BorderSettings>;
  readonly #scratch: Scratch;
  /** Those of other KMs, over which keys for applications here come, are called `km/border`. */
  readonly #borders = new Map<KmId, Border>();
  readonly #onward: BorderOnward;
  readonly #inward: BorderInward;
  readonly #leaves: BorderLeaves;
  readonly #parties: BorderParties;

  /** @param scratch locked memory of `BORDERS_BYTES` */
  constructor(host: BorderHost, settings: ReadonlyMap<KmId, BorderSettings>, scratch: Uint8Array) {
    this.#host = host;
    this.#parties = new BorderParties(host);
    this.#settings = settings;
    this.#scratch = { memory: scratch.subarray(0, SCRATCH_BYTES), queue: new SerialQueue() };
    this.#onward = new BorderOnward(host);
    this.#inward = new BorderInward(host, { memory: scratch.subarray(SCRATCH_BYTES), queue: new SerialQueue() });
    this.#leaves = new BorderLeaves({
      depart: (keys, signal) => this.depart(this.#parties.exitOf(keys), keys, keys.keyIds, signal),
      revoke: (keys) => this.#working(this.#parties.exitOf(keys)).departures.revoke(keys, keys.keyIds),
    });
    for (const id of settings.keys()) this.#of(id);
    for (const [id, row] of host.rows) {
      const { received, acks, departures } = this.#of(row.border);
      if (row.kind === "ack") acks.restore(id, row);
      else if (row.kind === "out") departures.restore(id, row);
      else received.restore(id, row);
    }
    for (const { acks, departures } of this.#borders.values()) {
      acks.kick();
      departures.begin();
    }
  }

  /** The configuration says this of borders from now on. Of those that it has no more, what is left ends in its time. */
  configure(settings: ReadonlyMap<KmId, BorderSettings>): void {
    this.#settings = settings;
    for (const id of settings.keys()) this.#of(id).acks.kick();
  }

  #of(id: KmId): Border {
    const known = this.#borders.get(id);
    if (known !== undefined) return known;
    const { context } = this.#host;
    const settings = (): BorderSettings => this.#settings.get(id) ?? CLOSED;
    const border = {
      received: new BorderReceivedKeys(context, id, this.#scratch),
      acks: new BorderAcks(context, id, () => settings().line),
      departures: new BorderDepartures(this.#host, id, settings, this.#scratch),
      queue: new SerialQueue(),
    };
    this.#borders.set(id, border);
    return border;
  }

  /** What lies here of keys that came, border by border. */
  *books(): Iterable<BundleInventory> {
    for (const { received } of this.#borders.values()) yield received.book;
  }

  /** What is under way: keys that leave, and outcomes that the other end was not told yet. */
  get sizes(): { readonly leaving: number; readonly owed: number } {
    const all = [...this.#borders.values()];
    return {
      leaving: all.reduce((sum, { departures }) => sum + departures.size, 0),
      owed: all.reduce((sum, { acks }) => sum + acks.size, 0),
    };
  }

  async arrived(id: KmId, arrival: BorderArrival): Promise<readonly BorderAck[]> {
    const { received, acks, queue } = this.#working(id);
    this.#parties.checkArrival(id, arrival);
    const home = this.#parties.elsewhere(arrival);
    if (home !== undefined) return await this.#handedOn(acks, arrival, () => this.#onward.transfer(id, home, arrival));
    return await queue.run(() => this.#answered(acks, arrival, (owe) => received.take(arrival, owe)));
  }

  async voided(id: KmId, request: BorderVoid): Promise<readonly BorderAck[]> {
    const { received, acks, queue } = this.#working(id);
    const home = this.#parties.elsewhere(request);
    if (home !== undefined) return await this.#handedOn(acks, request, () => this.#onward.void(id, home, request));
    return await queue.run(() => this.#answered(acks, request, (owe) => received.void(request, owe)));
  }

  /** What another KM has made true already; what is owed for it is durable when it resolves. */
  async #handedOn(
    acks: BorderAcks,
    { callback }: Pick<BorderArrival, "callback">,
    hand: () => Promise<readonly BorderAck[]>,
  ): Promise<readonly BorderAck[]> {
    return await this.#answered(acks, { callback }, async (owe) => {
      const outcomes = await hand();
      if (callback === undefined) return outcomes;
      const change = this.#host.context.vault.change();
      owe(outcomes, change);
      await change.commit();
      return outcomes;
    });
  }

  /** What another KM of this network tells; durable when it resolves. @throws Fault */
  async told(peer: KmId, entries: readonly ExtensionEntry[]): Promise<void> {
    for (const entry of entries) if (entry.name.startsWith(BORDER_ENTRIES)) await this.#heard(peer, entry);
  }

  async #heard(peer: KmId, entry: ExtensionEntry): Promise<void> {
    const outcome = readOutcome(entry);
    if (outcome !== undefined) return this.#onward.told(peer, outcome);
    this.#host.checkWorking();
    const [leaving, revoked] = [readLeave(entry), readRevoke(entry)];
    const asked = leaving ?? revoked;
    if (asked !== undefined) this.#parties.checkLeaving(peer, asked);
    if (leaving !== undefined) return await this.#leaves.leave(peer, leaving);
    if (revoked !== undefined) return await this.#leaves.revoke(peer, revoked);
    const transfer = readKeys(entry);
    if (transfer !== undefined) {
      const { received, queue } = this.#beyond(peer, transfer);
      const acks = await this.#inward.unmasked(peer, transfer, (arrival) =>
        queue.run(() => received.take(arrival, () => {})),
      );
      return await this.#inward.answer(peer, transfer.of, acks);
    }
    const voided = readVoid(entry);
    if (voided === undefined) return;
    const { received, queue } = this.#beyond(peer, voided);
    const acks = await queue.run(() => received.void({ ...voided, callback: undefined }, () => {}));
    await this.#inward.answer(peer, voided.of, acks);
  }

  /** Another KM is gone, or comes anew: nobody there waits for keys that leave here. */
  disconnected(peer: KmId): void {
    this.#leaves.disconnected(peer);
  }

  /** The border of another KM, for keys that are for an application here. @throws Fault */
  #beyond(peer: KmId, question: BorderQuestion): Border {
    this.#parties.checkBeyond(peer, question);
    const id = `${peer}/${question.border}` as KmId;
    if (!this.#borders.has(id) && this.#borders.size >= MOST_BORDERS) throw new Fault("STORE_FULL");
    return this.#of(id);
  }

  /** Outcomes for the answer, or none when they are owed to a callback. */
  async #answered(
    acks: BorderAcks,
    { callback }: Pick<BorderArrival, "callback">,
    change: (owe: Parameters<BorderReceivedKeys["take"]>[1]) => Promise<readonly BorderAck[]>,
  ): Promise<readonly BorderAck[]> {
    if (callback === undefined) return await change(() => {});
    if (acks.size >= MOST_OWED) throw new Fault("BUSY", { text: "too many acknowledgements were not heard yet" });
    let owed = (): void => {};
    await change((outcomes, together) => {
      owed = acks.owe(outcomes, callback, together);
    });
    owed();
    return [];
  }

  async acknowledged(id: KmId, acks: readonly BorderAck[]): Promise<void> {
    await this.#working(id).departures.acknowledged(acks);
  }

  /** @throws Fault when nothing may be done, or there is no such border */
  #working(id: KmId): Border {
    this.#host.checkWorking();
    const border = this.#settings.has(id) ? this.#borders.get(id) : undefined;
    if (border === undefined) throw new Fault("NOT_AUTHORIZED", { text: `${id} is no border of this key manager` });
    return border;
  }

  /** Fetches keys that came over a border; undefined when the initiator is an application of this network. */
  fetch(request: FetchRequest, answer: Answer): (() => void) | undefined {
    const { app, initiator, keyIds, door } = request;
    const from = this.#host.appOf(initiator);
    if (from !== undefined && from.border === undefined) return undefined;
    const { context } = this.#host;
    return fetchClaims(context, request, answer, () => {
      const path = pathFor(app, initiator);
      const [peer, { received }] = this.#knowing(path, keyIds);
      const claims = received.select(path, keyIds);
      const note = (): void => noteClaims(context, "border_keys_fetched", { door, app, peer }, claims);
      return { book: received.book, claims, note };
    });
  }

  /** IDs of one network may be those of another: what is for these applications is meant. @throws Fault KEY_NOT_FOUND */
  #knowing(path: BorderPath, [first = ""]: readonly string[]): readonly [KmId, Border] {
    const knowing = [...this.#borders].filter(([, { received }]) => received.knows(first));
    const found = knowing.find(([, { received }]) => received.knows(first, path)) ?? knowing[0];
    if (found === undefined) throw new Fault("KEY_NOT_FOUND");
    return found;
  }

  /**
   * Sends keys that were just supplied for an application beyond a border there; resolves when the other network has
   * relayed them. @throws Fault, and none of them may be given to anybody
   */
  async depart(id: KmId, path: BorderPath, keyIds: readonly string[], signal: AbortSignal): Promise<void> {
    await this.#working(id).departures.depart(path, keyIds, signal);
  }

  /** Ends what is older than that, without the time switched off. */
  expire(oldestBorn: number): void {
    for (const { received, acks } of this.#borders.values()) {
      received.expire(oldestBorn);
      acks.expire(oldestBorn);
    }
  }

  /** Token or store are back. */
  recovered(): void {
    for (const { received, acks } of this.#borders.values()) {
      received.book.recovered();
      acks.kick();
    }
  }

  /** Whoever waits is refused; what was not heard is told after the next start. */
  stop(): void {
    for (const { acks, departures } of this.#borders.values()) {
      acks.stop();
      departures.stop();
    }
  }
}
