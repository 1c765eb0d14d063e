// Multicast (ETSI GS QKD 014, additional_slave_SAE_IDs): the same keys under the same IDs for several applications.
//
// Room `multicast`: the KM of the application that asks has its token make the keys. To the home of each of the others they
// travel under a one-time pad with a one-time tag: key that the two KMs share and take from their pool as for any application,
// named by its IDs. The answer waits until every home has stored a copy for each of its applications (`multicast-copies`), so
// each can fetch the keys at its own KM, once. Nothing is given when one of them cannot be reached.
//
//   KM of the initiator                                    KM of others
//   pad = keys of the pool ── IDs, keys XOR pad, tag ──>   pad fetched by its IDs; a copy for each application, durable
//   supplied               <── success ─────────────────

import { Fault } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import type { OpenJob } from "../../vault/vault.ts";
import { SerialQueue } from "../common/queues/serial-queue.ts";
import type { Answer, FetchRequest, Grant, SupplyRequest } from "../ports/keys.ts";
import type { ExtensionEntry } from "../ports/peers.ts";
import { fetchClaims } from "../strict/strict-grant.ts";
import { padOf } from "../supply/grants.ts";
import { type Copy, MulticastCopies } from "./multicast-copies.ts";
import {
  isMulticastId,
  type MulticastTransfer,
  multicastContext,
  readTransfer,
  readVoid,
  TAG_KEY_BYTES,
} from "./multicast-entries.ts";
import type { MulticastHost } from "./multicast-host.ts";
import { MulticastSender } from "./multicast-sender.ts";

/** Keys for several applications at this KM: asked for, taken in from other KMs, fetched. */
export class Multicast {
  readonly copies: MulticastCopies;
  readonly #host: MulticastHost;
  readonly #sender: MulticastSender;
  /** One transfer at a time: it holds its pad in locked memory while it waits for room. */
  readonly #arriving = new SerialQueue();

  constructor(host: MulticastHost) {
    this.#host = host;
    this.copies = new MulticastCopies(host.context);
    this.#sender = new MulticastSender(host, this.copies);
  }

  /** New keys for an application and several others. @returns gives the request up */
  supply(request: SupplyRequest, answer: Answer): () => void {
    return this.#sender.request(request, answer);
  }

  /** Whether the first of these IDs is one of multicast keys that are here. */
  knows({ keyIds: [first = ""] }: Pick<FetchRequest, "keyIds">): boolean {
    return isMulticastId(first) && this.copies.has(first.toLowerCase());
  }

  /** @returns gives the request up */
  fetch(request: FetchRequest, answer: Answer): () => void {
    const { app, door, initiator, keyIds } = request;
    const { context } = this.#host;
    return fetchClaims(context, request, answer, () => {
      const { claims, peer } = this.copies.select({ app, initiator }, keyIds);
      const note = (): void => {
        for (const { bundle, index } of claims) {
          const fields = { door, peer, initiator, target: app, block: bundle.block };
          context.audit.note("multicast_fetched", fields, { first: index, end: index + 1 });
        }
      };
      return { book: this.copies.book(peer), claims, note };
    });
  }

  /** What another KM tells; durable when it resolves. @throws Fault */
  async told(peer: KmId, entries: readonly ExtensionEntry[]): Promise<void> {
    for (const entry of entries) {
      const transfer = readTransfer(entry);
      if (transfer !== undefined) await this.#take(peer, transfer);
      const voided = readVoid(entry);
      if (voided !== undefined) this.copies.end(peer, voided.initiator, voided.keyIds, "given_up");
    }
  }

  async #take(peer: KmId, transfer: MulticastTransfer): Promise<void> {
    this.#host.checkWorking();
    await this.#arriving.run(async () => {
      this.#check(peer, transfer);
      const pad = await this.#pad(transfer);
      try {
        await this.#store(peer, transfer, pad);
      } finally {
        pad[Symbol.dispose]();
      }
    });
  }

  /** @throws Fault NOT_AUTHORIZED, NOT_AT_HOME, UNKNOWN_APPLICATION, SERIAL_SEEN, STORE_FULL */
  #check(peer: KmId, { initiator, targets, keyIds }: MulticastTransfer): void {
    const { self, policy } = this.#host.context;
    if (this.#host.homeOf(initiator) !== peer) {
      throw new Fault("NOT_AUTHORIZED", { text: `${initiator} is not at home at ${peer}` });
    }
    const stranger = targets.find((target) => this.#host.homeOf(target) !== self);
    if (stranger !== undefined) throw new Fault("NOT_AT_HOME", { text: `${stranger} is not at home here` });
    if (keyIds.some((id) => this.copies.has(id))) {
      throw new Fault("SERIAL_SEEN", { text: "a key of that ID was accepted before" });
    }
    if (this.copies.occupied + targets.length * keyIds.length > policy.maxHeld) throw new Fault("STORE_FULL");
  }

  #pad({ initiator, targets, pads }: MulticastTransfer): Promise<Grant> {
    const [app = initiator] = targets;
    return new Promise((resolve, reject) => {
      this.#host.fetch({ door: "multicast", app, initiator, keyIds: pads }, { granted: resolve, refused: reject });
    });
  }

  /** Takes the keys out from under their pad: a copy for each target. All become durable together or not at all. */
  async #store(peer: KmId, transfer: MulticastTransfer, pad: Grant): Promise<void> {
    const { vault, audit, meter } = this.#host.context;
    const { initiator, targets, keyIds, key } = transfer;
    const entries = keyIds.map((id) => ({ id, length: key.length / keyIds.length }));
    const copies = targets.map((app) => this.copies.make({ peer, initiator, app }, entries));
    const change = vault.change();
    {
      using job = await vault.openJob({ blocks: [], emptySlots: copies.length });
      for (const open of this.#unmask(peer, transfer, { pad, job, copies })) change.keep(await open.seal());
    }
    for (const copy of copies) this.copies.put(copy, "held", change);
    await change.commit().catch((thrown: unknown) => {
      this.#undo(copies);
      throw thrown;
    });
    for (const copy of copies) {
      this.copies.add(copy, true);
      const fields = { peer, initiator, target: copy.app, block: copy.bundle.block };
      audit.note("multicast_held", fields, { count: keyIds.length });
    }
    meter.add("kma_keys_held", { peer }, copies.length);
  }

  /** @throws Fault BAD_TAG */
  #unmask(
    peer: KmId,
    transfer: MulticastTransfer,
    { pad, job, copies }: { readonly pad: Grant; readonly job: OpenJob; readonly copies: readonly Copy[] },
  ) {
    const [slot, ...slots] = job.emptySlots;
    const [first, ...others] = copies.map(({ bundle }) => bundle.block);
    if (slot === undefined || first === undefined) throw new Error("multicast keys for nobody");
    const context = multicastContext({ source: peer, destination: this.#host.context.self }, transfer);
    const open = slot.unmask(first, transfer, padOf(pad, transfer.key.length + TAG_KEY_BYTES), context);
    if (open === undefined) throw new Fault("BAD_TAG", { text: "the tag of multicast keys is wrong" });
    return [open, ...others.flatMap((block, index) => slots[index]?.combine(block, [open]) ?? [])];
  }

  /** A commit that was rejected may have happened, but the other KM is told that it did not. */
  #undo(copies: readonly Copy[]): void {
    const change = this.#host.context.vault.change();
    for (const copy of copies) this.copies.drop(copy, change);
    change.commit().catch((err: unknown) => {
      this.#host.context.log.warn({ err }, "multicast keys that were refused may be on the disk");
    });
  }

  /** Ends what is too old. */
  expire(): void {
    const { ages, policy } = this.#host.context;
    this.copies.expire(ages.nowOn() - policy.maxAgeMs - policy.fetchWindowMs);
  }
}
