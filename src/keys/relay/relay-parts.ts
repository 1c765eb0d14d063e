// Multipath at its destination: the parts of a KMA-key, kept until all have come, then their XOR (key-protocol 2).

import { asFault, Fault } from "../../core/fault.ts";
import { LIMITS } from "../../core/limits.ts";
import type { BlockId, EmptySlot, OpenBlock } from "../../vault/vault.ts";
import type { Context } from "../common/context.ts";
import { partBlock, receivedBlock } from "../common/rows.ts";
import type { Peer } from "../peers/peer.ts";
import type { Part, RelayConfirmation, RelayOffer } from "../ports/peers.ts";
import { type Arrival, checkSerial, keepKey, lose } from "./relay-destination.ts";
import type { Incoming } from "./relay-incoming.ts";
import { endContext } from "./relay-tags.ts";

type PartOffer = RelayOffer & { readonly part: Part };

/** Whether an offer is one part of several (key-protocol 2, multipath). */
export const isPart = (offer: RelayOffer): offer is PartOffer => offer.part !== undefined;

/** One KMA-key whose parts come. The outcome is the same for all of them. */
interface PartAssembly extends Arrival {
  readonly parts: number;
  readonly seen: Set<number>;
  /** Parts that are durable here; without a row, so that a restart destroys them. */
  readonly kept: BlockId[];
  readonly outcome: PromiseWithResolvers<RelayConfirmation>;
  isOver: boolean;
}

/** The KMA-keys whose parts are on their way to this KM; bounded. */
export class PartAssemblies {
  readonly #context: Context;
  readonly #byKey = new Map<string, PartAssembly>();

  constructor(context: Context) {
    this.#context = context;
  }

  /**
   * Checks a part's serial and position among the others. The function returned takes the part in and resolves when all
   * have come. @throws Fault MALFORMED_REQUEST, SERIAL_SEEN, and as for a whole key
   */
  position(source: Peer, offer: PartOffer): (incoming: Incoming, waitMs: number) => Promise<RelayConfirmation> {
    const { part, parts } = offer.part;
    const isSane = Number.isSafeInteger(part) && part >= 1 && part <= parts && parts >= 2 && parts <= LIMITS.parts;
    if (!isSane)
      throw new Fault("MALFORMED_REQUEST", { text: `a key has 2 to ${LIMITS.parts} parts, numbered from 1` });
    const known = this.#byKey.get(nameOf(source, offer));
    if (known !== undefined) checkSame(known, offer);
    const serial = known?.serial ?? checkSerial(this.#context, source, offer);
    return (incoming, waitMs) => this.#take(known ?? this.#begin(source, offer, serial), offer, incoming, waitMs);
  }

  #begin(source: Peer, offer: PartOffer, serial: number): PartAssembly {
    const { connection } = source;
    const outcome = Promise.withResolvers<RelayConfirmation>();
    // Each part's relay waits for it as soon as the part is durable.
    outcome.promise.catch(() => {});
    const assembly: PartAssembly = {
      source,
      offer,
      serial,
      parts: offer.part.parts,
      seen: new Set(),
      kept: [],
      outcome,
      isWanted: () => source.connection === connection && source.held.isExpected(serial),
      isOver: false,
    };
    source.held.expect(serial);
    this.#byKey.set(nameOf(source, offer), assembly);
    return assembly;
  }

  async #take(
    assembly: PartAssembly,
    offer: PartOffer,
    incoming: Incoming,
    waitMs: number,
  ): Promise<RelayConfirmation> {
    assembly.seen.add(offer.part.part);
    const stopTimer = this.#context.clock.after(waitMs, () => {
      const text = `only ${assembly.kept.length} of ${assembly.parts} parts of the key have come in time`;
      this.#end(assembly, new Fault("RELAY_TIMEOUT", { text }));
    });
    try {
      await this.#keepPart(assembly, offer, incoming);
      return await assembly.outcome.promise;
    } catch (thrown) {
      this.#end(assembly, asFault(thrown));
      throw thrown;
    } finally {
      stopTimer();
    }
  }

  async #keepPart(assembly: PartAssembly, offer: PartOffer, incoming: Incoming): Promise<void> {
    const { source, serial } = assembly;
    const { vault } = this.#context;
    const block = incoming.nameOr(partBlock(source.id, serial, offer.part.part));
    const change = vault.change();
    try {
      using open = await vault.openJob(incoming.job);
      const part = incoming.open(open, block);
      if (part === undefined) throw new Fault("BAD_TAG");
      if (block !== incoming.job.blocks[0]?.block) change.keep(await part.seal());
      incoming.use(change, true);
      source.held.accept(serial);
      await change.put(...source.peerRow()).commit();
    } catch (thrown) {
      await lose(this.#context, incoming, asFault(thrown));
      throw thrown;
    }
    const { part, parts } = offer.part;
    this.#context.audit.note("kma_part_held", { peer: source.id, serial, part, parts, block });
    assembly.kept.push(block);
    if (assembly.isOver) this.#destroy([block]);
    else if (assembly.kept.length === assembly.parts) await this.#combine(assembly);
  }

  async #combine(assembly: PartAssembly): Promise<void> {
    const { source, offer, serial, kept } = assembly;
    const { vault } = this.#context;
    using open = await vault.openJob({ blocks: kept.map((block) => ({ block })), emptySlots: 1 });
    const key = combined(open.emptySlots[0], open.blocks, receivedBlock(source.id, serial));
    const tag = key.endTag(endContext(offer));
    const sealed = await key.seal();
    await keepKey(this.#context, assembly, key, (change) => {
      change.keep(sealed);
      for (const block of kept) change.destroy(block);
    });
    this.#forget(assembly);
    assembly.outcome.resolve({ keyId: offer.keyId, tag });
  }

  /** A part is missing or wrong: all are given up. */
  #end(assembly: PartAssembly, fault: Fault): void {
    if (assembly.isOver) return;
    this.#forget(assembly);
    assembly.outcome.reject(fault);
    const labels = { peer: assembly.source.id, role: "destination", reason: "given_up" };
    this.#context.meter.add("kma_keys_ended", labels);
    const { source, serial } = assembly;
    this.#context.audit.note("kma_parts_ended", { peer: source.id, serial, reason: "given_up" });
    this.#destroy(assembly.kept);
  }

  #forget(assembly: PartAssembly): void {
    assembly.isOver = true;
    assembly.source.held.settle(assembly.serial);
    this.#byKey.delete(nameOf(assembly.source, assembly.offer));
  }

  #destroy(blocks: readonly BlockId[]): void {
    if (blocks.length === 0) return;
    const change = this.#context.vault.change();
    for (const block of blocks) change.destroy(block);
    change.commit().catch((err: unknown) => {
      this.#context.log.warn({ err }, "parts of a KMA-key that was given up are still on the disk");
    });
  }
}

const nameOf = ({ id }: Peer, { keyId }: RelayOffer): string => `${id} ${keyId}`;

/** @throws Fault MALFORMED_REQUEST, SERIAL_SEEN */
function checkSame({ offer, parts, seen }: PartAssembly, other: PartOffer): void {
  if (seen.has(other.part.part)) throw new Fault("SERIAL_SEEN", { text: "this part of the key came before" });
  if (other.part.parts === parts && other.requestId === offer.requestId) return;
  throw new Fault("MALFORMED_REQUEST", { text: "the parts of the key do not belong together" });
}

/** @throws Fault BAD_TAG: parts that cannot be combined are none of one key */
function combined(emptySlot: EmptySlot | undefined, parts: readonly OpenBlock[], block: BlockId): OpenBlock {
  const lengths = new Set(parts.map(({ length }) => length));
  if (emptySlot === undefined || lengths.size !== 1) throw new Fault("BAD_TAG", { text: "the parts differ in length" });
  return emptySlot.combine(block, parts);
}
