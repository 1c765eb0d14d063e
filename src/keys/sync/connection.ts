// One Kx connection to another KM, from the state exchange to its end: what is told, what is heard.
//
// Room `sync`: what two KMs tell each other (key-protocol 5). `connection` lives as long as one Kx connection: state
// exchange, then marks and arrivals (`announcements` tells them); `peer-state` writes and reads the state, with a bound
// on every number; `reconcile` applies it: what only one end has is destroyed. Before it has ended, nothing shared with
// the peer is carved or used as pad.

import { asFault, Fault } from "../../core/fault.ts";
import { inRuns, lastNumbers } from "../../core/text/runs.ts";
import { alarmRefused, checkLeap, outOfBounds, whyTooFar } from "../common/bounds.ts";
import type { Context } from "../common/context.ts";
import { integer, runs, text } from "../common/extension-fields.ts";
import { SerialQueue } from "../common/queues/serial-queue.ts";
import { TABLE } from "../common/rows.ts";
import { endBlocks } from "../links/intake.ts";
import type { Peer } from "../peers/peer.ts";
import type { ExtensionEntry, PeerConnection, RelayConfirmation, RelayOffer } from "../ports/peers.ts";
import type { RelayNetwork } from "../relay/relay-network.ts";
import { bootEntry, generationIn } from "../sessions/peer-boots.ts";
import { Announcements, TELL_TIMEOUT_MS } from "./announcements.ts";
import { stateEntries } from "./peer-state.ts";
import { reconcile } from "./reconcile.ts";
import { MAX_MARKS, readMarks, StateReader, serial, sizeOf } from "./state-reader.ts";

/** Characters of a state that are read in a microsecond, at least. */
const READ_PER_US = 10;

/** One connection with a peer, from its state exchange to its end. */
export class Connection {
  readonly connection: PeerConnection;
  readonly #context: Context;
  readonly #peer: Peer;
  readonly #relays: RelayNetwork;
  readonly #reader: StateReader;
  /** The other KM's state was heard on this connection, and is applied. */
  #isApplied = false;
  /** What is heard is handled one after the other. */
  readonly #hearing = new SerialQueue();
  readonly #announcements: Announcements;

  constructor(context: Context, peer: Peer, connection: PeerConnection, relays: RelayNetwork) {
    this.#relays = relays;
    this.#context = context;
    this.#peer = peer;
    this.connection = connection;
    this.#announcements = new Announcements(context, peer, connection, (sentence, thrown) =>
      this.#fail(sentence, thrown),
    );
    this.#reader = new StateReader(peer.links.map(({ settings }) => settings.id));
  }

  get #current(): boolean {
    return this.#peer.connection === this.connection;
  }

  /** Tells our state; the other KM does the same. */
  async begin(): Promise<void> {
    this.#peer.happened("connected");
    this.#peer.stock.takeMoved();
    this.#peer.held.unvouch();
    try {
      const entries = [bootEntry(this.#context), ...stateEntries(this.#peer)];
      await this.#makeDurable();
      await this.connection.tell(entries, TELL_TIMEOUT_MS);
      this.#exchanged("told");
    } catch (thrown) {
      this.#fail("the state exchange failed", thrown);
    }
  }

  /**
   * What a rejected commit left in memory alone is told to nobody: after a crash the other KM would know more of this one
   * than it does itself, as of a restored copy. @throws Fault STORE_UNAVAILABLE
   */
  async #makeDurable(): Promise<void> {
    const change = this.#context.vault.change().put(...this.#peer.peerRow());
    for (const link of this.#peer.links) change.put(TABLE.pad, link.settings.id, link.padRow());
    await change.commit();
  }

  #fail(sentence: string, thrown: unknown): void {
    if (!this.#current) return;
    this.#context.log.warn({ peer: this.connection.id, fault: asFault(thrown).response }, sentence);
    this.connection.close(sentence);
  }

  /** Another connection may have taken the place of this one meanwhile. */
  #exchanged(half: "told" | "heard"): void {
    if (!this.#current) return;
    this.#peer.happened(half);
    if (this.#peer.isSynchronised) this.#synchronised(this.#peer);
  }

  #synchronised(peer: Peer): void {
    this.#context.audit.note("peer_synchronised", { peer: peer.id });
    const { size, bytes } = peer.stock;
    this.#context.log.info(
      { event: "synchronised", peer: peer.id, kmaKeys: size, bytes, held: peer.held.size },
      "synchronised with the peer",
    );
    this.#relays.connected(peer.id);
    peer.desk.pump();
    this.announceSoon();
  }

  /** Marks or arrivals have moved. */
  announceSoon(): void {
    this.#announcements.soon();
  }

  end(): void {
    this.#announcements.end();
  }

  /** @throws Fault */
  async relayed(offer: RelayOffer): Promise<RelayConfirmation> {
    // A relay that follows the state waits until that is applied; relays do not wait for one another.
    await this.#hearing.idle();
    if (!this.#isApplied) throw new Fault("PEER_UNAVAILABLE", { text: "the state exchange has not ended" });
    try {
      return await this.#relays.arrivals.take(this.#peer, offer);
    } catch (thrown) {
      const fault = this.#alarmed(thrown);
      const { log, meter, self } = this.#context;
      meter.add("relays_refused", { peer: this.connection.id, direction: "in", fault: fault.code });
      const { source, destination, keyId } = offer;
      const relay = { source, destination, keyId, scheme: offer.protection.scheme, failedAt: fault.failedAt };
      log.warn({ peer: this.connection.id, fault: fault.response, ...relay }, "a key relay was refused");
      throw new Fault(fault.code, { text: fault.message, failedAt: fault.failedAt ?? self, cause: thrown });
    }
  }

  /** @throws Fault */
  told(entries: readonly ExtensionEntry[]): Promise<void> {
    return this.#hearing.run(async () => {
      for (const entry of entries) {
        try {
          await this.#heard(entry);
        } catch (thrown) {
          const fault = this.#alarmed(thrown);
          // A state that cannot be applied is not waited for: the connection is of no use.
          if (!this.#isApplied) this.#fail("the peer's state was refused", fault);
          throw fault;
        }
      }
    });
  }

  /** A number beyond its bound is told to the operator. */
  #alarmed(thrown: unknown): Fault {
    const fault = asFault(thrown);
    if (fault.code === "OUT_OF_BOUNDS" && fault.failedAt === undefined)
      alarmRefused(this.#context, this.connection.id, fault.message);
    return fault;
  }

  async #heard(entry: ExtensionEntry): Promise<void> {
    const generation = generationIn(entry);
    if (generation !== undefined) return this.#heardGeneration(generation);
    if (entry.name === "qkm_state") return this.#heardState(entry);
    if (entry.name === "qkm_arrived") return this.#heardArrived(entry);
    if (entry.name === "qkm_given_up") return this.#heardAbandoned(entry);
    if (entry.name === "qkm_marks") return this.#heardMarks(entry);
  }

  async #heardMarks(entry: ExtensionEntry): Promise<void> {
    const { held, id } = this.#peer;
    const marks = readMarks(entry);
    if (marks.length > MAX_MARKS)
      throw outOfBounds(`${marks.length} marks are told, and at most ${MAX_MARKS} are read`);
    if (entry.given !== undefined) {
      const told = serial(entry, "given");
      checkLeap(this.#context, id, { what: "given", told, known: held.accepted });
      held.vouch(told);
    }
    if (marks.length === 0) return;
    const change = this.#context.vault.change();
    for (const mark of marks) held.witness(mark, change);
    await change.commit();
  }

  /** Of several members of a peer the last that took over counts; one from before is told nothing more. @throws Fault */
  #heardGeneration(generation: number): void {
    const peer = this.#peer;
    if (generation >= peer.generation) {
      peer.generation = generation;
      return;
    }
    this.connection.close("another member of this key manager is active now");
    throw new Fault("PEER_UNAVAILABLE", { text: `${peer.id} is active in generation ${peer.generation}` });
  }

  async #heardState(entry: ExtensionEntry): Promise<void> {
    if (this.#isApplied) throw new Fault("MALFORMED_REQUEST", { text: "a state is told once on a connection" });
    const size = sizeOf(entry);
    await this.#context.pace.take("kx", size / READ_PER_US);
    const state = this.#reader.take(entry, size);
    if (state === undefined) return;
    const agreed = await reconcile(this.#context, this.#peer, state);
    if (!agreed) return this.connection.close("this end was a restored copy; the exchange begins anew");
    this.#isApplied = true;
    this.#exchanged("heard");
  }

  async #heardAbandoned(entry: ExtensionEntry): Promise<void> {
    runs(entry, "serials");
    const change = this.#context.vault.change();
    this.#peer.held.giveUp(text(entry, "serials"), change);
    await change.put(...this.#peer.peerRow()).commit();
  }

  /** Which of our blocks have arrived at the other end. */
  async #heardArrived(entry: ExtensionEntry): Promise<void> {
    const link = this.#peer.links.find(({ settings }) => settings.id === text(entry, "link"));
    const [run, from, to] = [integer(entry, "run"), integer(entry, "from"), integer(entry, "to")];
    const blocks = runs(entry, "blocks");
    const has = inRuns(blocks);
    if (link === undefined) return;
    // `to` may lie beyond: of a run that is over nothing more comes.
    const why = whyTooFar(link.highest, { run, sequence: blocks.at(-1)?.last ?? 0 });
    if (why !== undefined) throw outOfBounds(`link ${link.settings.id}: ${why}`);
    const lacking = link.hear({
      upTo: { run, sequence: to },
      covers: (position) => position.run === run && position.sequence >= from && position.sequence <= to,
      holds: ({ sequence }) => has(sequence),
      held: (most) => lastNumbers(blocks, most).map((sequence) => ({ run, sequence })),
    });
    endBlocks(this.#context, link, lacking, "gap");
    this.#relays.dispense(link);
    this.#peer.announceSoon();
    this.#peer.desk.pump();
  }
}
